"""Receipts in PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import msgspec
from psycopg.rows import DictRow

from central.database.pool import Connection, row_of, rows_of, run, run_many
from central.receipts.model import ReceiptFilter, StoredReceipt
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.wire.answer import Answer
from shared.wire.facts import Incident, ReceiptCommitted
from shared.wire.receipt import Receipt

_QUERIES = load_queries("central.receipts")


async def known_content(connection: Connection, record_uid: bytes) -> bytes | None:
    """The content hash under which a fact was stored, if it was."""
    row = await row_of(connection, _QUERIES["known"], {"record_uid": record_uid})
    return None if row is None else bytes(row["content_sha256"])


async def put_receipt(
    connection: Connection,
    fact: ReceiptCommitted,
    *,
    record_uid: bytes,
    content_sha256: bytes,
    edge_id: int,
    names: dict[str, str],
) -> bool:
    """Store a receipt with its lines; False (nothing stored) when its uid or its id is known."""
    total = fact.answer.total
    customer = fact.receipt.customer
    added = await run(
        connection,
        _QUERIES["put"],
        {
            "record_uid": record_uid,
            "content_sha256": content_sha256,
            "receipt_id": fact.receipt_id,
            "edge_id": edge_id,
            "store_id": fact.store_id,
            "register": fact.register,
            "business_date": fact.business_date,
            "committed_at_ms": fact.committed_at_ms,
            "customer_id": customer.id if customer is not None else None,
            "bundle_version": fact.bundle_version,
            "list_minor": total.list_minor,
            "discount_minor": total.discount_minor,
            "net_minor": total.net_minor,
            "points_spent_centi": sum(spent.points_centi for spent in fact.answer.spent),
            "to_pay_minor": total.to_pay_minor,
            "earned_centi": sum(accrued.points_centi for accrued in fact.answer.accrued),
            "incident_count": len(fact.incidents),
            "receipt": msgspec.msgpack.encode(fact.receipt),
            "answer": msgspec.msgpack.encode(fact.answer),
        },
    )
    if added == 0:
        return False
    lines = {line.line: line for line in fact.receipt.lines}
    await run_many(
        connection,
        _QUERIES["put_line"],
        [
            {
                "record_uid": record_uid,
                "line": line.line,
                "sku": lines[line.line].sku,
                "name": names.get(lines[line.line].sku, lines[line.line].sku),
                "qty_milli": lines[line.line].quantity_milli,
                "list_minor": line.list_minor,
                "discount_minor": line.discount_minor,
                "net_minor": line.net_minor,
                "points_spent_minor": line.points_spent_minor,
                "to_pay_minor": line.to_pay_minor,
            }
            for line in fact.answer.lines
        ],
    )
    await run_many(
        connection,
        _QUERIES["put_applied"],
        [
            {
                "record_uid": record_uid,
                "line": line.line,
                "promotion_id": applied.promotion,
                "discount_minor": applied.discount_minor,
                "qty_milli": applied.quantity_milli,
            }
            for line in fact.answer.lines
            for applied in line.applied
        ],
    )
    return True


async def put_incidents(
    connection: Connection, record_uid: bytes, incidents: list[Incident]
) -> None:
    """Store everything that did not fit about a receipt."""
    if not incidents:
        return
    await run_many(
        connection,
        _QUERIES["put_incident"],
        [
            {
                "record_uid": record_uid,
                "number": number,
                "code": incident.code,
                "detail": incident.detail,
            }
            for number, incident in enumerate(incidents, start=1)
        ],
    )
    await run(
        connection,
        _QUERIES["count_incidents"],
        {"record_uid": record_uid, "incident_count": len(incidents)},
    )


async def list_receipts(
    connection: Connection, filters: ReceiptFilter, *, page: int = 1, page_size: int = 50
) -> list[DictRow]:
    """One page of receipts, newest first; pages count from 1."""
    parameters = dataclasses.asdict(filters)
    parameters |= {"limit": page_size, "offset": (page - 1) * page_size}
    return await rows_of(connection, _QUERIES["list"], parameters)


async def get_receipt(connection: Connection, record_uid: bytes) -> StoredReceipt:
    """One receipt with its lines.

    Raises:
        NotFoundError: there is none with this uid.
    """
    key = {"record_uid": record_uid}
    row = await row_of(connection, _QUERIES["get"], key)
    if row is None:
        raise NotFoundError("there is no such receipt")
    return StoredReceipt(
        row=row,
        lines=await rows_of(connection, _QUERIES["lines"], key),
        applied=await rows_of(connection, _QUERIES["applied"], key),
        incidents=await rows_of(connection, _QUERIES["incidents"], key),
        receipt=msgspec.msgpack.decode(row["receipt"], type=Receipt),
        answer=msgspec.msgpack.decode(row["answer"], type=Answer),
    )


async def walk(connection: Connection) -> AsyncIterator[DictRow]:
    """Every receipt: record_uid, bundle_version, receipt and answer as stored."""
    last = b""
    while rows := await rows_of(connection, _QUERIES["after"], {"record_uid": last}):
        for row in rows:
            yield row
        last = rows[-1]["record_uid"]


async def audit(connection: Connection) -> DictRow:
    """Sums over all receipts, and how many do not add up or stand twice."""
    row = await row_of(connection, _QUERIES["audit"])
    assert row is not None, "an aggregate always gives a row"
    return row

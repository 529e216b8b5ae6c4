"""Receipts in PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
from psycopg.rows import DictRow

from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, rows_of
from central.receipts.copying import sale_in
from central.receipts.model import ReceiptFilter, StoredReceipt
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.wire.answer import Answer
from shared.wire.receipt import Receipt

_QUERIES = load_queries("central.receipts")


async def known_contents(
    connection: Connection,
    *,
    sales: Sequence[bytes],
    others: Sequence[bytes],
    sales_too: bool = True,
) -> dict[bytes, bytes]:
    """The content hashes under which facts were stored, of those that were.

    ``sales``, ``others``: uids of sales, of anything else; without ``sales_too`` a sale that is
    known as a sale is not told, which saves most of the work.
    """
    rows = await rows_of(
        connection,
        _QUERIES["known"],
        as_arrays(
            {
                "in_sales": [*others, *(sales if sales_too else ())],
                "uids": [*sales, *others],
            }
        ),
    )
    return {row["record_uid"]: row["content_sha256"] for row in rows}


async def known_receipt_ids(
    connection: Connection, receipt_ids: Sequence[str], *, store_id: str, edge_id: int
) -> set[str]:
    """Which of these receipt ids an agent has sent before, under whatever uid."""
    rows = await rows_of(
        connection,
        _QUERIES["known_ids"],
        {"store_id": store_id, "edge_id": edge_id, "receipt_ids": list(receipt_ids)},
    )
    return {row["receipt_id"] for row in rows}


@dataclass(slots=True, kw_only=True)
class Rows:
    """Rows in COPY's text (``central.receipts.copying``), by table."""

    receipts: list[str] = field(default_factory=list)
    returns: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)


async def put_rows(connection: Connection, rows: Rows) -> None:
    """Store many facts at once. None of their uids and receipt ids may be known."""
    for query, texts in (
        ("copy_receipts", rows.receipts),
        ("copy_returns", rows.returns),
        ("copy_facts", rows.facts),
        ("copy_incidents", rows.incidents),
    ):
        if texts:
            async with connection.cursor().copy(_QUERIES[query].encode()) as copy:
                await copy.write("".join(texts).encode())


def sale_of(row: DictRow) -> tuple[Receipt, Answer]:
    """What was sold and at what price, from the columns ``body``, ``receipt`` and ``answer``."""
    if row["body"] is not None:
        fact = sale_in(row["body"])
        return fact.receipt, fact.answer
    return (
        msgspec.msgpack.decode(row["receipt"], type=Receipt),
        msgspec.msgpack.decode(row["answer"], type=Answer),
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
    receipt, answer = sale_of(row)
    return StoredReceipt(
        row=row,
        lines=await rows_of(connection, _QUERIES["lines"], key),
        applied=await rows_of(connection, _QUERIES["applied"], key),
        incidents=await rows_of(connection, _QUERIES["incidents"], key),
        receipt=receipt,
        answer=answer,
    )


async def walk(connection: Connection) -> AsyncIterator[DictRow]:
    """Every receipt: record_uid, bundle_version, and what ``sale_of`` reads."""
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

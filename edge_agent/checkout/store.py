"""Receipts in SQLite. ``commit_sale`` is the one transaction of a sale: run it as a writer job."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import apsw
import msgspec

from edge_agent.checkout.policy import (
    incidents_of,
    lease_spends_of,
    right_spends_of,
    uses_of,
    wanted_of,
)
from edge_agent.clock.policy import NEVER_MS, old_at_front
from edge_agent.clock.store import dated_ms
from edge_agent.leases.payment import pay, take_back
from edge_agent.leases.policy import Standing
from edge_agent.limits.store import add_own
from edge_agent.outbox.held import recovery_of
from edge_agent.outbox.store import Fact, append_fact, has_fact
from shared.errors import ConflictError
from shared.sqlfile import load_queries
from shared.uses import Used
from shared.wire.answer import Answer
from shared.wire.facts import FactKind, Incident, ReceiptCommitted
from shared.wire.receipt import Receipt
from shared.wire.stream import Lane

_QUERIES: Final = load_queries("edge_agent.checkout")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(ReceiptCommitted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A priced receipt the till asks to record; ``body_sha256`` tells a retry from a change.

    ``record_uid``: 16 random bytes, used when the sale is new. ``to_pay_told_minor``: what the
    till took, where it says so. ``incidents``: what was noticed before it came here. ``used``: what
    the answer used of limited promotions. ``coupons``: the personal codes that it used up.
    """

    receipt: Receipt
    answer: Answer
    bundle_version: int
    business_date: str
    body_sha256: bytes
    record_uid: bytes
    to_pay_told_minor: int | None
    now_ms: int
    incidents: tuple[Incident, ...] = ()
    used: tuple[Used, ...] = ()
    coupons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A sale as it stands in the database."""

    record_uid: bytes
    fact: ReceiptCommitted


def commit_sale(connection: apsw.Connection, sale: Sale, standing: Standing) -> Recorded:
    """Record receipt, spends and outbox records together; a repeat gives the first answer.

    Raises:
        ConflictError: ``receipt_changed`` (recorded with another body), ``receipt_cancelled``.
    """
    receipt_id = sale.receipt.receipt_id
    repeated = repeat_of(connection, receipt_id, sale.body_sha256)
    if repeated is not None:
        return repeated
    fact = _fact_of(connection, sale, standing)
    body = _ENCODER.encode(fact)
    connection.execute(
        _QUERIES["insert_committed"],
        {
            "receipt_id": receipt_id,
            "body_sha256": sale.body_sha256,
            "record_uid": sale.record_uid,
            "fact": body,
            "recorded_at_ms": dated_ms(connection, sale.now_ms),
        },
    )
    if fact.uses:
        assert sale.receipt.customer is not None, "somebody used it"
        assert sale.receipt.customer.id is not None, "somebody who is counted for"
        add_own(
            connection,
            sale.receipt.customer.id,
            fact.uses,
            business_date=sale.business_date,
            edge_id=standing.edge_id,
        )
    append_fact(
        connection,
        int(Lane.RECEIPTS),
        Fact(
            uid=sale.record_uid,
            kind=FactKind.RECEIPT_COMMITTED,
            body=body,
            recorded_at_ms=sale.now_ms,
            local=sale.body_sha256,
        ),
    )
    return Recorded(record_uid=sale.record_uid, fact=fact)


def repeat_of(connection: apsw.Connection, receipt_id: str, body_sha256: bytes) -> Recorded | None:
    """The sale that this commit repeats; None when it is the first.

    Raises:
        ConflictError: ``receipt_changed`` (recorded with another body), ``receipt_cancelled``.
    """
    row = _row_of(connection, receipt_id)
    if row is None:
        return None
    state, first_sha256, record_uid, fact = row
    if state == "cancelled":
        raise ConflictError("this receipt was cancelled", code="receipt_cancelled")
    if first_sha256 != body_sha256:
        raise ConflictError(
            "a sale of this id is recorded with other contents",
            code="receipt_changed",
            hint="A new sale needs a new receipt id.",
        )
    return Recorded(record_uid=record_uid, fact=_DECODER.decode(fact))


def cancel_receipt(
    connection: apsw.Connection, receipt_id: str, now_ms: int, standing: Standing
) -> None:
    """Note that a receipt will not become a sale, and take back what was promised for it.

    Raises:
        ConflictError: ``already_committed``.
    """
    row = _row_of(connection, receipt_id)
    if row is None:
        parameters = {"receipt_id": receipt_id, "recorded_at_ms": dated_ms(connection, now_ms)}
        connection.execute(_QUERIES["insert_cancelled"], parameters)
        take_back(connection, receipt_id, standing)
    elif row[0] == "committed":
        raise ConflictError("this receipt is already a sale", code="already_committed")


def recorded_sale(connection: apsw.Connection, receipt_id: str) -> Recorded | None:
    """The sale of this id, or None when there is none."""
    row = _row_of(connection, receipt_id)
    if row is None or row[0] != "committed":
        return None
    return Recorded(record_uid=row[2], fact=_DECODER.decode(row[3]))


def is_cancelled(connection: apsw.Connection, receipt_id: str) -> bool:
    """Whether the till said that this receipt will not become a sale."""
    row = _row_of(connection, receipt_id)
    return row is not None and row[0] == "cancelled"


def forget_receipts(
    connection: apsw.Connection, before_ms: int, limit: int, ahead_ms: int = NEVER_MS
) -> int:
    """Keep no longer at most ``limit`` receipts made before an instant; how many went.

    The oldest go first, and none whose record is still kept for head office: a sale and its record
    are proven by each other. What is dated after ``ahead_ms`` goes with what is behind it. Nothing
    goes in recovery, when it is not known what head office has.
    """
    if recovery_of(connection) is not None:
        return 0
    rows: list[Any] = connection.execute(_QUERIES["oldest_receipts"], {"limit": limit}).fetchall()
    free = list(takewhile(lambda row: row[1] is None or not has_fact(connection, row[1]), rows))
    next_ms = None
    if free and free[-1][2] > ahead_ms:
        place = {"rowid": free[-1][0], "ahead_ms": ahead_ms}
        next_ms = connection.execute(_QUERIES["receipt_dated_after"], place).get
    gone = old_at_front([row[2] for row in free], before_ms, ahead_ms, next_ms)
    if gone:
        connection.execute(_QUERIES["forget_receipts_until"], {"rowid": rows[gone - 1][0]})
    return gone


def _row_of(connection: apsw.Connection, receipt_id: str) -> Any:
    return connection.execute(_QUERIES["receipt"], {"receipt_id": receipt_id}).fetchone()


def _fact_of(connection: apsw.Connection, sale: Sale, standing: Standing) -> ReceiptCommitted:
    paid = pay(
        connection,
        sale.receipt.receipt_id,
        wanted_of(sale.receipt, sale.answer, sale.used, sale.coupons),
        standing,
        sale.record_uid,
    )
    spends, rights = lease_spends_of(paid), right_spends_of(paid)
    return ReceiptCommitted(
        receipt_id=sale.receipt.receipt_id,
        store_id=sale.receipt.store,
        register=sale.receipt.register,
        business_date=sale.business_date,
        committed_at_ms=sale.now_ms,
        bundle_version=sale.bundle_version,
        receipt=sale.receipt,
        answer=sale.answer,
        lease_spends=spends,
        incidents=[
            *sale.incidents,
            *incidents_of(sale.answer, spends, sale.to_pay_told_minor, rights),
        ],
        right_spends=rights,
        uses=uses_of(sale.receipt, sale.used, sale.business_date),
    )

"""Returns in SQLite. ``commit_return`` is the one transaction of a return: run it as a writer job.

It looks at the sale and at what came back before inside that transaction, so that two tills cannot
both give the money for the same piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import apsw
import msgspec

from edge_agent.outbox.store import Fact, append_fact
from edge_agent.returns.policy import given
from shared.errors import ConflictError, NotFoundError
from shared.sqlfile import load_queries
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.facts import FactKind, ReceiptCommitted, ReceiptReturned, RightSpend
from shared.wire.refund_json import Refund
from shared.wire.return_json import ReturnRequest
from shared.wire.stream import Lane

_QUERIES: Final = load_queries("edge_agent.returns")
_ENCODER: Final = msgspec.msgpack.Encoder()
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_RETURN: Final = msgspec.msgpack.Decoder(ReceiptReturned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A return the till asks to record; ``body_sha256`` tells a retry from a change.

    ``record_uid``: 16 random bytes, used when the return is new.
    """

    return_id: str
    request: ReturnRequest
    store_id: str
    body_sha256: bytes
    record_uid: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReturn:
    """A return as it stands in the database."""

    record_uid: bytes
    fact: ReceiptReturned


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """A sale of this shop, and the refunds that were given for it."""

    record_uid: bytes
    fact: ReceiptCommitted
    refunds: list[Refund]


def sold(connection: apsw.Connection, receipt_id: str) -> Sold:
    """The sale of this id.

    Raises:
        NotFoundError: ``sale_not_here``.
    """
    row = connection.execute(_QUERIES["sale"], {"receipt_id": receipt_id}).fetchone()
    if row is None:
        raise NotFoundError(
            "no sale of this id was made here",
            hint="Goods are returned where they were sold.",
            pointer="/sale",
            code="sale_not_here",
        )
    record_uid, fact = row
    back = connection.execute(_QUERIES["returns_of"], {"sale_uid": record_uid})
    return Sold(
        record_uid=record_uid,
        fact=_SALE.decode(fact),
        refunds=[_RETURN.decode(each).refund for (each,) in back],
    )


def find_return(connection: apsw.Connection, return_id: str) -> RecordedReturn | None:
    """The return of this id."""
    row = _row_of(connection, return_id)
    return None if row is None else RecordedReturn(record_uid=row[1], fact=_RETURN.decode(row[2]))


def commit_return(connection: apsw.Connection, made: Made) -> RecordedReturn:
    """Record what was given back, with its outbox record; a repeat gives the first answer.

    Raises:
        ConflictError: ``return_changed``: recorded with another body.
        NotFoundError: ``sale_not_here``.
        RefundError: a line is unknown, or a part of a piece came back.
    """
    row = _row_of(connection, made.return_id)
    if row is not None:
        if row[0] != made.body_sha256:
            raise ConflictError(
                "a return of this id is recorded with other contents",
                code="return_changed",
                hint="A new return needs a new id.",
            )
        return RecordedReturn(record_uid=row[1], fact=_RETURN.decode(row[2]))
    fact = _fact_of(sold(connection, made.request.sale_id), made)
    body = _ENCODER.encode(fact)
    insert_return(
        connection, fact, made.record_uid, body, local=made.body_sha256, at_ms=made.now_ms
    )
    append_fact(
        connection,
        int(Lane.RECEIPTS),
        Fact(
            uid=made.record_uid,
            kind=FactKind.RECEIPT_RETURNED,
            body=body,
            recorded_at_ms=made.now_ms,
            local=made.body_sha256,
        ),
    )
    return RecordedReturn(record_uid=made.record_uid, fact=fact)


def insert_return(
    connection: apsw.Connection,
    fact: ReceiptReturned,
    record_uid: bytes,
    body: bytes,
    *,
    local: bytes,
    at_ms: int,
    again: bool = False,
) -> None:
    """The row of a return; ``again``: it may be here already."""
    connection.execute(
        _QUERIES["insert_return_again" if again else "insert_return"],
        {
            "return_id": fact.return_id,
            "body_sha256": local,
            "record_uid": record_uid,
            "sale_uid": fact.sale_uid,
            "fact": body,
            "recorded_at_ms": at_ms,
        },
    )


def _row_of(connection: apsw.Connection, return_id: str) -> Any:
    return connection.execute(_QUERIES["goods_return"], {"return_id": return_id}).fetchone()


def _fact_of(sale: Sold, made: Made) -> ReceiptReturned:
    request = made.request
    refund, incidents = given(
        sale.fact, sale.refunds, request.wanted_milli, request.money_told_minor
    )
    customer = sale.fact.receipt.customer
    return ReceiptReturned(
        return_id=made.return_id,
        store_id=made.store_id,
        register=request.register,
        business_date=datetime.fromisoformat(request.time).date().isoformat(),
        returned_at_ms=made.now_ms,
        sale_uid=sale.record_uid,
        sale_receipt_id=sale.fact.receipt_id,
        customer_id=None if customer is None else customer.id,
        refund=refund,
        incidents=incidents,
        rights_returned=_restored(sale.fact.right_spends) if refund.coupons_restored else [],
    )


def _restored(spends: Sequence[RightSpend]) -> list[RightSpend]:
    """Coupons of one's own that the sale used; one that no right covered gives none back."""
    return [
        spend
        for spend in spends
        if spend.lease_id is not None and asset_parts(spend.asset)[0] == AssetKind.COUPON
    ]

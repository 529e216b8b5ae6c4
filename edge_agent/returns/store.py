"""Returns in SQLite. ``commit_return`` is the one transaction of a return: run it as a writer job.

It looks at the sale and at what came back before inside that transaction, so that two tills cannot
both give the money for the same piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

import apsw
import msgspec

from edge_agent.clock.policy import NEVER_MS, old_at_front
from edge_agent.clock.store import dated_ms
from edge_agent.outbox.held import recovery_of
from edge_agent.outbox.store import Fact, append_fact, has_fact
from edge_agent.returns.policy import add_up, as_told, given
from shared.engine.refund import sold_quantities
from shared.errors import ConflictError
from shared.sqlfile import load_queries
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.facts import (
    FactKind,
    Incident,
    ReceiptCommitted,
    ReceiptReturned,
    RightSpend,
)
from shared.wire.refund_json import LineReturned
from shared.wire.return_json import ReturnRequest
from shared.wire.stream import Lane

_QUERIES: Final = load_queries("edge_agent.returns")
_ENCODER: Final = msgspec.msgpack.Encoder()
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_RETURN: Final = msgspec.msgpack.Decoder(ReceiptReturned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A return the till asks to record; ``body_sha256`` tells a retry from a change.

    ``record_uid``: 16 random bytes, used when the return is new. ``told``: what head office said
    of the sale, None where it said nothing.
    """

    return_id: str
    request: ReturnRequest
    store_id: str
    body_sha256: bytes
    record_uid: bytes
    now_ms: int
    told: Told | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReturn:
    """A return as it stands in the database."""

    record_uid: bytes
    fact: ReceiptReturned


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What head office said of a sale: the sale itself, and what has come back of it anywhere.

    ``fact`` None: it has not got the sale, which this agent has made itself. ``fresh`` False: it
    was said before, and head office does not answer now.
    """

    sale_uid: bytes
    fact: ReceiptCommitted | None
    returned: list[LineReturned]
    counted: frozenset[bytes]
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """A sale, and how much of each of its lines has come back as far as is known here.

    ``confirmed``: head office has just said so, for all shops.
    """

    record_uid: bytes
    fact: ReceiptCommitted
    returned_milli: dict[int, int]
    made_here: bool
    confirmed: bool

    def came_back(self, line: int) -> int:
        """Of a line, in thousandths; never more than was sold."""
        sold_milli = sold_quantities(self.fact.answer)[line]
        return min(self.returned_milli.get(line, 0), sold_milli)


def own_sale(
    connection: apsw.Connection, request: ReturnRequest, store_id: str
) -> tuple[bytes, ReceiptCommitted] | None:
    """The sale that a request names, where this agent made it itself; its record's uid first."""
    if request.sale_store not in ("", store_id):
        return None
    row: Any = connection.execute(_QUERIES["sale"], {"receipt_id": request.sale_id}).fetchone()
    if row is None:
        return None
    fact = _SALE.decode(row[1])
    if request.sale_register not in ("", fact.register):
        return None
    return row[0], fact


def sold(
    connection: apsw.Connection, request: ReturnRequest, store_id: str, told: Told | None
) -> Sold | None:
    """The sale that a request names: this agent's own, or as head office told it; None: neither.

    What head office has not heard of yet of this agent's own returns is added to what it told.
    """
    own = own_sale(connection, request, store_id)
    if own is not None:
        sale_uid, fact = own
    elif told is not None and told.fact is not None:
        sale_uid, fact = told.sale_uid, told.fact
    else:
        return None
    counted = frozenset[bytes]() if told is None else told.counted
    rows: list[Any] = connection.execute(_QUERIES["returns_of"], {"sale_uid": sale_uid}).fetchall()
    back = [_RETURN.decode(each).refund for record_uid, each in rows if record_uid not in counted]
    return Sold(
        record_uid=sale_uid,
        fact=fact,
        returned_milli=add_up(back, () if told is None else told.returned),
        made_here=own is not None,
        confirmed=told is not None and told.fresh,
    )


def find_return(connection: apsw.Connection, return_id: str) -> RecordedReturn | None:
    """The return of this id."""
    row = _row_of(connection, return_id)
    return None if row is None else RecordedReturn(record_uid=row[1], fact=_RETURN.decode(row[2]))


def recorded_before(
    connection: apsw.Connection, return_id: str, body_sha256: bytes
) -> RecordedReturn | None:
    """The return of this id if it is recorded already: then a repeat gets the first answer.

    Raises:
        ConflictError: ``return_changed``: recorded with another body.
    """
    row = _row_of(connection, return_id)
    if row is None:
        return None
    if row[0] != body_sha256:
        raise ConflictError(
            "a return of this id is recorded with other contents",
            code="return_changed",
            hint="A new return needs a new id.",
        )
    return RecordedReturn(record_uid=row[1], fact=_RETURN.decode(row[2]))


def commit_return(connection: apsw.Connection, made: Made) -> RecordedReturn:
    """Record what was given back, with its outbox record; a repeat gives the first answer.

    Raises:
        ConflictError: ``return_changed``: recorded with another body.
        RefundError: a line is unknown, or a part of a piece came back.
    """
    known = recorded_before(connection, made.return_id, made.body_sha256)
    if known is not None:
        return known
    return put_return(
        connection,
        _fact_of(sold(connection, made.request, made.store_id, made.told), made),
        made.record_uid,
        body_sha256=made.body_sha256,
        now_ms=made.now_ms,
    )


def put_return(
    connection: apsw.Connection,
    fact: ReceiptReturned,
    record_uid: bytes,
    *,
    body_sha256: bytes,
    now_ms: int,
) -> RecordedReturn:
    """The row of a new return, and its record for head office."""
    body = _ENCODER.encode(fact)
    insert_return(
        connection, fact, record_uid, body, local=body_sha256, at_ms=dated_ms(connection, now_ms)
    )
    append_fact(
        connection,
        int(Lane.RECEIPTS),
        Fact(
            uid=record_uid,
            kind=FactKind.RECEIPT_RETURNED,
            body=body,
            recorded_at_ms=now_ms,
            local=body_sha256,
        ),
    )
    return RecordedReturn(record_uid=record_uid, fact=fact)


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


def forget_returns(
    connection: apsw.Connection, before_ms: int, limit: int, ahead_ms: int = NEVER_MS
) -> int:
    """Keep no longer at most ``limit`` returns made before an instant; how many went.

    The oldest go first; none whose record is still kept for head office, and none while its sale
    is here, of which the pieces that came back are counted. What is dated after ``ahead_ms`` goes
    with what is behind it. Nothing goes in recovery.
    """
    if recovery_of(connection) is not None:
        return 0
    rows: list[Any] = connection.execute(_QUERIES["oldest_returns"], {"limit": limit}).fetchall()
    free = list(takewhile(lambda row: not (row[3] or has_fact(connection, row[1])), rows))
    next_ms = None
    if free and free[-1][2] > ahead_ms:
        place = {"rowid": free[-1][0], "ahead_ms": ahead_ms}
        next_ms = connection.execute(_QUERIES["return_dated_after"], place).get
    gone = old_at_front([row[2] for row in free], before_ms, ahead_ms, next_ms)
    if gone:
        connection.execute(_QUERIES["forget_returns_until"], {"rowid": rows[gone - 1][0]})
    return gone


def _row_of(connection: apsw.Connection, return_id: str) -> Any:
    return connection.execute(_QUERIES["goods_return"], {"return_id": return_id}).fetchone()


def _fact_of(sale: Sold | None, made: Made) -> ReceiptReturned:
    request = made.request
    if sale is None:
        refund, incidents = as_told(request.sale_id, request.wanted_milli, request.money_told_minor)
    else:
        refund, incidents = given(
            sale.fact, sale.returned_milli, request.wanted_milli, request.money_told_minor
        )
        if not (sale.made_here or sale.confirmed):
            incidents.append(
                Incident(
                    code="return_unconfirmed",
                    detail="head office did not answer: other shops may have taken these back",
                )
            )
    customer = None if sale is None else sale.fact.receipt.customer
    restored = sale is not None and refund.coupons_restored
    return ReceiptReturned(
        return_id=made.return_id,
        store_id=made.store_id,
        register=request.register,
        business_date=datetime.fromisoformat(request.time).date().isoformat(),
        returned_at_ms=made.now_ms,
        sale_uid=None if sale is None else sale.record_uid,
        sale_receipt_id=request.sale_id,
        customer_id=None if customer is None else customer.id,
        refund=refund,
        incidents=incidents,
        rights_returned=_restored(sale.fact.right_spends) if sale and restored else [],
        sale_store_id="" if request.sale_store == made.store_id else request.sale_store,
    )


def _restored(spends: Sequence[RightSpend]) -> list[RightSpend]:
    """Coupons of one's own that the sale used; one that no right covered gives none back."""
    return [
        spend
        for spend in spends
        if spend.lease_id is not None and asset_parts(spend.asset)[0] == AssetKind.COUPON
    ]

"""Holds, spends and closes in SQLite. Functions take a connection and share its transaction.

A hold sets an amount aside for a receipt; it is captured when the sale is made, or voided. Whatever
order and however often these words come, the first of hold and void decides, and every spend is
recorded once on the lane of money, in the transaction that makes it one.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from edge_agent.leases.policy import (
    NO_CAPS,
    NOTHING_TAKEN,
    Caps,
    LeaseBook,
    Part,
    Reason,
    Right,
    Share,
    Standing,
    Taken,
    cover,
    may_close,
    refusal_of,
)
from edge_agent.leases.policy import spendable as spendable_by
from edge_agent.outbox.held import recovery_of
from edge_agent.outbox.store import Fact, append_fact, epoch_of
from shared.limits import LEASE_CLOSES_PER_ROUND_MAX
from shared.sqlfile import load_queries
from shared.wire.facts import (
    FactKind,
    LeaseClosed,
    LeaseSpent,
    SpendVoided,
)
from shared.wire.stream import Lane

UID_BYTES: Final = 16
_HOUR_MS: Final = 3_600_000
_QUERIES: Final = load_queries("edge_agent.leases")
_ENCODE: Final = msgspec.msgpack.Encoder().encode


class HoldState(enum.StrEnum):
    """How it stands with a hold."""

    HELD = "held"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUSED = "refused"
    """Nothing was set aside, and nothing is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Set ``amount`` of an owner's asset aside for a receipt. ``asker``: the edge that asks."""

    uid: bytes
    receipt_id: str
    owner: str
    asset: str
    amount: int
    asker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The answer to hold, capture and void: how it stands now, and why it is not as asked."""

    state: HoldState
    parts: tuple[Part, ...] = ()
    reason: Reason | None = None


def spend_uid_of(uid: bytes, part: int) -> bytes:
    """The uid of the spend that part ``part`` of hold ``uid`` becomes; both ends know it."""
    return hashlib.sha256(b"kopilka.spend.v1" + uid + part.to_bytes(2)).digest()[:UID_BYTES]


def standing_of(connection: apsw.Connection, edge_id: int, now_ms: int) -> Standing:
    """As whom this agent speaks: in the epoch of its streams, and not spending in recovery."""
    return Standing(
        edge_id=edge_id,
        epoch=epoch_of(connection),
        now_ms=now_ms,
        may_spend=recovery_of(connection) is None,
    )


def books_of(connection: apsw.Connection, owner: str, asset: str) -> list[LeaseBook]:
    """Leases on an owner's asset, with all that was done with them; the last to end comes last."""
    parameters = {"owner": owner, "asset": asset}
    return [_book(row) for row in connection.execute(_QUERIES["books_of_owner"], parameters)]


def rights_of(
    connection: apsw.Connection, owner: str, asset: str, standing: Standing
) -> list[Right]:
    """What is left of all leases and parts of leases on an owner's asset, usable or not."""
    parameters = {"owner": owner, "asset": asset}
    books = books_of(connection, owner, asset)
    parts: list[Any] = connection.execute(_QUERIES["own_parts_of_owner"], parameters).fetchall()
    return [
        *(book.right for book in books if not book.ended),
        *(
            Right(
                lease_id=lease_id,
                sub_lease_id=sub_lease_id,
                owner=its_owner,
                asset=its_asset,
                edge_id=standing.edge_id,
                epoch=epoch,
                state=state,
                spend_until_ms=until_ms,
                left=left,
            )
            for sub_lease_id, lease_id, its_owner, its_asset, epoch, state, until_ms, left in parts
        ),
    ]


def spendable_of(connection: apsw.Connection, owner: str, standing: Standing) -> dict[str, int]:
    """What may be spent here without asking anybody, by asset."""
    assets: list[Any] = connection.execute(_QUERIES["assets_of_owner"], {"owner": owner}).fetchall()
    return {
        asset: spendable_by(rights_of(connection, owner, asset, standing), standing)
        for (asset,) in assets
    }


def hold(connection: apsw.Connection, ask: Ask, standing: Standing, caps: Caps = NO_CAPS) -> Held:
    """Set all of it aside, or refuse. The same uid gets the same answer, however it stands now."""
    known = find_hold(connection, ask.uid)
    if known is not None:
        if known.state is HoldState.VOIDED:
            return Held(state=HoldState.VOIDED, reason=Reason.VOIDED)
        return known
    rights = rights_of(connection, ask.owner, ask.asset, standing)
    shares = cover(rights, ask.amount, standing)
    # Nothing is counted for caps that are not there: an owner may have a long history.
    taken = NOTHING_TAKEN if caps == NO_CAPS else _taken(connection, ask, standing)
    refusal = refusal_of(shares, caps, taken, standing)
    if refusal is not None:
        return Held(state=HoldState.REFUSED, reason=refusal)
    return _insert(connection, ask, HoldState.HELD, shares, standing)


def spend_now(connection: apsw.Connection, ask: Ask, standing: Standing) -> Held:
    """Spend without having asked: the sale is made, so what no lease covers is spent as well.

    ``uid`` is new: its record and the sale's are written in one transaction, or neither.
    """
    assert find_hold(connection, ask.uid) is None, "a spend that was not asked for is new"
    rights = rights_of(connection, ask.owner, ask.asset, standing)
    shares = cover(rights, ask.amount, standing, sold=True)
    _insert(connection, ask, HoldState.HELD, shares, standing)
    return capture(connection, ask.uid, standing)


def spend_uncovered(connection: apsw.Connection, ask: Ask, standing: Standing) -> Held:
    """Spend with no lease at all: the store answers for it."""
    assert find_hold(connection, ask.uid) is None, "a spend that was not asked for is new"
    shares = [Share(lease_id=None, sub_lease_id=None, amount=ask.amount)]
    _insert(connection, ask, HoldState.HELD, shares, standing)
    return capture(connection, ask.uid, standing)


def capture(connection: apsw.Connection, uid: bytes, standing: Standing) -> Held:
    """The sale was made: record the spends. A repeat changes nothing; a voided hold stays so.

    A hold is kept through the end of its lease, a recall, a new epoch and recovery: the receipt may
    have been printed.
    """
    known = find_hold(connection, uid)
    if known is None:
        return Held(state=HoldState.REFUSED, reason=Reason.UNKNOWN)
    if known.state is HoldState.VOIDED:
        return Held(state=HoldState.VOIDED, parts=known.parts, reason=Reason.VOIDED)
    if known.state is HoldState.HELD:
        _, receipt_id, owner, asset, _ = _hold_row(connection, uid)
        connection.execute(
            _QUERIES["set_hold_state"], {"uid": uid, "state": HoldState.CAPTURED.value}
        )
        for part in known.parts:
            body = LeaseSpent(
                lease_id=part.lease_id,
                sub_lease_id=part.sub_lease_id,
                owner=owner,
                asset=asset,
                amount=part.amount,
                receipt_id=receipt_id,
                spent_at_ms=standing.now_ms,
            )
            append_money(connection, part.spend_uid, FactKind.LEASE_SPENT, body, standing)
    return Held(state=HoldState.CAPTURED, parts=known.parts)


def void(
    connection: apsw.Connection,
    uid: bytes,
    receipt_id: str,
    standing: Standing,
    asker: int | None = None,
) -> Held:
    """It did not happen, even if the hold comes later. A spend of a closed lease stands.

    What had been promised and is taken back is told to central too, so that a copy of the till
    which holds the promise cannot use it.
    """
    row = _hold_row(connection, uid)
    if row is None:
        connection.execute(
            _QUERIES["insert_hold"],
            {
                "uid": uid,
                "state": HoldState.VOIDED.value,
                "receipt_id": receipt_id,
                "owner": "",
                "asset": "",
                "asker": standing.edge_id if asker is None else asker,
                "held_at_ms": standing.now_ms,
            },
        )
        return Held(state=HoldState.VOIDED)
    known = find_hold(connection, uid)
    assert known is not None, "its row was just read"
    if known.state is HoldState.VOIDED:
        return known
    if known.state is HoldState.CAPTURED and _any_ended(connection, uid):
        return Held(state=HoldState.CAPTURED, parts=known.parts, reason=Reason.ENDED)
    connection.execute(_QUERIES["set_hold_state"], {"uid": uid, "state": HoldState.VOIDED.value})
    for part in known.parts:
        body = SpendVoided(spend_uid=part.spend_uid, receipt_id=row[1])
        uid_of_void = hashlib.sha256(b"kopilka.void.v1" + part.spend_uid).digest()[:UID_BYTES]
        append_money(connection, uid_of_void, FactKind.SPEND_VOIDED, body, standing)
    return Held(state=HoldState.VOIDED, parts=known.parts)


def find_hold(connection: apsw.Connection, uid: bytes) -> Held | None:
    """How it stands with a hold; None when nothing is known of it."""
    row = _hold_row(connection, uid)
    if row is None:
        return None
    parts: list[Any] = connection.execute(_QUERIES["parts"], {"uid": uid}).fetchall()
    return Held(
        state=HoldState(row[0]),
        parts=tuple(
            Part(lease_id=lease_id, sub_lease_id=sub_lease_id, amount=amount, spend_uid=spend_uid)
            for lease_id, sub_lease_id, amount, spend_uid in parts
        ),
    )


def asker_of(connection: apsw.Connection, uid: bytes) -> int | None:
    """Who asked for a hold; None when nothing is known of it."""
    row = _hold_row(connection, uid)
    return None if row is None else int(row[4])


def open_holds_of(
    connection: apsw.Connection, receipt_id: str, owner: str, asset: str
) -> list[bytes]:
    """Undecided holds here for this receipt and asset."""
    return [
        uid for uid, its in open_holds_of_receipt(connection, receipt_id) if its == (owner, asset)
    ]


def open_holds_of_receipt(
    connection: apsw.Connection, receipt_id: str
) -> list[tuple[bytes, tuple[str, str]]]:
    """Undecided holds here for this receipt, each with its owner and asset."""
    rows: list[Any] = connection.execute(
        _QUERIES["open_holds_of_receipt"], {"receipt_id": receipt_id}
    ).fetchall()
    return [(uid, _hold_row(connection, uid)[2:4]) for (uid,) in rows]


def stale_holds(
    connection: apsw.Connection, asker: int, before_ms: int, limit: int
) -> list[tuple[bytes, str]]:
    """Undecided holds that ``asker`` made before that moment, with their receipts."""
    parameters = {"asker": asker, "before_ms": before_ms, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["open_holds_since_before"], parameters).fetchall()
    return [(uid, receipt_id) for uid, receipt_id in rows]


def hold_of_spend(connection: apsw.Connection, spend_uid: bytes) -> bytes | None:
    """The hold here that a spend belongs to."""
    found = connection.execute(_QUERIES["hold_of_spend"], {"spend_uid": spend_uid}).get
    return found if isinstance(found, bytes) else None


def book_of(connection: apsw.Connection, lease_id: str) -> LeaseBook | None:
    """A lease and all that was done with it."""
    row = connection.execute(_QUERIES["book"], {"lease_id": lease_id}).fetchone()
    return None if row is None else _book(row)


def close_due(
    connection: apsw.Connection, standing: Standing, limit: int = LEASE_CLOSES_PER_ROUND_MAX
) -> list[LeaseClosed]:
    """Close what central wants back and what is over, as far as nobody can spend on it any more."""
    parameters = {
        "edge_id": standing.edge_id,
        "epoch": standing.epoch,
        "now_ms": standing.now_ms,
        "limit": limit,
    }
    rows: list[Any] = connection.execute(_QUERIES["books_due"], parameters).fetchall()
    closed: list[LeaseClosed] = []
    for book in map(_book, rows):
        if not may_close(book, standing):
            continue
        fact = LeaseClosed(
            lease_id=book.right.lease_id,
            spend_count=book.spend_count,
            spent_amount=book.spent_amount,
        )
        connection.execute(
            _QUERIES["end_lease"],
            {
                "lease_id": fact.lease_id,
                "spend_count": fact.spend_count,
                "spent_amount": fact.spent_amount,
                "ended_at_ms": standing.now_ms,
            },
        )
        uid = _uid_of_close(fact.lease_id, standing)
        append_money(connection, uid, FactKind.LEASE_CLOSED, fact, standing)
        closed.append(fact)
    return closed


def forget_past(connection: apsw.Connection, before_ms: int, limit: int) -> int:
    """Forget holds from before that moment whose leases are over for good; how many.

    An open hold is never forgotten, nor a spend on a lease that still runs.
    """
    parameters = {"before_ms": before_ms, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["holds_past"], parameters).fetchall()
    for (uid,) in rows:
        connection.execute(_QUERIES["forget_parts"], {"uid": uid})
        connection.execute(_QUERIES["forget_hold"], {"uid": uid})
    connection.execute(_QUERIES["forget_sub_leases"], {"before_ms": before_ms})
    connection.execute(_QUERIES["forget_lease_ends"], {"before_ms": before_ms})
    connection.execute(_QUERIES["forget_unused"])
    return len(rows)


def _insert(
    connection: apsw.Connection,
    ask: Ask,
    state: HoldState,
    shares: list[Share],
    standing: Standing,
) -> Held:
    connection.execute(
        _QUERIES["insert_hold"],
        {
            "uid": ask.uid,
            "state": state.value,
            "receipt_id": ask.receipt_id,
            "owner": ask.owner,
            "asset": ask.asset,
            "asker": ask.asker,
            "held_at_ms": standing.now_ms,
        },
    )
    parts = tuple(
        Part(
            lease_id=share.lease_id,
            sub_lease_id=share.sub_lease_id,
            amount=share.amount,
            spend_uid=spend_uid_of(ask.uid, index),
        )
        for index, share in enumerate(shares)
    )
    for index, part in enumerate(parts):
        connection.execute(
            _QUERIES["insert_part"],
            {
                "uid": ask.uid,
                "part": index,
                "lease_id": part.lease_id,
                "sub_lease_id": part.sub_lease_id,
                "amount": part.amount,
                "spend_uid": part.spend_uid,
            },
        )
    return Held(state=state, parts=parts)


def _taken(connection: apsw.Connection, ask: Ask, standing: Standing) -> Taken:
    parameters = {
        "owner": ask.owner,
        "asset": ask.asset,
        "receipt_id": ask.receipt_id,
        "since_ms": standing.now_ms - _HOUR_MS,
    }
    row: Any = connection.execute(_QUERIES["taken"], parameters).fetchone()
    return Taken(by_receipt=row[0], in_hour=row[1])


def _hold_row(connection: apsw.Connection, uid: bytes) -> Any:
    return connection.execute(_QUERIES["hold"], {"uid": uid}).fetchone()


def _any_ended(connection: apsw.Connection, uid: bytes) -> bool:
    return connection.execute(_QUERIES["any_part_ended"], {"uid": uid}).fetchone() is not None


def _book(row: Any) -> LeaseBook:
    (
        lease_id,
        owner,
        asset,
        edge_id,
        epoch,
        state,
        until_ms,
        granted,
        held,
        count,
        spent,
        lent,
        ended,
    ) = row
    return LeaseBook(
        right=Right(
            lease_id=lease_id,
            owner=owner,
            asset=asset,
            edge_id=edge_id,
            epoch=epoch,
            state=state,
            spend_until_ms=until_ms,
            left=granted - held - spent - lent,
        ),
        granted=granted,
        held=held,
        spend_count=count,
        spent_amount=spent,
        lent=lent,
        ended=bool(ended),
    )


def _uid_of_close(lease_id: str, standing: Standing) -> bytes:
    named = f"{standing.edge_id}/{standing.epoch}/{lease_id}".encode()
    return hashlib.sha256(b"kopilka.close.v1" + named).digest()[:UID_BYTES]


def append_money(
    connection: apsw.Connection,
    uid: bytes,
    kind: FactKind,
    body: msgspec.Struct,
    standing: Standing,
) -> None:
    """Record one fact on the lane of money, in the caller's transaction."""
    append_fact(
        connection,
        int(Lane.MONEY),
        Fact(uid=uid, kind=kind, body=_ENCODE(body), recorded_at_ms=standing.now_ms),
    )

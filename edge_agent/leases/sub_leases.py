"""Parts of this hub's leases at its tills, for the time when the hub is dead. In SQLite.

Every part and its return is a fact on the lane of money; what a till spends of its part stands on
the till's own stream. A part that is out keeps its lease from being closed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import apsw

from edge_agent.leases.policy import Reason, Right, Standing, sub_lease_amount
from edge_agent.leases.store import UID_BYTES, Ask, append_money, books_of
from shared.limits import SUB_LEASES_PER_TILL_MAX
from shared.sqlfile import load_queries
from shared.wire.facts import FactKind, SubLeaseClosed, SubLeaseGranted

_QUERIES: Final = load_queries("edge_agent.leases")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A part of a lease for a till; ``amount`` 0: none was given, for ``reason``."""

    lease_id: str
    amount: int
    spend_until_ms: int
    reason: Reason | None = None


def lend(connection: apsw.Connection, sub_lease_id: str, ask: Ask, standing: Standing) -> Lent:
    """Give the till ``ask.asker`` a part of a lease; the same id gets the same answer.

    The till may get less than it asks for, out of the lease that lasts longest.
    """
    row: Any = connection.execute(_QUERIES["sub_lease"], {"sub_lease_id": sub_lease_id}).fetchone()
    if row is not None:
        lease_id, till_edge_id, amount, until_ms, state = row
        if till_edge_id == ask.asker and state == "open":
            return Lent(lease_id=lease_id, amount=amount, spend_until_ms=until_ms)
        return _not_lent(Reason.VOIDED)
    if not standing.may_spend:
        return _not_lent(Reason.RECOVERING)
    open_count = connection.execute(
        _QUERIES["open_sub_leases_of_till"], {"till_edge_id": ask.asker}
    ).get
    assert isinstance(open_count, int), "a count is a number"
    if open_count >= SUB_LEASES_PER_TILL_MAX:
        return _not_lent(Reason.OVER_CAP)
    for book in reversed(books_of(connection, ask.owner, ask.asset)):
        amount = sub_lease_amount(book, ask.amount, standing)
        if amount > 0:
            return _lend(connection, sub_lease_id, ask, book.right, amount, standing)
    return _not_lent(Reason.NOT_COVERED)


def close_sub_lease(
    connection: apsw.Connection,
    sub_lease_id: str,
    till_edge_id: int,
    spend_count: int,
    spent_amount: int,
    standing: Standing,
    *,
    is_certain: bool = True,
) -> bool:
    """A till's part comes back with what was spent of it; False when it is none of this hub's.

    More than was lent cannot be spent; what a till claims beyond it is not kept. From a till that
    is not certain nothing comes back: what it forgot may have been spent, so the whole lease is
    closed, and central gives back what is left once it has heard of everything.
    """
    row: Any = connection.execute(_QUERIES["sub_lease"], {"sub_lease_id": sub_lease_id}).fetchone()
    if row is None or row[1] != till_edge_id or not 0 <= spent_amount <= row[2] or spend_count < 0:
        return False
    lease_id, _, _, _, state = row
    if state == "closed":
        return True
    fact = SubLeaseClosed(
        sub_lease_id=sub_lease_id,
        lease_id=lease_id,
        spend_count=spend_count,
        spent_amount=spent_amount,
        is_certain=is_certain,
    )
    if not is_certain:
        connection.execute(_QUERIES["doubt_lease"], {"lease_id": lease_id})
    connection.execute(
        _QUERIES["close_sub_lease"],
        {
            "sub_lease_id": sub_lease_id,
            "spend_count": spend_count,
            "spent_amount": spent_amount,
        },
    )
    uid = hashlib.sha256(b"kopilka.sub_close.v1" + sub_lease_id.encode()).digest()[:UID_BYTES]
    append_money(connection, uid, FactKind.SUB_LEASE_CLOSED, fact, standing)
    return True


def wanted_back(connection: apsw.Connection, till_edge_id: int, standing: Standing) -> list[str]:
    """The parts that a till should give back now."""
    parameters = {
        "till_edge_id": till_edge_id,
        "epoch": standing.epoch,
        "now_ms": standing.now_ms,
    }
    rows: list[Any] = connection.execute(_QUERIES["sub_leases_wanted_back"], parameters).fetchall()
    return [sub_lease_id for (sub_lease_id,) in rows]


def _lend(
    connection: apsw.Connection,
    sub_lease_id: str,
    ask: Ask,
    right: Right,
    amount: int,
    standing: Standing,
) -> Lent:
    connection.execute(
        _QUERIES["insert_sub_lease"],
        {
            "sub_lease_id": sub_lease_id,
            "lease_id": right.lease_id,
            "till_edge_id": ask.asker,
            "owner": ask.owner,
            "asset": ask.asset,
            "amount": amount,
            "spend_until_ms": right.spend_until_ms,
        },
    )
    fact = SubLeaseGranted(
        sub_lease_id=sub_lease_id,
        lease_id=right.lease_id,
        till_edge_id=ask.asker,
        amount=amount,
        spend_until_ms=right.spend_until_ms,
    )
    uid = hashlib.sha256(b"kopilka.sub_lease.v1" + sub_lease_id.encode()).digest()[:UID_BYTES]
    append_money(connection, uid, FactKind.SUB_LEASE_GRANTED, fact, standing)
    return Lent(lease_id=right.lease_id, amount=amount, spend_until_ms=right.spend_until_ms)


def _not_lent(reason: Reason) -> Lent:
    return Lent(lease_id="", amount=0, spend_until_ms=0, reason=reason)

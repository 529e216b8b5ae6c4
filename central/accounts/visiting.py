"""Lend to the store where a member is now: a short lease of what the sale may take. Pure.

Whatever the home store holds is asked back. An online store answers within a second; from one
that is offline nothing comes back before it is heard of, and the visitor has to do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from central.accounts import lending
from central.accounts.books import AMOUNT_MAX, Account, AccountKind, Books, Lease, Purse
from central.accounts.lending import Holder
from central.accounts.policy import Lending
from shared.wire.feed import LeaseState

VISIT_TERM_MS: Final = 15 * 60_000
"""A visit is short: then the store closes the lease, and the points are at home again."""
_VISIT: Final = Lending(cap=AMOUNT_MAX, term_ms=VISIT_TERM_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The lease that the store of the visit holds now, and whether more is on its way back."""

    lease: Lease | None
    recalled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look without locks has shown of one asset of one owner.

    ``heir``: who the owner was merged into, or the owner. ``leases``: all live ones.
    """

    heir: str
    free: int
    leases: Sequence[Lease]


def lend_for_visit(
    books: Books, holder: Holder, owner: str, asset: str, amount: int, *, now_ms: int
) -> Visit:
    """Lend so much, or what is free of it, to an edge whose customer stands at the till."""
    assert 0 < amount <= AMOUNT_MAX, "amounts are checked at the border"
    purse = books.purse(owner, asset)
    lending.grant(books, holder, purse.owner, asset, now_ms=now_ms, lending=_VISIT, quota=amount)
    lease = lending.live_lease(books, holder, purse)
    recalled = False
    if lease is None or books.escrow(lease) < amount:
        for other in books.leases_of(purse):
            if other.edge_id != holder.edge_id and books.escrow(other) > 0:
                lending.recall(books, other)
                recalled = recalled or other.state is LeaseState.RECALLED
    return Visit(lease=lease, recalled=recalled)


def settled_visit(
    seen: Seen, holder: Holder, owner: str, asset: str, amount: int, *, now_ms: int
) -> Visit | None:
    """The answer where asking changes nothing: it is lent already, or on its way back already.

    None: something is to be lent or asked back, for which the owner's rows have to be locked. It is
    the same decision, made on books of what was seen; nobody keeps what it changed.
    """
    books = Books(whole=True)
    for name in {owner, *(lease.owner for lease in seen.leases)} - {seen.heir}:
        books.aliases[name] = seen.heir
    purse = Purse(seen.heir, asset)
    books.balances[Account(AccountKind.AVAIL, purse.owner, asset)] = seen.free
    for lease in seen.leases:
        books.know_lease(lease)
        books.balances[lease.account] = (
            lease.granted - (lease.spent_amount - lease.short_amount) - lease.returned_amount
        )
    visit = lend_for_visit(books, holder, owner, asset, amount, now_ms=now_ms)
    changes = books.take_changes()
    return None if changes.leases or changes.transfers else visit

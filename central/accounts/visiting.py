"""Lend to the store where a member is now: a short lease of what the sale may take.

Whatever the home store holds is asked back. An online store answers within a second; from one
that is offline nothing comes back before it is heard of, and the visitor has to do without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from central.accounts import lending, store
from central.accounts.books import AMOUNT_MAX, Lease, Purse
from central.accounts.lending import Holder
from central.accounts.needs import Needs
from central.accounts.policy import Lending
from central.database.pool import Connection

VISIT_TERM_MS: Final = 15 * 60_000
"""A visit is short: then the store closes the lease, and the points are at home again."""
_VISIT: Final = Lending(cap=AMOUNT_MAX, term_ms=VISIT_TERM_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The lease that the store of the visit holds now, and whether others were asked for more."""

    lease: Lease | None
    recalled: bool


async def lend_for_visit(
    connection: Connection, holder: Holder, purse: Purse, amount: int, *, now_ms: int
) -> Visit:
    """Lend so much, or what is free of it, to an edge whose customer stands at the till.

    Raises:
        LostRaceError: begin the transaction anew.
    """
    assert 0 < amount <= AMOUNT_MAX, "amounts are checked at the border"
    books = await store.load(connection, Needs(purses={purse}))
    here = books.purse(purse.owner, purse.asset)
    lending.grant(
        books,
        holder,
        here.owner,
        here.asset,
        now_ms=now_ms,
        lending=_VISIT,
        quota=amount,
    )
    lease = lending.live_lease(books, holder, here)
    recalled = False
    if lease is None or books.escrow(lease) < amount:
        for other in books.leases_of(here):
            if other.edge_id != holder.edge_id and books.escrow(other) > 0:
                lending.recall(books, other)
                recalled = True
    await store.save(connection, books, now_ms=now_ms)
    return Visit(lease=lease, recalled=recalled)

"""What everybody together may have of a promotion, as rights that stores hold: funded, lent, kept.

A budget is an owner's asset in the ledger like any other: the owner is the promotion. What a store
holds of it was set aside, so however many shops are cut off, together they cannot give more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from psycopg.rows import DictRow

from central.accounts import lending, store
from central.accounts.books import AMOUNT_MAX, AccountKind, Books, Lease, Purse, transfer_id_of
from central.accounts.lending import Holder
from central.accounts.needs import Needs
from central.accounts.policy import PPM, Lending, lending_of
from central.accounts.visiting import Visit
from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, rows_of, run
from central.limits.policy import RESERVE_PPM, Part, forecast, quota_for, quotas_of, to_recall
from shared.engine.program import Limits
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.uses import budgets_of
from shared.wire.feed import LeaseState

FORECAST_DAYS: Final = 28
IN_TOUCH_S: Final = 120
"""An agent asks for news again at least once a minute."""
RECOUNTED_DAYS: Final = 3
"""Receipts come late; older days change little."""
BATCH: Final = 50
"""Budgets in one transaction of a job, each lent to every store."""
_QUERIES: Final = load_queries("central.limits")


async def put_in_force(
    connection: Connection, limits: Mapping[str, Limits], version: int, *, now_ms: int
) -> None:
    """Make budgets what the programme now in force says, and lend stores their parts.

    A raised budget is given the difference, of a lowered one goes what is free; what a store holds
    beyond it is asked back. The budget of a promotion that is gone comes back whole.
    """
    wanted = {
        Purse(promotion, asset): min(amount, AMOUNT_MAX)
        for promotion, each in limits.items()
        for asset, amount in budgets_of(each).items()
    }
    await run(connection, _QUERIES["budgets_lock"])
    known = {
        Purse(row["promotion"], row["asset"]): row["amount"]
        for row in await rows_of(connection, _QUERIES["budgets"])
    }
    amounts = {purse: wanted.get(purse, 0) for purse in {*wanted, *known}}
    amounts = {purse: amount for purse, amount in amounts.items() if amount or known.get(purse, 0)}
    if not amounts:
        return
    await _set(connection, amounts, version, now_ms=now_ms, lend=True)


async def tend(connection: Connection, after: Purse, *, now_ms: int) -> Purse | None:
    """Lend stores what they lack of budgets, a bounded number after ``after``.

    Returns:
        The last budget seen, to go on from; None at the end.
    """
    rows = await rows_of(
        connection,
        _QUERIES["budgets_in_force"],
        {"promotion": after.owner, "asset": after.asset, "limit": BATCH},
    )
    for row in rows:
        purse = Purse(row["promotion"], row["asset"])
        await _set(connection, {purse: row["amount"]}, row["version"], now_ms=now_ms, lend=True)
    return Purse(rows[-1]["promotion"], rows[-1]["asset"]) if rows else None


async def take_excess(connection: Connection, *, now_ms: int) -> int:
    """Take what came back of budgets that were lowered or are over (a bounded number); how many."""
    rows = await rows_of(connection, _QUERIES["budgets_with_excess"], {"limit": BATCH})
    for row in rows:
        purse = Purse(row["promotion"], row["asset"])
        await _set(connection, {purse: row["amount"]}, row["version"], now_ms=now_ms, lend=False)
    return len(rows)


async def lend_to_asker(
    connection: Connection, holder: Holder, purse: Purse, asked: int, *, now_ms: int
) -> Visit:
    """Lend a store that ran short its share of what is left, at least what it asks for.

    Where central has nothing free, the largest unused part of a store in touch is asked back.

    Raises:
        NotFoundError: the promotion has no such budget.
    """
    row = await row_of(
        connection, _QUERIES["budget"], {"promotion": purse.owner, "asset": purse.asset}
    )
    if row is None or not row["amount"]:
        raise NotFoundError("this promotion has no such budget", code="unknown_budget")
    weights = await _weights(connection)
    books = await store.load(connection, Needs(purses={purse}))
    left = books.balance(AccountKind.AVAIL, purse) + books.lent(purse)
    lease = lending.live_lease(books, holder, purse)
    if lease is None or books.escrow(lease) < asked:
        lending.grant(
            books,
            holder,
            purse.owner,
            purse.asset,
            now_ms=now_ms,
            lending=_TO_ASKER,
            quota=quota_for(asked, left, holder.store_id, weights),
            keep_quota=True,
        )
        lease = lending.live_lease(books, holder, purse)
    has = books.escrow(lease) if lease is not None else 0
    recalled = False
    if has < asked:
        recalled = await _recall_one(connection, books, holder, purse, asked - has)
    await store.save(connection, books, now_ms=now_ms)
    return Visit(lease=lease, recalled=recalled)


async def report(connection: Connection) -> list[DictRow]:
    """For people, of every budget: amount, used by right, free, held by stores, held in silence.

    What was used beyond every right is the stores' shortage, with an incident each.
    """
    return await rows_of(connection, _QUERIES["budgets_report"])


async def count_traffic(connection: Connection, today: str) -> None:
    """Note how many receipts each store had on the last days, for forecasts."""
    day = dt.date.fromisoformat(today)
    first = (day - dt.timedelta(days=RECOUNTED_DAYS)).isoformat()
    await run(connection, _QUERIES["count_traffic"], {"first": first, "last": today})
    before = (day - dt.timedelta(days=2 * FORECAST_DAYS)).isoformat()
    await run(connection, _QUERIES["forget_traffic"], {"before": before})


_TO_ASKER: Final = Lending(
    term_ms=lending_of("budget:times").term_ms,
    refill_below_ppm=PPM,
)
"""Who asks has less than a receipt needs, however large a part of the quota that is."""


async def _set(
    connection: Connection,
    amounts: Mapping[Purse, int],
    version: int,
    *,
    now_ms: int,
    lend: bool,
) -> None:
    """Bring budgets to their amounts as far as that is possible now, and lend what is free."""
    books = await store.load(connection, Needs(purses=set(amounts), lots=True))
    excesses = {purse: _adjust(books, purse, amounts[purse], version) for purse in amounts}
    if lend:
        for purse in sorted(amounts, key=lambda each: (each.owner, each.asset)):
            if amounts[purse] and not excesses[purse]:
                await _lend(connection, books, purse, now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    ordered = sorted(amounts, key=lambda each: (each.owner, each.asset))
    await run(
        connection,
        _QUERIES["put_budgets"],
        as_arrays(
            {
                "promotions": [purse.owner for purse in ordered],
                "assets": [purse.asset for purse in ordered],
                "amounts": [amounts[purse] for purse in ordered],
                "versions": [version for _ in ordered],
                "excesses": [excesses[purse] for purse in ordered],
            }
        ),
    )


def _adjust(books: Books, purse: Purse, amount: int, version: int) -> int:
    """Fund or take; what is still lent beyond the amount, and was asked back."""
    funded = sum(books.lots_of(purse).values())
    cause = transfer_id_of("budget", purse.owner, purse.asset, version, funded, amount)
    if funded < amount:
        lending.fund(
            books, purse.owner, purse.asset, amount - funded, cause=cause, reason="budget.funded"
        )
        return 0
    taken = min(funded - amount, books.balance(AccountKind.AVAIL, purse))
    if taken:
        lending.unfund(books, purse.owner, purse.asset, taken, cause=cause)
    excess = min(funded - amount - taken, books.lent(purse))
    on_its_way = 0
    leases = books.leases_of(purse)
    for lease in sorted(leases, key=lambda each: (-books.escrow(each), each.lease_id)):
        # Of what is over everything comes back, also the right that is worth nothing any more.
        if on_its_way < excess or amount == 0:
            lending.recall(books, lease)
            on_its_way += books.escrow(lease)
    return excess


async def _lend(connection: Connection, books: Books, purse: Purse, *, now_ms: int) -> None:
    weights = await _weights(connection)
    left = books.balance(AccountKind.AVAIL, purse) + books.lent(purse)
    quotas = quotas_of(left, weights, reserve_ppm=RESERVE_PPM)
    for holder in await store.holders_of_stores(connection, quotas):
        lease = lending.live_lease(books, holder, purse)
        quota = max(quotas[holder.store_id], (lease.quota or 0) if lease is not None else 0)
        if quota:
            lending.grant(
                books,
                holder,
                purse.owner,
                purse.asset,
                now_ms=now_ms,
                quota=quota,
                keep_quota=True,
            )


async def _weights(connection: Connection) -> dict[str, int]:
    """How much each store with a hub counts; every promotion is forecast alike."""
    rows = await rows_of(connection, _QUERIES["traffic_lately"], {"days": FORECAST_DAYS})
    receipts = {row["store_id"]: row["receipts"] for row in rows}
    return forecast(receipts, await store.stores_with_hubs(connection))


async def _recall_one(
    connection: Connection, books: Books, holder: Holder, purse: Purse, missing: int
) -> bool:
    """Ask one part back, if nothing is on its way; whether something is."""
    leases = [lease for lease in books.leases_of(purse) if books.escrow(lease) > 0]
    edges = sorted({lease.edge_id for lease in leases})
    rows = await rows_of(
        connection,
        _QUERIES["in_touch"],
        as_arrays({"edge_ids": edges, "seconds": IN_TOUCH_S}),
    )
    heard = {row["edge_id"] for row in rows}
    parts = [_part(books, lease, heard) for lease in leases]
    chosen = to_recall(parts, holder.edge_id, missing)
    if chosen is not None:
        lending.recall(books, books.leases[chosen])
    return any(
        lease.state is LeaseState.RECALLED and lease.edge_id in heard
        for lease in leases
        if lease.edge_id != holder.edge_id
    )


def _part(books: Books, lease: Lease, heard: set[Any]) -> Part:
    return Part(
        lease_id=lease.lease_id,
        edge_id=lease.edge_id,
        left=books.escrow(lease),
        recalled=lease.state is LeaseState.RECALLED,
        in_touch=lease.edge_id in heard,
    )

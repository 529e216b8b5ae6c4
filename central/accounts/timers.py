"""What the ledger does when its day has come: load, change, save, in the caller's transaction.

Everything here is bounded: what is beyond the bound is done in the next turn.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from central.accounts import holds as online
from central.accounts import lending, store, upkeep
from central.accounts.books import Purse
from central.accounts.needs import Needs
from central.accounts.policy import Fate, lending_of
from central.accounts.service import AT_HOME, BATCH, lend_home
from central.database.pool import Connection
from shared.logs import get_logger
from shared.wire.assets import asset_parts, points_asset

LOTS_KEPT_DAYS: Final = 60
"""A lot is forgotten so long after its last day, when nothing of it is left."""
_LOG = get_logger(__name__)


async def activate_due(connection: Connection, today: str, *, now_ms: int) -> int:
    """Free the pending points whose day has come (a bounded number); how many lots."""
    needs = await store.due_lots(connection, today, limit=BATCH)
    if not needs.sales:
        return 0
    books = await store.load(connection, needs)
    count = upkeep.activate(books, today)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return count


async def expire_due(
    connection: Connection, today: str, *, after: Purse, now_ms: int
) -> Purse | None:
    """Let points past their last day expire, for a bounded number of owners after ``after``.

    Returns:
        The last owner seen, to go on from; None at the end.
    """
    purses = await store.due_expiry(connection, today, after=after, limit=BATCH)
    if not purses:
        return None
    books = await store.load(connection, Needs(purses=set(purses), lots=True))
    gone: list[tuple[Purse, str]] = []
    long_past = dt.date.fromisoformat(today) - dt.timedelta(days=LOTS_KEPT_DAYS)
    for purse in purses:
        upkeep.expire(books, purse.owner, purse.asset, today, now_ms=now_ms)
        here = books.purse(purse.owner, purse.asset)
        if lending.overdue(books, here, today) == 0:
            days = books.lots_of(purse)
            gone += [(purse, day) for day in days if day < long_past.isoformat()]
    await store.save(connection, books, now_ms=now_ms)
    await store.forget_lots(connection, gone)
    return purses[-1]


async def renew_leases(
    connection: Connection, today: str, *, after: str, now_ms: int
) -> tuple[int, str | None]:
    """Prolong leases of agents in touch, a bounded number after ``after``.

    Of a member's leases only that of the home store is prolonged: one for a visit is short.

    Returns:
        How many were prolonged, and the last lease seen, to go on from; None at the end.
    """
    below_ms = now_ms + lending_of(points_asset("")).renew_below_ms
    rows = await store.due_renewals(connection, renew_below_ms=below_ms, after=after, limit=BATCH)
    if not rows:
        return 0, None
    needs = Needs(
        leases={row["lease_id"] for row in rows},
        purses={Purse(row["owner"], row["asset"]) for row in rows},
        lots=True,
    )
    books = await store.load(connection, needs)
    leases = [books.leases[row["lease_id"]] for row in rows]
    holders = await store.home_holders(
        connection, [books.owner_of(lease.owner) for lease in leases]
    )
    count = 0
    for lease in leases:
        home = holders.get(books.owner_of(lease.owner))
        stays = asset_parts(lease.asset)[0] not in AT_HOME
        if stays or (home is not None and home.edge_id == lease.edge_id):
            count += lending.renew(books, lease, now_ms=now_ms, today=today)
    await store.save(connection, books, now_ms=now_ms)
    return count, rows[-1]["lease_id"]


async def settle_due(
    connection: Connection, *, after: str, now_ms: int
) -> tuple[list[str], str | None]:
    """Write off small leases that ran out long ago; large ones are left to a person.

    Returns:
        The leases on which a person has to decide, and the last lease seen, to go on from; None
        at the end.
    """
    ids = await store.due_settling(connection, until_ms=now_ms, after=after, limit=BATCH)
    if not ids:
        return [], None
    books = await store.load(connection, Needs(leases=set(ids)))
    asked: list[str] = []
    for lease_id in ids:
        fate = lending.settle(books, books.leases[lease_id], now_ms=now_ms)
        if fate is Fate.ASK:
            asked.append(lease_id)
        elif fate is Fate.WRITE_OFF:
            _LOG.warning("lease.written_off", lease_id=lease_id)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return asked, ids[-1]


async def expire_holds(connection: Connection, *, now_ms: int) -> int:
    """Let go of holds that nobody captured in time (a bounded number); how many."""
    needs = await store.due_holds(connection, now_ms=now_ms, limit=BATCH)
    if not needs.holds:
        return 0
    books = await store.load(connection, needs)
    count = online.expire_holds(books, now_ms=now_ms)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return count

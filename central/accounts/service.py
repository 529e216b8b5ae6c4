"""What head office and its timers do with points: load, change, save, in the caller's transaction.

Everything here is bounded: a job that finds more than its bound does the rest in its next turn.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from psycopg.rows import DictRow

from central.accounts import holds as online
from central.accounts import lending, store, upkeep
from central.accounts.books import AccountKind, Books, Origin, Purse, transfer_id_of
from central.accounts.holds import Held
from central.accounts.needs import Needs
from central.accounts.policy import Fate, lending_of
from central.database.pool import Connection
from shared.errors import NotFoundError
from shared.logs import get_logger
from shared.wire.assets import AssetKind, asset_parts, points_asset
from shared.wire.facts import Incident
from shared.wire.feed import LeaseState

BATCH: Final = 500
"""Owners or leases in one transaction of a job."""
LOTS_KEPT_DAYS: Final = 60
"""A lot is forgotten so long after its last day, when nothing of it is left."""
_AT_HOME: Final = frozenset({AssetKind.POINTS, AssetKind.COUPON, AssetKind.LIMIT})
"""Kinds whose owners are members, and are lent to the hub of their home store."""
_LOG = get_logger(__name__)


async def open_balances(connection: Connection, opening: dict[Purse, int], *, now_ms: int) -> None:
    """Points that members bring along from before; importing the same again changes nothing."""
    causes = {
        purse: transfer_id_of("opening", purse.owner, asset_parts(purse.asset)[1])
        for purse in opening
    }
    books = await store.load(connection, Needs(purses=set(opening), causes=set(causes.values())))
    for purse, amount in opening.items():
        if amount > 0:
            lending.fund(
                books, purse.owner, purse.asset, amount, cause=causes[purse], reason="opening"
            )
    await lend_home(connection, books, set(opening), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)


async def open_balance(
    connection: Connection, customer_id: str, account: str, amount: int, *, now_ms: int
) -> None:
    """The points (hundredths) of one account that one member brings along."""
    purse = Purse(customer_id, points_asset(account))
    await open_balances(connection, {purse: amount}, now_ms=now_ms)


async def lend_home(
    connection: Connection, books: Books, purses: set[Purse], *, now_ms: int
) -> None:
    """Lend what is free in these purses to the hubs of their members' home stores.

    Members without a home store, or whose hub is not there, keep it free; so do those whose lease
    was recalled and has come back just now, for the sale that it was recalled for.
    """
    wanting = [
        purse
        for purse in purses - books.wanted
        if asset_parts(purse.asset)[0] in _AT_HOME and books.balance(AccountKind.AVAIL, purse) > 0
    ]
    if not wanting:
        return
    holders = await store.home_holders(connection, [purse.owner for purse in wanting])
    for purse in sorted(wanting, key=lambda each: (each.owner, each.asset)):
        if (holder := holders.get(purse.owner)) is not None:
            lending.grant(books, holder, purse.owner, purse.asset, now_ms=now_ms)


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
        upkeep.expire(books, purse.owner, purse.asset, today)
        here = books.purse(purse.owner, purse.asset)
        if lending.overdue(books, here, today) == 0:
            days = books.lots_of(purse)
            gone += [(purse, day) for day in days if day < long_past.isoformat()]
    await store.save(connection, books, now_ms=now_ms)
    await store.forget_lots(connection, gone)
    return purses[-1]


async def lend_to_new_hub(connection: Connection, store_id: str, *, now_ms: int) -> int:
    """Give a hub that has just enrolled the leases of its store's members; how many purses."""
    count, after = 0, ""
    while purses := await store.homeless(connection, store_id, after=after, limit=BATCH):
        books = await store.load(connection, Needs(purses=set(purses)))
        await lend_home(connection, books, set(purses), now_ms=now_ms)
        await store.save(connection, books, now_ms=now_ms)
        count, after = count + len(purses), purses[-1].owner
    return count


async def stores_with_hubs(connection: Connection) -> list[str]:
    """Stores that have an agent which may hold leases."""
    return await store.stores_with_hubs(connection)


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
        stays = asset_parts(lease.asset)[0] not in _AT_HOME
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


async def undecided(connection: Connection) -> list[DictRow]:
    """Leases on which a person may have to decide, at most ``BATCH``, the oldest first."""
    return await store.undecided(connection, limit=BATCH)


async def write_off(connection: Connection, lease_id: str, *, now_ms: int) -> list[Incident]:
    """A person decides that a lease's holder will not be heard of again.

    Raises:
        NotFoundError: there is no such lease.
    """
    books = await store.load(connection, Needs(leases={lease_id}))
    lease = books.lease(lease_id)
    if lease is None:
        raise NotFoundError(f"there is no lease {lease_id}")
    incidents = lending.write_off(books, lease)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return incidents


async def freeze_edge(connection: Connection, edge_id: int, epoch: int, *, now_ms: int) -> int:
    """Hold all leases of an edge, of this epoch and older ones; how many."""
    books = await store.load(connection, Needs(edges={edge_id}))
    frozen = lending.freeze(books, edge_id, epoch, now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return len(frozen)


async def clear_edge(
    connection: Connection,
    edge_id: int,
    epoch: int,
    *,
    now_ms: int,
    heard_until_ms: int | None = None,
) -> int:
    """Settle the frozen leases of an edge that has proved that nothing is missing.

    ``heard_until_ms``: as ``lending.clear``. Returns how many have to stay frozen for now.
    """
    books = await store.load(connection, Needs(edges={edge_id}))
    lending.clear(books, edge_id, epoch, heard_until_ms=heard_until_ms)
    waiting = [
        lease
        for lease in books.leases_at(edge_id, epoch_max=epoch)
        if lease.state is LeaseState.FROZEN
    ]
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return len(waiting)


async def hold(
    connection: Connection,
    origin: Origin,
    uid: bytes,
    purse: Purse,
    amount: int,
    *,
    expires_at_ms: int,
    now_ms: int,
) -> Held:
    """Set an amount aside for a sale that asks central; what it lacks is recalled from leases."""
    books = await store.load(connection, Needs(purses={purse}, holds={uid}))
    answer = online.hold(
        books, origin, uid, purse.owner, purse.asset, amount, expires_at_ms=expires_at_ms
    )
    if not answer.granted:
        for lease in answer.reserved:
            lending.recall(books, lease)
    await store.save(connection, books, now_ms=now_ms)
    return answer


async def capture(
    connection: Connection, origin: Origin, uid: bytes, purse: Purse, amount: int, *, now_ms: int
) -> list[Incident]:
    """The sale behind a hold was made."""
    books = await store.load(connection, Needs(purses={purse}, holds={uid}))
    incidents = online.capture(books, origin, uid, purse.owner, purse.asset, amount)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return incidents


async def release(connection: Connection, origin: Origin, uid: bytes, *, now_ms: int) -> None:
    """Nothing came of the sale behind a hold."""
    books = await store.load(connection, Needs(holds={uid}))
    online.release(books, origin, uid)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)


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


async def merge_customers(connection: Connection, alias: str, owner: str, *, now_ms: int) -> None:
    """Give all that one customer has to another, now and in future."""
    assets = await store.assets_of(connection, [alias, owner])
    purses = {Purse(each, asset) for each in (alias, owner) for asset in assets}
    books = await store.load(connection, Needs(purses=purses, lots=True))
    upkeep.merge(books, alias, owner, assets)
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)


async def give_goodwill(
    connection: Connection, purse: Purse, amount: int, *, cause: bytes, now_ms: int
) -> None:
    """A present by a person's decision, once per ``cause``."""
    books = await store.load(connection, Needs(purses={purse}, causes={cause}))
    upkeep.give_goodwill(books, purse.owner, purse.asset, amount, cause=cause, expires_on=None)
    await lend_home(connection, books, {purse}, now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)

"""What head office does with points: load, change, save, in the caller's transaction.

What comes by its day alone is in ``timers``.
"""

from __future__ import annotations

from typing import Final

from psycopg.rows import DictRow

from central.accounts import holds as online
from central.accounts import lending, store, upkeep, visiting
from central.accounts.books import CENTRAL, AccountKind, Books, Origin, Purse, transfer_id_of
from central.accounts.holds import Held
from central.accounts.lending import Holder
from central.accounts.needs import Needs
from central.accounts.visiting import Visit
from central.database.pool import Connection
from shared.errors import NotFoundError
from shared.logs import get_logger
from shared.wire.assets import AssetKind, asset_parts, points_asset
from shared.wire.facts import Incident
from shared.wire.feed import LeaseState

BATCH: Final = 500
"""Owners or leases in one transaction of a job."""
AT_HOME: Final = frozenset({AssetKind.POINTS, AssetKind.COUPON, AssetKind.LIMIT})
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
    """Lend what is free in these purses to members' home stores, and fill up quotas spent from.

    Members without a home store, or whose hub is not there, keep it free; so do those whose lease
    was recalled and has come back just now, for the sale that it was recalled for.
    """
    lending.refill(books, now_ms=now_ms)
    wanting = [
        purse
        for purse in purses - books.wanted
        if asset_parts(purse.asset)[0] in AT_HOME and books.balance(AccountKind.AVAIL, purse) > 0
    ]
    if not wanting:
        return
    holders = await store.home_holders(connection, [purse.owner for purse in wanting])
    for purse in sorted(wanting, key=lambda each: (each.owner, each.asset)):
        if (holder := holders.get(purse.owner)) is not None:
            lending.grant(books, holder, purse.owner, purse.asset, now_ms=now_ms)


async def fund(
    connection: Connection,
    purse: Purse,
    amount: int,
    *,
    cause: bytes,
    store_id: str = CENTRAL,
    expires_on: str | None = None,
    now_ms: int,
) -> None:
    """Give an owner something once per ``cause``: a gift card's money, a coupon, a limit's uses."""
    books = await store.load(connection, Needs(purses={purse}, causes={cause}))
    lending.fund(
        books,
        purse.owner,
        purse.asset,
        amount,
        cause=cause,
        expires_on=expires_on,
        store_id=store_id,
    )
    await lend_home(connection, books, {purse}, now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)


async def unfund(
    connection: Connection,
    purse: Purse,
    amount: int,
    *,
    cause: bytes,
    store_id: str = CENTRAL,
    now_ms: int,
) -> bool:
    """Take that back whole, once per ``cause``; False when some of it is used or lent."""
    books = await store.load(connection, Needs(purses={purse}, causes={cause}))
    done = lending.unfund(books, purse.owner, purse.asset, amount, cause=cause, store_id=store_id)
    await store.save(connection, books, now_ms=now_ms)
    return done


async def lend_quotas(
    connection: Connection, purse: Purse, quotas: dict[str, int], *, now_ms: int
) -> list[str]:
    """Lend a budget to stores, to each its quota, to be filled up when less than 30 % is left.

    Returns:
        The stores that hold a quota now, as far as the budget reached, in order.
    """
    books = await store.load(connection, Needs(purses={purse}))
    served: list[str] = []
    for holder in await store.holders_of_stores(connection, quotas):
        lease = lending.grant(
            books,
            holder,
            purse.owner,
            purse.asset,
            now_ms=now_ms,
            quota=quotas[holder.store_id],
            keep_quota=True,
        )
        if lease is not None:
            served.append(holder.store_id)
    await store.save(connection, books, now_ms=now_ms)
    return served


async def recall(connection: Connection, purse: Purse, *, now_ms: int) -> int:
    """Ask back all that is lent of an owner's asset, such as an ending budget; how many leases."""
    books = await store.load(connection, Needs(purses={purse}))
    leases = books.leases_of(books.purse(purse.owner, purse.asset))
    count = sum(lending.recall(books, lease) for lease in leases)
    await store.save(connection, books, now_ms=now_ms)
    return count


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
    leases = await store.uncertain_leases(connection, edge_id)
    books = await store.load(connection, Needs(edges={edge_id}, leases=leases))
    lending.clear(books, edge_id, epoch, heard_until_ms=heard_until_ms)
    waiting = [
        lease
        for lease in books.leases_at(edge_id, epoch_max=epoch)
        if lease.state is LeaseState.FROZEN
    ]
    await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return len(waiting)


async def lend_for_visit(
    connection: Connection, holder: Holder, purse: Purse, amount: int, *, now_ms: int
) -> Visit:
    """Lend so much, or what is free of it, to the store that a member visits."""
    books = await store.load(connection, Needs(purses={purse}))
    visit = visiting.lend_for_visit(books, holder, purse.owner, purse.asset, amount, now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return visit


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

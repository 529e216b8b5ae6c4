"""Books from PostgreSQL and back: a few statements for a whole batch, whatever its size.

Whoever holds the row of an owner's ``avail`` may read and change all that is the owner's: other
accounts, leases, spends, holds, lots. These rows are locked in the order of their ids, the accounts
of stores after them in the same order; there is no other lock. Two sources that tell one spend at
the same moment meet in its primary key: the later one begins anew (``LostRaceError``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from psycopg.rows import DictRow

from central.accounts.books import (
    SYSTEM,
    Account,
    AccountKind,
    Books,
    Changes,
    Hold,
    HoldState,
    Lease,
    PendingLot,
    Purse,
    Spend,
    SpendState,
    SubLease,
    transfer_id_of,
)
from central.accounts.lending import Holder, entry_of
from central.accounts.needs import Needs
from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, rows_of, run
from central.database.retry import LostRaceError
from central.feed import store as feed
from shared.sqlfile import load_queries
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.feed import BalanceEntry, LeaseState, Topic

_QUERIES: Final = load_queries("central.accounts")
_OWNED: Final = (AccountKind.PENDING, AccountKind.DEBT, AccountKind.HELD)
_LEASE: Final = tuple(Lease.__dataclass_fields__)
_SUB_LEASE: Final = tuple(SubLease.__dataclass_fields__)
_SPEND: Final = tuple(Spend.__dataclass_fields__)
_HOLD: Final = tuple(Hold.__dataclass_fields__)
_PENDING: Final = tuple(PendingLot.__dataclass_fields__)
_T = TypeVar("_T")


async def load(connection: Connection, needs: Needs) -> Books:
    """Lock and read what a piece of work needs; the locks last until the transaction ends.

    Raises:
        LostRaceError: another transaction changed whose rows are; begin the transaction anew.
    """
    books = Books()
    purses = set(needs.purses)
    keys: dict[str, Any] = {
        "leases": sorted(needs.leases),
        "spends": sorted(needs.spends),
        "holds": sorted(needs.holds),
        "edges": sorted(needs.edges),
        "sales": sorted(needs.sales),
    }
    if any(keys.values()):
        rows = await _rows(connection, "purses_behind", keys)
        purses |= {Purse(row["owner"], row["asset"]) for row in rows}
    owners = sorted({purse.owner for purse in purses})
    rows = await _rows(connection, "aliases", {"owners": owners})
    books.aliases = {row["alias"]: row["owner"] for row in rows}
    books.known_purses = {Purse(books.owner_of(each.owner), each.asset) for each in purses}
    await _lock_owners(connection, books)
    await _load_leases(connection, books, needs, keys)
    await _load_rest(connection, books, needs, keys)
    _check_race(books)
    return books


async def save(connection: Connection, books: Books, *, now_ms: int) -> Changes:
    """Write what was changed, and announce the leases and balances it changed; what that was.

    Raises:
        LostRaceError: another transaction wrote one of these rows first; begin anew.
    """
    changes = books.take_changes()
    await _save_leases(connection, books, changes)
    await _save_rows(connection, books, changes)
    await _save_transfers(connection, books, changes)
    await _announce(connection, books, changes, now_ms=now_ms)
    return changes


async def home_holders(connection: Connection, owners: Iterable[str]) -> dict[str, Holder]:
    """Which agent may hold the leases of each of these members; those without one are left out."""
    rows = await _rows(connection, "home_holders", {"owners": sorted(set(owners))})
    return {
        row["customer_id"]: Holder(
            edge_id=row["edge_id"], store_id=row["store_id"], epoch=row["epoch"]
        )
        for row in rows
    }


async def uncertain_leases(connection: Connection, till_edge_id: int) -> set[str]:
    """Leases that wait for what this till may have spent of its part."""
    rows = await _rows(connection, "uncertain_leases", {"edge_id": till_edge_id})
    return {row["lease_id"] for row in rows}


async def holder_of(connection: Connection, edge_id: int) -> Holder | None:
    """An agent as a holder of leases; None while it is frozen."""
    row = await row_of(connection, _QUERIES["holder"], {"edge_id": edge_id})
    if row is None:
        return None
    return Holder(edge_id=row["edge_id"], store_id=row["store_id"], epoch=row["epoch"])


async def holders_of_stores(connection: Connection, stores: Iterable[str]) -> list[Holder]:
    """Which agents may hold leases of these stores; stores without one are left out."""
    rows = await _rows(connection, "holders_of_stores", {"stores": sorted(set(stores))})
    return [
        Holder(edge_id=row["edge_id"], store_id=row["store_id"], epoch=row["epoch"]) for row in rows
    ]


async def assets_of(connection: Connection, owners: list[str]) -> list[str]:
    """Every asset of which one of these owners has or had anything."""
    rows = await _rows(connection, "assets_of", {"owners": owners})
    return [row["asset"] for row in rows]


async def due_lots(connection: Connection, today: str, *, limit: int) -> Needs:
    """What freeing the lots of the day needs."""
    rows = await _rows(connection, "due_lots", {"today": today, "limit": limit})
    return Needs(
        sales={row["sale_uid"] for row in rows},
        purses={Purse(row["owner"], row["asset"]) for row in rows},
    )


async def due_holds(connection: Connection, *, now_ms: int, limit: int) -> Needs:
    """What letting go of holds that ran out needs."""
    rows = await _rows(connection, "due_holds", {"now_ms": now_ms, "limit": limit})
    return Needs(holds={row["hold_uid"] for row in rows})


async def due_expiry(
    connection: Connection, today: str, *, after: Purse, limit: int
) -> list[Purse]:
    """Purses with lots past their last day, in order, those after ``after``."""
    rows = await _rows(
        connection,
        "due_expiry",
        {"today": today, "owner": after.owner, "asset": after.asset, "limit": limit},
    )
    return [Purse(row["owner"], row["asset"]) for row in rows]


async def forget_lots(connection: Connection, gone: list[tuple[Purse, str]]) -> None:
    """Lots, by their last day, of which nothing is left."""
    await _run(
        connection,
        "forget_lots",
        {
            "owners": [purse.owner for purse, _ in gone],
            "assets": [purse.asset for purse, _ in gone],
            "days": [day for _, day in gone],
        },
    )


async def homeless(connection: Connection, store_id: str, *, after: str, limit: int) -> list[Purse]:
    """Purses of a store's members in which something is free, of members after ``after``."""
    rows = await _rows(
        connection, "homeless", {"store_id": store_id, "after": after, "limit": limit}
    )
    return [Purse(row["owner"], row["asset"]) for row in rows]


async def undecided(connection: Connection, *, limit: int) -> list[DictRow]:
    """Live leases that ran out, are frozen or wait for spends, the oldest first."""
    return await _rows(connection, "undecided", {"limit": limit})


async def stores_with_hubs(connection: Connection) -> list[str]:
    """Stores that have an agent which may hold leases."""
    return [row["store_id"] for row in await _rows(connection, "stores_with_hubs")]


async def due_renewals(
    connection: Connection, *, renew_below_ms: int, after: str, limit: int
) -> list[DictRow]:
    """Leases (lease_id, owner, asset) to be prolonged, in order, those after ``after``."""
    return await _rows(
        connection,
        "due_renewals",
        {"renew_below_ms": renew_below_ms, "after": after, "limit": limit},
    )


async def due_settling(
    connection: Connection, *, until_ms: int, after: str, limit: int
) -> list[str]:
    """Live leases that ran out before ``until_ms``, in order, those after ``after``."""
    rows = await _rows(
        connection,
        "due_settling",
        {"until_ms": until_ms, "after": after, "limit": limit},
    )
    return [row["lease_id"] for row in rows]


async def _lock_owners(connection: Connection, books: Books) -> None:
    named = {
        Account(AccountKind.AVAIL, purse.owner, purse.asset).account_id: purse
        for purse in books.known_purses
    }
    ids = sorted(named)
    rows = await _rows(connection, "lock_accounts", {"ids": ids})
    if len(rows) < len(ids):
        missing = sorted(set(ids) - {row["account_id"] for row in rows})
        accounts = [
            Account(AccountKind.AVAIL, named[key].owner, named[key].asset) for key in missing
        ]
        # What was made here is nobody else's; what another made meanwhile has to be waited for.
        made = await _ensure(connection, accounts)
        if theirs := sorted(set(missing) - made):
            rows += await _rows(connection, "lock_accounts", {"ids": theirs})
    for row in rows:  # what was just made holds nothing
        purse = named[row["account_id"]]
        books.balances[Account(AccountKind.AVAIL, purse.owner, purse.asset)] = row["balance"]
    others = {
        account.account_id: account
        for purse in books.known_purses
        for kind in _OWNED
        for account in [Account(kind, purse.owner, purse.asset)]
    }
    for row in await _rows(connection, "balances", {"ids": list(others)}):
        account = others[row["account_id"]]
        books.balances[account] = row["balance"]
        books.stored_accounts.add(account)


async def _load_leases(
    connection: Connection, books: Books, needs: Needs, keys: dict[str, Any]
) -> None:
    heirs: dict[str, list[str]] = defaultdict(list)
    for alias, owner in books.aliases.items():
        heirs[owner].append(alias)
    rights = [
        (owner, purse.asset)
        for purse in books.known_purses
        for owner in (purse.owner, *heirs[purse.owner])
    ]
    rows = await _rows(
        connection,
        "leases",
        keys
        | {
            "owners": [owner for owner, _ in rights],
            "assets": [asset for _, asset in rights],
        },
    )
    books.known_leases = set(needs.leases)
    for row in rows:
        row["state"] = LeaseState(row["state"])
        lease = Lease(**row)
        books.know_lease(lease)
        if lease.live:
            books.balances[lease.account] = (
                lease.granted - (lease.spent_amount - lease.short_amount) - lease.returned_amount
            )
    books.stored_leases = set(books.leases)


async def _load_rest(
    connection: Connection, books: Books, needs: Needs, keys: dict[str, Any]
) -> None:
    books.known_spends, books.known_sales = set(needs.spends), set(needs.sales)
    books.known_holds, books.known_sub_leases = set(needs.holds), set(needs.sub_leases)
    if needs.spends:
        for row in await _rows(connection, "spends", keys):
            row["state"] = SpendState(row["state"])
            books.spends[row["uid"]] = Spend(**row)
        books.stored_spends = set(books.spends)
    waiting = {
        lease.lease_id
        for lease in books.leases.values()
        if lease.close_count is not None and lease.live
    }
    closing = sorted(needs.closing | waiting)
    of_spends = any(spend.sub_lease_id for spend in books.spends.values())
    if needs.sub_leases or closing or needs.edges or of_spends:
        keys = keys | {"sub_leases": sorted(needs.sub_leases), "closing": closing}
        for row in await _rows(connection, "sub_leases", keys):
            books.sub_leases[row["sub_lease_id"]] = SubLease(**row)
        books.known_sub_leases |= set(books.sub_leases)
    if needs.sales:
        for row in await _rows(connection, "pending", keys):
            books.know_pending(PendingLot(**row))
    if needs.holds:
        for row in await _rows(connection, "holds", keys):
            row["state"] = HoldState(row["state"])
            books.holds[row["uid"]] = Hold(**row)
        books.stored_holds = set(books.holds)
    if needs.lots:
        books.known_lots = set(books.known_purses)
        for row in await _rows(
            connection,
            "lots",
            {
                "owners": [purse.owner for purse in books.known_purses],
                "assets": [purse.asset for purse in books.known_purses],
            },
        ):
            days = books.lots.setdefault(Purse(row["owner"], row["asset"]), {})
            days[row["expires_on"]] = row["amount"]
    if needs.causes:
        # What a cause gave may have gone to a debt altogether.
        names = {transfer_id_of(cause, "debt"): cause for cause in needs.causes}
        names |= {cause: cause for cause in needs.causes}
        rows = await _rows(connection, "causes", {"causes": sorted(names)})
        books.transfer_ids = {names[row["transfer_id"]] for row in rows}


def _check_race(books: Books) -> None:
    """What was read after locking must be of the owners that were locked."""
    named = [(lease.owner, lease.asset) for lease in books.leases.values()]
    named += [(spend.owner, spend.asset) for spend in books.spends.values() if spend.amount]
    named += [(hold.owner, hold.asset) for hold in books.holds.values() if hold.amount]
    named += [(lot.owner, lot.asset) for lot in books.pending.values()]
    for owner, asset in named:
        if Purse(books.owner_of(owner), asset) not in books.known_purses:
            raise LostRaceError(f"{owner} was not locked")


async def _save_leases(connection: Connection, books: Books, changes: Changes) -> None:
    # The old first: a right that was closed just now may be lent again in the same breath.
    old = [books.leases[key] for key in sorted(changes.leases & books.stored_leases)]
    if old:
        await _run(connection, "change_leases", _columns(old, _LEASE))
    new = [books.leases[key] for key in sorted(changes.leases - books.stored_leases)]
    if new:
        await _add(connection, "add_leases", _columns(new, _LEASE), len(new))
    books.stored_leases |= changes.leases
    if changes.sub_leases:
        subs = [books.sub_leases[key] for key in sorted(changes.sub_leases)]
        await _run(connection, "put_sub_leases", _columns(subs, _SUB_LEASE))
    if changes.aliases:
        aliases = sorted(changes.aliases)
        owners = [books.aliases[alias] for alias in aliases]
        await _run(connection, "put_aliases", {"aliases": aliases, "owners": owners})


async def _save_rows(connection: Connection, books: Books, changes: Changes) -> None:
    new = [books.spends[key] for key in sorted(changes.spends - books.stored_spends)]
    if new:
        await _add(connection, "add_spends", _columns(new, _SPEND), len(new))
    old = [books.spends[key] for key in sorted(changes.spends & books.stored_spends)]
    if old:
        await _run(connection, "change_spends", _columns(old, _SPEND))
    books.stored_spends |= changes.spends
    made = [books.holds[key] for key in sorted(changes.holds - books.stored_holds)]
    if made:
        await _add(connection, "add_holds", _columns(made, _HOLD), len(made))
    changed = [books.holds[key] for key in sorted(changes.holds & books.stored_holds)]
    if changed:
        await _run(connection, "change_holds", _columns(changed, _HOLD))
    books.stored_holds |= changes.holds
    lots = [books.pending[key] for key in sorted(changes.pending)]
    if kept := [lot for lot in lots if lot.amount]:
        await _run(connection, "put_pending", _columns(kept, _PENDING))
    if gone := [lot.lot_id for lot in lots if not lot.amount]:
        await _run(connection, "drop_pending", {"lots": gone})
    if grown := [(purse, day, n) for (purse, day), n in changes.lots.items() if n]:
        await _run(
            connection,
            "add_to_lots",
            {
                "owners": [purse.owner for purse, _, _ in grown],
                "assets": [purse.asset for purse, _, _ in grown],
                "days": [day for _, day, _ in grown],
                "amounts": [amount for _, _, amount in grown],
            },
        )


async def _save_transfers(connection: Connection, books: Books, changes: Changes) -> None:
    made = changes.transfers
    if not made:
        return
    await _add(
        connection,
        "add_transfers",
        {
            "ids": [each.transfer_id for each in made],
            "debits": [each.debit.account_id for each in made],
            "credits": [each.credit.account_id for each in made],
            "amounts": [each.amount for each in made],
            "reasons": [each.reason for each in made],
            "causes": [each.cause_uid for each in made],
        },
        len(made),
    )
    moved = {account: change for account, change in changes.accounts.items() if change}
    await _ensure(connection, [each for each in moved if _is_new(books, each)])
    await _lock_stores(connection, [each for each in moved if each.kind in SYSTEM])
    books.stored_accounts |= moved.keys()
    await _run(
        connection,
        "change_balances",
        {
            "ids": [account.account_id for account in moved],
            "changes": list(moved.values()),
        },
    )


async def _announce(connection: Connection, books: Books, changes: Changes, *, now_ms: int) -> None:
    told = [_lease_change(books.leases[key]) for key in sorted(changes.leases)]
    for purse in sorted(changes.purses, key=lambda each: (each.owner, each.asset)):
        kind, name = asset_parts(purse.asset)
        if kind == AssetKind.POINTS and books.owner_of(purse.owner) == purse.owner:
            balance = BalanceEntry(
                customer_id=purse.owner,
                account=name,
                available_centi=books.owned(purse),
                as_of_ms=now_ms,
            )
            told.append(
                feed.Change(
                    scope=feed.EVERY_STORE,
                    topic=Topic.BALANCE,
                    key=f"{purse.owner}/{name}",
                    entry=balance,
                )
            )
    await feed.write(connection, told)


def _lease_change(lease: Lease) -> feed.Change:
    """A lease as its store has to know it; one that its holder closed it need not know any more."""
    return feed.Change(
        scope=lease.store_id,
        topic=Topic.LEASE,
        key=lease.lease_id,
        entry=None if lease.state is LeaseState.CLOSED else entry_of(lease),
    )


def _is_new(books: Books, account: Account) -> bool:
    """Whether an account of an owner or a lease may not exist; ``avail`` was made to be locked."""
    return (
        account.kind is not AccountKind.AVAIL
        and account.kind not in SYSTEM
        and account not in books.stored_accounts
    )


async def _lock_stores(connection: Connection, accounts: list[Account]) -> None:
    """Lock accounts of stores, which exist but for the first time."""
    named = {account.account_id: account for account in accounts}
    if not named:
        return
    rows = await _rows(connection, "lock_accounts", {"ids": sorted(named)})
    if missing := sorted(named.keys() - {row["account_id"] for row in rows}):
        await _ensure(connection, [named[key] for key in missing])
        await _rows(connection, "lock_accounts", {"ids": missing})


async def _ensure(connection: Connection, accounts: list[Account]) -> set[str]:
    """Make those of these accounts that do not exist; the ids of these."""
    if not accounts:
        return set()
    rows = await _rows(
        connection,
        "ensure_accounts",
        {
            "ids": [account.account_id for account in accounts],
            "kinds": [account.kind.value for account in accounts],
            "owners": [account.owner for account in accounts],
            "assets": [account.asset for account in accounts],
        },
    )
    return {row["account_id"] for row in rows}


async def _add(connection: Connection, name: str, values: dict[str, Any], count: int) -> None:
    added = await _run(connection, name, values)
    if added != count:
        raise LostRaceError(f"{name}: {count - added} of {count} were there already")


def _columns(rows: list[_T], names: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in names}


async def _rows(
    connection: Connection, name: str, parameters: dict[str, Any] | None = None
) -> list[DictRow]:
    return await rows_of(connection, _QUERIES[name], as_arrays(parameters or {}))


async def _run(connection: Connection, name: str, parameters: dict[str, Any]) -> int:
    return await run(connection, _QUERIES[name], as_arrays(parameters))

"""Budgets in the ledger and counts of customers, in PostgreSQL: never more than the limit."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any, Final

import msgspec
import pytest

from central.accounts import ledger, service, store
from central.accounts.audit import audit
from central.accounts.books import AccountKind, Lease, Origin, Purse
from central.accounts.needs import needs_of
from central.customers.store import put_customers
from central.database.pool import Connection, Pool, rows_of
from central.feed.store import publish, read
from central.fleet.store import put_store
from central.limits import budgets, rights, uses
from central.limits.policy import Sold
from shared.engine.program import CustomerLimit, Limits
from shared.errors import NotFoundError
from shared.wire.facts import LeaseClosed, LeaseSpent, PromotionUse
from shared.wire.feed import CustomerEntry, FeedPage, LeaseState, StoreEntry, Topic, UseEntry

TIMES: Final = "budget:times"
FIRST: Final = Purse("first", TIMES)
NOW_MS: Final = itertools.count(1_800_000_000_000)
"""Every transaction has a moment of its own."""


@pytest.fixture
async def office(pool: Pool) -> Pool:
    """Three stores with a hub each that is heard of, and two members."""
    async with pool.connection() as connection:
        for number, store_id in enumerate(("S1", "S2", "S3"), start=1):
            entry = StoreEntry(store_id=store_id, name=store_id, timezone="UTC", currency="RUB")
            await put_store(connection, entry)
            values = {"edge_id": number, "store_id": store_id, "secret": str(number)}
            for statement in (
                b"""insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256)
                values (%(edge_id)s, %(store_id)s, 'hub', '', %(secret)s)""",
                b"""insert into stream_head (edge_id, lane, epoch, nonce, hash)
                values (%(edge_id)s, 0, 1, '', '')""",
                b"""insert into feed_reader (edge_id, store_id, generation, position)
                values (%(edge_id)s, %(store_id)s, 0, 0)""",
            ):
                await connection.execute(statement, values)
        members = [(CustomerEntry(customer_id=each, card_tags=[]), None) for each in ("c1", "c2")]
        await put_customers(connection, members)
    return pool


async def in_force(pool: Pool, version: int, **limits: int) -> None:
    """A programme in force that limits these promotions to so many receipts in all."""
    told = {name: Limits(total_times=amount) for name, amount in limits.items()}
    async with pool.connection() as connection:
        await budgets.put_in_force(connection, told, version, now_ms=next(NOW_MS))


async def leases_of(pool: Pool) -> dict[str, Lease]:
    """The live leases of ``first`` by store."""
    async with pool.connection() as connection:
        books = await store.load(connection, needs_of(bytes(16), a_spend("", 1)))
        return {lease.store_id: lease for lease in books.leases_of(FIRST)}


async def free_of(pool: Pool) -> int:
    async with pool.connection() as connection:
        books = await store.load(connection, needs_of(bytes(16), a_spend("", 1)))
        return books.balance(AccountKind.AVAIL, FIRST)


def a_spend(lease_id: str, amount: int) -> LeaseSpent:
    return LeaseSpent(
        lease_id=lease_id or None,
        sub_lease_id=None,
        owner=FIRST.owner,
        asset=FIRST.asset,
        amount=amount,
        receipt_id="r",
        spent_at_ms=1,
    )


async def hear(pool: Pool, edge_id: int, uid: bytes, fact: LeaseSpent | LeaseClosed) -> list[Any]:
    """Post one fact of an agent as the intake does; what did not fit."""
    origin = Origin(edge_id=edge_id, store_id=f"S{edge_id}")
    async with pool.connection() as connection:
        books = await store.load(connection, needs_of(uid, fact))
        if isinstance(fact, LeaseSpent):
            found = ledger.spend(books, origin, uid, fact)
        else:
            found = ledger.close(books, origin, fact)
        purses = set(books.changes.purses)
        await service.lend_home(connection, books, purses, now_ms=next(NOW_MS))
        await store.save(connection, books, now_ms=next(NOW_MS))
    return found


async def close(pool: Pool, lease: Lease) -> None:
    """The holder closes a lease of which everything it spent was heard."""
    fact = LeaseClosed(
        lease_id=lease.lease_id, spend_count=lease.spent_count, spent_amount=lease.spent_amount
    )
    await hear(pool, lease.edge_id, lease.lease_id.encode()[:16], fact)


async def test_budget_is_funded_once_and_lent_with_a_reserve(office: Pool) -> None:
    """A fifth stays; the same programme again changes nothing; a raise gives the difference."""
    await in_force(office, 1, first=30)
    for version in (1, 2):
        leases = await leases_of(office)
        assert {name: lease.granted for name, lease in leases.items()} == dict.fromkeys(
            ("S1", "S2", "S3"), 8
        )
        assert await free_of(office) == 6
        await in_force(office, version + 1, first=30)
    await in_force(office, 4, first=60)
    leases = await leases_of(office)
    assert sum(lease.granted for lease in leases.values()) + await free_of(office) == 60
    async with office.connection() as connection:
        assert (await audit(connection))["wrong_leases"] == 0


async def test_stores_are_lent_by_their_receipts(office: Pool) -> None:
    """Of a hundred, sixty go to the store with three of four receipts."""
    async with office.connection() as connection:
        await connection.execute(
            b"""insert into store_traffic (store_id, business_date, receipts) values
            ('S1', current_date - 1, 200), ('S1', current_date - 2, 100),
            ('S2', current_date - 1, 50), ('S3', current_date - 1, 50),
            ('S3', current_date - 40, 9000)"""
        )
    await in_force(office, 1, first=100)
    leases = await leases_of(office)
    assert {name: lease.granted for name, lease in leases.items()} == {
        "S1": 60,
        "S2": 10,
        "S3": 10,
    }


async def test_lowered_budget_comes_back_as_far_as_it_is_unused(office: Pool) -> None:
    """What is free goes at once, then what stores give back; never what they used."""
    await in_force(office, 1, first=30)
    before = await leases_of(office)
    await hear(office, 1, b"a" * 16, a_spend(before["S1"].lease_id, 5))
    await in_force(office, 2, first=12)
    recalled = [x for x in (await leases_of(office)).values() if x.state is LeaseState.RECALLED]
    assert await free_of(office) == 0
    assert sum(lease.granted - lease.spent_amount for lease in recalled) >= 12
    for lease in recalled:
        await close(office, lease)
    async with office.connection() as connection:
        assert await budgets.take_excess(connection, now_ms=next(NOW_MS)) == 1
        assert await budgets.take_excess(connection, now_ms=next(NOW_MS)) == 0
    left = sum(x.granted - x.spent_amount for x in (await leases_of(office)).values())
    assert left + await free_of(office) == 12 - 5
    async with office.connection() as connection:
        assert await budgets.report(connection) == [
            {
                "promotion": "first",
                "asset": TIMES,
                "amount": 12,
                "used": 5,
                "free": 7 - left,
                "held": left,
                "silent": left,
            }
        ]

    # The promotion is taken out of the programme, and put in again: what was used stays used.
    await in_force(office, 3)
    for lease in (await leases_of(office)).values():
        assert lease.state is LeaseState.RECALLED
        await close(office, lease)
    async with office.connection() as connection:
        await budgets.take_excess(connection, now_ms=next(NOW_MS))
    assert await free_of(office) == 0
    await in_force(office, 4, first=12)
    left = sum(x.granted - x.spent_amount for x in (await leases_of(office)).values())
    assert left + await free_of(office) == 12 - 5


async def ask(pool: Pool, edge_id: int, amount: int) -> tuple[Lease | None, bool]:
    async with pool.connection() as connection:
        holder = await store.holder_of(connection, edge_id)
        assert holder is not None
        visit = await budgets.lend_to_asker(connection, holder, FIRST, amount, now_ms=next(NOW_MS))
    return visit.lease, visit.recalled


async def test_unused_part_of_another_store_is_asked_back_while_it_is_heard(office: Pool) -> None:
    """The largest of those in touch; a store that nobody hears keeps what it has."""
    await in_force(office, 1, first=9)
    leases = await leases_of(office)
    assert {name: lease.granted for name, lease in leases.items()} == {"S1": 2, "S2": 2, "S3": 2}
    async with office.connection() as connection:
        await connection.execute(
            b"update feed_reader set seen_at = now() - interval '1 hour' where edge_id = 3"
        )
    number = 0
    for _ in range(2):
        mine = (await leases_of(office))["S1"]
        for _ in range(mine.granted - mine.spent_amount):
            number += 1
            await hear(office, 1, number.to_bytes(16), a_spend(mine.lease_id, 1))
    # The batches that spent have filled it up out of the reserve.
    spent = (await leases_of(office))["S1"].spent_amount
    while await free_of(office):
        mine, _ = await ask(office, 1, 1)
        assert mine is not None
        number += 1
        spent += 1
        await hear(office, 1, number.to_bytes(16), a_spend(mine.lease_id, 1))
    mine = (await leases_of(office))["S1"]
    while mine.spent_amount < mine.granted:
        number += 1
        await hear(office, 1, number.to_bytes(16), a_spend(mine.lease_id, 1))
        mine = (await leases_of(office))["S1"]
    lease, recalled = await ask(office, 1, 1)
    assert recalled
    states = {name: each.state for name, each in (await leases_of(office)).items()}
    assert states == {
        "S1": LeaseState.OPEN,
        "S2": LeaseState.RECALLED,
        "S3": LeaseState.OPEN,
    }
    await close(office, (await leases_of(office))["S2"])
    lease, recalled = await ask(office, 1, 1)
    assert lease is not None
    assert lease.granted > lease.spent_amount
    assert not recalled
    async with office.connection() as connection:
        holder = await store.holder_of(connection, 1)
        assert holder is not None
        nobodys = budgets.lend_to_asker(
            connection, holder, Purse("nobody", TIMES), 1, now_ms=next(NOW_MS)
        )
        with pytest.raises(NotFoundError):
            await nobodys


class Shop:
    """What an agent believes: its leases as it last heard of them, and what it spent of each."""

    def __init__(self, edge_id: int) -> None:
        self.edge_id = edge_id
        self.leases: dict[str, Lease] = {}
        self.spent: dict[str, int] = {}
        self.untold: list[tuple[bytes, LeaseSpent | LeaseClosed]] = []
        self.closed: set[str] = set()

    def right(self) -> tuple[str, int]:
        """A lease with something left, and how much."""
        for name, lease in self.leases.items():
            left = lease.granted - self.spent.get(name, 0)
            if lease.state is LeaseState.OPEN and name not in self.closed and left > 0:
                return name, left
        return "", 0


@pytest.mark.parametrize("seed", range(3))
async def test_shops_never_give_more_than_the_budget_whatever_happens(
    office: Pool, seed: int
) -> None:
    """Cut off or not, asking, recalled, raised and lowered; at last nothing is lost either."""
    chance = random.Random(seed)
    shops = [Shop(1), Shop(2), Shop(3)]
    limit = highest = chance.randint(5, 40)
    given = number = 0
    version = 1
    await in_force(office, version, first=limit)

    async def listen(shop: Shop) -> None:
        shop.leases = {
            lease.lease_id: lease
            for lease in (await leases_of(office)).values()
            if lease.edge_id == shop.edge_id
        }
        for name, lease in shop.leases.items():
            if lease.state is LeaseState.RECALLED and name not in shop.closed:
                count = sum(
                    1
                    for _, fact in shop.untold
                    if isinstance(fact, LeaseSpent) and fact.lease_id == name
                )
                fact = LeaseClosed(
                    lease_id=name,
                    spend_count=lease.spent_count + count,
                    spent_amount=shop.spent.get(name, 0),
                )
                shop.closed.add(name)
                shop.untold.append((b"close" + name.encode()[:11], fact))

    async def tell(shop: Shop) -> None:
        told = shop.untold[: chance.randint(1, len(shop.untold) or 1)]
        del shop.untold[: len(told)]
        for uid, fact in told:
            assert await hear(office, shop.edge_id, uid, fact) == [], "rights covered it"

    for _ in range(120):
        shop = chance.choice(shops)
        what = chance.random()
        if what < 0.5:
            name, left = shop.right()
            if left:
                amount = chance.randint(1, min(left, 2))
                number += 1
                given += amount
                shop.spent[name] = shop.spent.get(name, 0) + amount
                shop.untold.append((number.to_bytes(16), a_spend(name, amount)))
        elif what < 0.7:
            await tell(shop)
        elif what < 0.8:
            await listen(shop)
        elif what < 0.97:
            await ask(office, shop.edge_id, chance.randint(1, 3))
        else:
            version += 1
            limit = chance.randint(1, 40)
            highest = max(highest, limit)
            await in_force(office, version, first=limit)
        assert given <= highest, f"seed {seed}"

    # Everybody is heard at last, and demand is without end: the whole limit is used, and no more.
    version += 1
    limit = max(limit, given)
    highest = max(highest, limit)
    await in_force(office, version, first=limit)
    for turn in range(200):
        shop = shops[turn % 3]
        await listen(shop)
        while shop.untold:
            await tell(shop)
        async with office.connection() as connection:
            await budgets.take_excess(connection, now_ms=next(NOW_MS))
        await ask(office, shop.edge_id, 1)
        await listen(shop)
        name, left = shop.right()
        if left:
            number += 1
            given += 1
            shop.spent[name] = shop.spent.get(name, 0) + 1
            shop.untold.append((number.to_bytes(16), a_spend(name, 1)))
    assert given == limit, f"seed {seed}"
    async with office.connection() as connection:
        found = await audit(connection)
    assert (found["wrong_leases"], found["negative_accounts"]) == (0, 0)


def use(amount: int = 1, *, period: str = "2026-11-23", limit: int = 2) -> PromotionUse:
    return PromotionUse(
        promotion="once", measure="times", period=period, amount=amount, limit=limit
    )


async def count(pool: Pool, *sales: tuple[int, str, list[PromotionUse]]) -> list[list[str]]:
    told = [Sold(edge_id=edge, customer_id=who, uses=what) for edge, who, what in sales]
    async with pool.connection() as connection:
        return [[i.detail for i in each] for each in await uses.count(connection, told)]


async def told_to(pool: Pool, store_id: str) -> dict[tuple[str, str, int], int]:
    """What the feed says of uses: by customer, period and edge."""
    async with pool.connection() as connection:
        await publish(connection)
    async with pool.connection() as connection:
        found = await read(connection, store_id, "")
    assert not isinstance(found, FeedPage)
    page = found[0]
    entries = [
        msgspec.msgpack.decode(change.payload, type=UseEntry)
        for change in page.changes
        if change.topic == Topic.USE and change.payload
    ]
    return {(e.customer_id, e.period, e.edge_id): e.amount for e in entries}


async def test_uses_are_counted_by_edge_and_told_to_every_shop(office: Pool) -> None:
    """Strangers are not counted; who went beyond the limit is told with the record."""
    found = await count(
        office,
        (1, "c1", [use()]),
        (2, "c1", [use()]),
        (2, "nobody", [use()]),
        (2, "c1", [use()]),
        (2, "c2", []),
    )
    assert found == [[], [], [], ["once: 3 of 2 times in 2026-11-23"], []]
    assert await told_to(office, "S3") == {("c1", "2026-11-23", 1): 1, ("c1", "2026-11-23", 2): 2}


async def test_edges_that_tell_at_one_moment_are_both_seen(office: Pool) -> None:
    """Whichever transaction is the later finds that the limit was gone."""
    found = await asyncio.gather(*(count(office, (n, "c1", [use(limit=2)])) for n in (1, 2, 3)))
    assert sorted(len(each[0]) for each in found) == [0, 0, 1]


async def test_merged_customer_keeps_the_counts(office: Pool) -> None:
    """What either used counts for both, also what is told later under the old name."""
    await count(office, (1, "c1", [use()]), (2, "c2", [use()]), (1, "c2", [use(2)]))
    async with office.connection() as connection:
        await service.merge_customers(connection, "c1", "c2", now_ms=next(NOW_MS))
        await uses.merge_customers(connection, "c1", "c2")
        await uses.merge_customers(connection, "c1", "c2")
    found = await count(office, (3, "c1", [use()]))
    assert found == [["once: 5 of 2 times in 2026-11-23"]]
    assert await told_to(office, "S1") == {
        ("c2", "2026-11-23", 1): 3,
        ("c2", "2026-11-23", 2): 1,
        ("c2", "2026-11-23", 3): 1,
    }


async def test_past_periods_are_forgotten_by_shops_first(office: Pool) -> None:
    """Shops two days later, central when no record of it can come; what never ends stays."""
    lasting = [use(period="ever"), use(period="2026"), use()]
    await count(office, (1, "c1", lasting))

    async def forget(today: str) -> int:
        async with office.connection() as connection:
            return await uses.forget_past(connection, today)

    assert await forget("2026-11-25") == 0
    assert await forget("2026-11-26") == 1
    assert set(await told_to(office, "S1")) == {("c1", "ever", 1), ("c1", "2026", 1)}
    # A record that comes late is counted, and no shop is told any more.
    assert await count(office, (1, "c1", [use(2)])) == [["once: 3 of 2 times in 2026-11-23"]]
    assert len(await told_to(office, "S1")) == 2
    assert await forget("2027-01-09") == 2
    async with office.connection() as connection:
        rows = await rows_of(connection, "select period from customer_use order by period")
    assert [row["period"] for row in rows] == ["2026", "ever"]


async def test_traffic_is_counted_by_store_and_day(office: Pool) -> None:
    """Nothing was sold, so nothing is foreseen, and old days go."""
    async with office.connection() as connection:
        await connection.execute(
            b"insert into store_traffic values ('S1', '2026-01-01', 5), ('S1', '2026-11-20', 6)"
        )
        await budgets.count_traffic(connection, "2026-11-23")
        assert await days_of(connection) == ["2026-11-20"]


async def days_of(connection: Connection) -> list[str]:
    rows = await rows_of(connection, "select business_date::text as day from store_traffic")
    return [row["day"] for row in rows]


async def test_limit_of_a_customer_is_funded_at_the_first_request(office: Pool) -> None:
    """With what is left of it by then, once; in no period that it is nowhere now."""
    told = {"once": Limits(per_customer=CustomerLimit(per="day", times=3))}
    noon_ms = 1_795_435_200_000  # 23 November 2026
    await count(office, (1, "c1", [use(limit=3)]))

    async def first(asset: str, owner: str = "c1") -> int | None:
        """How much a store holds after asking; None: it was funded before, or nothing is left."""
        async with office.connection() as connection:
            await rights.put_in_force(connection, told)
            holder = await store.holder_of(connection, 2)
            assert holder is not None
            purse = Purse(owner, asset)
            visit = await rights.first_visit(connection, holder, purse, 10**15, now_ms=noon_ms)
        return None if visit is None or visit.lease is None else visit.lease.granted

    assert await first("limit:once/times/2026-11-23") == 2
    assert await first("limit:once/times/2026-11-23") is None
    assert await first("limit:once/times/2026-11-24", "c2") == 3
    await count(office, (1, "c2", [use(3, limit=3)]))
    assert await first("limit:once/times/2026-11-23", "c2") is None
    for wrong in (
        "limit:once/times/2026-11-26",
        "limit:once/times/2026-W48",
        "limit:once/qty/2026-11-23",
        "limit:other/times/2026-11-23",
        "limit:once",
        "points:once/times/2026-11-23",
    ):
        with pytest.raises(NotFoundError):
            await first(wrong)

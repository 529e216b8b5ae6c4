"""Limits end to end: two agents and head office over HTTP, with a line that is cut."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool, rows_of
from central.fleet.store import put_store
from central.limits import budgets
from central.publishing.replay import Replay
from shared.crypto.tags import card_tag
from shared.system import SystemClock
from shared.wire.feed import CustomerEntry, StoreEntry
from tests.support.both_ends import SIGNER, Town, a_town
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt

CALCULATE: Final = "/v1/receipts/calculate"
TEN: Final = {"do": "discount_goods", "percent": "10"}
PLAIN: Final = {**TEA_AND_POINTS, "promotions": []}


def programme(version: int, **limits: Any) -> bytes:
    promotions = [{"id": "limited", "limits": limits, "then": [TEN]}]
    return json.dumps(PLAIN | {"version": version, "promotions": promotions}).encode()


class Tills:
    """A till in each store of a town, and what got the promotion."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.number = 0
        self.sold: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.is_budget = False

    async def publish(self, version: int, **limits: Any) -> None:
        """A new programme, in force in both stores."""
        self.is_budget = "total" in limits
        await self.town.central.publishing.publish(programme(version, **limits), by="test")

        async def known() -> bool:
            found = [await self.town.status(store) for store in self.town.tills]
            return all(each["bundle_version"] == version for each in found)

        await self.town.until(known)

    async def price(self, store: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A receipt and its answer."""
        self.number += 1
        receipt = till_receipt(f"r{self.number}", **more) | {"store": store}
        status, told = await self.town.ask(store, CALCULATE, receipt)
        assert status == 200, told
        return receipt, told

    async def sell(self, store: str, **more: Any) -> bool:
        """Whether the receipt was given the promotion."""
        receipt, told = await self.price(store, **more)
        name = receipt["receipt_id"]
        body = {"receipt": receipt, "calculation_id": told["calculation_id"]}
        status, done = await self.town.ask(store, f"/v1/receipts/{name}/commit", body)
        assert status == 200, done
        assert done["answer"]["total"] == told["total"]
        self.sold[store] += 1
        self.spent[store] += bool(told["applied"]) and self.is_budget
        return bool(told["applied"])

    async def until_offered(self, store: str) -> None:
        """Calculate, as tills do at every article, until the promotion is given."""

        async def offered() -> bool:
            return bool((await self.price(store))[1]["applied"])

        await self.town.until(offered)

    async def until_told(self, pool: Pool, *, but: str = "") -> None:
        """Until head office has every sale and every spend of the stores; not of ``but``."""
        sales = sum(count for store, count in self.sold.items() if store != but)
        rights = sum(count for store, count in self.spent.items() if store != but)

        async def told() -> bool:
            async with pool.connection() as connection:
                [found] = await rows_of(
                    connection,
                    """select (select count(*) from receipt) as sales,
                    (select count(*) from fact where kind = 'lease.spent') as rights""",
                )
            return bool(found["sales"] == sales and found["rights"] == rights)

        await self.town.until(told)


async def check_books(pool: Pool) -> None:
    """Accounts add up, and every receipt is priced at central as it was in the shop."""
    async with pool.connection() as connection:
        found = await audit(connection)
        assert (found["wrong_leases"], found["negative_accounts"], found["drift"]) == (0, 0, 0)
        assert await Replay(pool, SIGNER).differences(connection) == 0


async def test_first_three_receipts_are_three_though_a_store_is_cut_off(
    pool: Pool, tmp_path: Path
) -> None:
    """Each store has one of three and head office the last, which goes to who is heard."""
    async with a_town(pool, tmp_path, PLAIN) as town:
        tills = Tills(town)
        await tills.publish(2, total={"times": 3})
        for store in town.tills:
            await tills.until_offered(store)
        town.central.cut.add("S1")
        given = [await tills.sell("S1") for _ in range(4)]
        assert given == [True, False, False, False]
        assert await tills.sell("S2")
        await tills.until_told(pool, but="S1")
        await tills.until_offered("S2")
        assert await tills.sell("S2")
        assert not await tills.sell("S2")
        town.central.cut.clear()
        await tills.until_told(pool)
        for store in town.tills:
            assert not await tills.sell(store)
        await tills.until_told(pool)
        async with pool.connection() as connection:
            rows = await rows_of(connection, "select state, amount from ledger_spend")
            incidents = await rows_of(connection, "select code from receipt_incident")
            await budgets.count_traffic(connection, datetime.now(UTC).date().isoformat())
            traffic = await rows_of(connection, "select store_id, receipts from store_traffic")
        assert {row["store_id"]: row["receipts"] for row in traffic} == dict(tills.sold)
        assert [(row["state"], row["amount"]) for row in rows] == [("counted", 1)] * 3
        assert incidents == []
        await check_books(pool)


async def test_unused_right_of_one_store_goes_to_the_one_that_asks(
    pool: Pool, tmp_path: Path
) -> None:
    """All six are given in one store: its own, the reserve, and what the other gives back."""
    async with a_town(pool, tmp_path, PLAIN) as town:
        tills = Tills(town)
        await tills.publish(2, total={"times": 6})
        for _ in range(6):
            await tills.until_offered("S2")
            assert await tills.sell("S2")
        await tills.until_told(pool)
        assert not await tills.sell("S1")
        assert not await tills.sell("S2")
        await tills.until_told(pool)
        await check_books(pool)


async def test_money_of_a_campaign_ends_at_the_kopeck_and_a_raise_reaches_the_shops(
    pool: Pool, tmp_path: Path
) -> None:
    """100.00 over two stores at 20.00 a receipt: five in all; then 20.00 more."""
    async with a_town(pool, tmp_path, PLAIN) as town:
        tills = Tills(town)
        await tills.publish(2, total={"discount": "100.00"})
        given_minor = 0

        async def exhausted() -> bool:
            nonlocal given_minor
            for store in town.tills:
                _, told = await tills.price(store)
                if told["applied"] and await tills.sell(store):
                    given_minor += int(told["total"]["discount"].replace(".", ""))
            assert given_minor <= 10_000
            return given_minor == 10_000

        await town.until(exhausted)
        await tills.publish(3, total={"discount": "120.00"})
        for store in town.tills:
            await tills.until_offered(store)
        await tills.until_told(pool)
        async with pool.connection() as connection:
            await budgets.take_excess(connection, now_ms=SystemClock().now_ms())
        await check_books(pool)


async def test_customer_gets_it_once_a_day_in_all_stores_that_are_heard(
    pool: Pool, tmp_path: Path
) -> None:
    """The other store knows after a moment; a store cut off gives it once more, and it is told."""
    async with a_town(pool, tmp_path, PLAIN) as town:
        tills = Tills(town)
        async with pool.connection() as connection:
            entries = [
                (CustomerEntry(customer_id=name, card_tags=[card_tag(card)]), None)
                for name, card in (("c1", "100"), ("c2", "200"))
            ]
            await put_customers(connection, entries)
        await tills.publish(2, per_customer={"times": 1, "per": "day"})
        card = {"customer": {"card": "100"}}
        await town.until(lambda: _offered(tills, "S1", card))
        await town.until(lambda: _offered(tills, "S2", card))
        assert await tills.sell("S1", **card)
        assert not await tills.sell("S1", **card)

        async def heard() -> bool:
            return not await _offered(tills, "S2", card)

        await town.until(heard)
        assert not await tills.sell("S2", **card)

        town.central.cut.add("S2")
        other = {"customer": {"card": "200"}}
        assert await tills.sell("S1", **other)
        assert await tills.sell("S2", **other)
        assert not await tills.sell("S2", **other)
        assert not await tills.sell("S1", **other)
        town.central.cut.clear()
        await tills.until_told(pool)
        async with pool.connection() as connection:
            rows = await rows_of(connection, "select code, detail from receipt_incident")
        assert [(row["code"], row["detail"].partition(" in ")[0]) for row in rows] == [
            ("limit_exceeded", "limited: 2 of 1 times")
        ]
        await check_books(pool)


async def _offered(tills: Tills, store: str, customer: dict[str, Any]) -> bool:
    return bool((await tills.price(store, **customer))[1]["applied"])


async def test_strict_limit_is_given_once_whatever_line_is_cut(pool: Pool, tmp_path: Path) -> None:
    """The right is at one store at a time; a store without it and without a line gives nothing."""
    async with a_town(pool, tmp_path, PLAIN) as town:
        tills = Tills(town)
        async with pool.connection() as connection:
            entries = [
                (CustomerEntry(customer_id=name, card_tags=[card_tag(card)]), None)
                for name, card in (("c1", "100"), ("c2", "200"))
            ]
            await put_customers(connection, entries)
            for store in town.tills:
                entry = StoreEntry(
                    store_id=store,
                    name=store,
                    timezone="Europe/Moscow",
                    currency="RUB",
                    strict_limits=True,
                )
                await put_store(connection, entry)
        today = datetime.now(UTC).isoformat(timespec="seconds")
        card = {"customer": {"card": "100"}, "time": today}
        other = {"customer": {"card": "200"}, "time": today}
        await tills.publish(2, per_customer={"times": 2, "per": "month"})
        # Both are lent to whoever asks first; the other store asks them back.
        await town.until(lambda: _offered(tills, "S1", card))
        assert await tills.sell("S1", **card)
        await town.until(lambda: _offered(tills, "S2", card))
        assert await tills.sell("S2", **card)
        for store in ("S1", "S2"):
            assert not await tills.sell(store, **card)

        town.central.cut.add("S2")
        assert not await tills.sell("S2", **other)
        await town.until(lambda: _offered(tills, "S1", other))
        assert [await tills.sell("S1", **other) for _ in range(3)] == [True, True, False]
        assert not await tills.sell("S2", **other)
        town.central.cut.clear()
        tills.spent.update({"S1": 3, "S2": 1})
        await tills.until_told(pool)
        async with pool.connection() as connection:
            assert await rows_of(connection, "select code, detail from receipt_incident") == []
        await check_books(pool)

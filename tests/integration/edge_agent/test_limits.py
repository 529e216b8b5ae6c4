"""A shop keeps limits of promotions: with rights it holds, and by counting what customers used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import make_app
from edge_agent.checkout.replay import REPLAYS
from edge_agent.clock.policy import Floor
from edge_agent.clock.store import keep_floor
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_writer
from edge_agent.limits.store import add_own, name_owner, own_uses, put_told
from edge_agent.loyalty.store import put_lease
from edge_agent.outbox.store import Kept, kept_after, streams_of
from edge_agent.wiring.ground import Machine
from edge_agent.witness.rebuild import Remembered
from shared.bundle.trust import open_bundle
from shared.engine.evaluate import evaluate
from shared.system import SystemChance, SystemClock
from shared.wire.facts import LeaseSpent, PromotionUse, ReceiptCommitted
from shared.wire.feed import LeaseEntry, LeaseState, UseEntry
from shared.wire.stream import Lane, Record
from tests.support.shop import FAR_MS, HEADERS, SIGNER, a_bundle, make_shop, till_receipt

Till = TestClient[Any, Any]
CALCULATE: Final = "/v1/receipts/calculate"
TEN: Final = {"do": "discount_goods", "percent": "10"}
FIRST: Final = {"id": "first", "limits": {"total": {"times": 5}}, "then": [TEN]}
POT: Final = {"id": "pot", "limits": {"total": {"discount": "100.00"}}, "then": [TEN]}
ONCE: Final = {
    "id": "once",
    "limits": {"per_customer": {"times": 1, "per": "day"}},
    "then": [TEN],
}


@asynccontextmanager
async def a_till(folder: Path) -> AsyncIterator[Till]:
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    async with TestClient(TestServer(app), headers=HEADERS) as client:
        yield client


def a_shop(folder: Path, *promotions: dict[str, Any]) -> Path:
    make_shop(folder / "shop", bundle=a_bundle(1, promotions=list(promotions)))
    return folder / "shop"


def lend(folder: Path, promotion: str, measure: str, amount: int) -> None:
    with database(folder) as connection:
        entry = LeaseEntry(
            lease_id=f"B-{promotion}",
            owner=promotion,
            asset=f"budget:{measure}",
            granted=amount,
            spend_until_ms=FAR_MS,
            state=LeaseState.OPEN,
            edge_id=7,
        )
        put_lease(connection, entry, 1)


def tell(folder: Path, edge_id: int, amount: int, *, customer_id: str = "c1") -> None:
    entry = UseEntry(
        customer_id=customer_id,
        promotion="once",
        measure="times",
        period="2026-11-23",
        edge_id=edge_id,
        amount=amount,
    )
    with database(folder) as connection:
        put_told(connection, [entry])


@contextmanager
def database(folder: Path) -> Iterator[apsw.Connection]:
    connection = open_writer(folder / DATABASE_FILE)
    try:
        yield connection
    finally:
        connection.close()


async def ask(till: Till, path: str, body: Any) -> dict[str, Any]:
    async with till.post(path, json=body) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def sell(till: Till, receipt_id: str, **more: Any) -> dict[str, Any]:
    """Calculate and commit; the answer."""
    receipt = till_receipt(receipt_id, **more)
    told = await ask(till, CALCULATE, receipt)
    body = {"receipt": receipt, "calculation_id": told["calculation_id"]}
    done = await ask(till, f"/v1/receipts/{receipt_id}/commit", body)
    assert done["answer"]["total"] == told["total"]
    return told


def records(folder: Path, lane: Lane) -> list[tuple[Kept, Record]]:
    with database(folder) as connection:
        [stream] = [each for each in streams_of(connection) if each.lane == lane]
        return [
            (kept, msgspec.msgpack.decode(kept.record, type=Record))
            for kept in kept_after(connection, stream.stream_id, 0, 100)
        ]


def sales(folder: Path) -> list[ReceiptCommitted]:
    return [
        msgspec.msgpack.decode(record.body, type=ReceiptCommitted)
        for _, record in records(folder, Lane.RECEIPTS)
    ]


async def test_budget_is_given_as_far_as_the_right_here_goes(tmp_path: Path) -> None:
    """Two of five are lent to this shop: two receipts get it, each spend named by both streams."""
    shop = a_shop(tmp_path, FIRST)
    lend(shop, "first", "times", 2)
    async with a_till(shop) as till:
        told = [await sell(till, f"r{n}") for n in range(3)]

    assert [each["applied"] for each in told] == [["first"], ["first"], []]
    spends = [
        msgspec.msgpack.decode(record.body, type=LeaseSpent)
        for _, record in records(shop, Lane.MONEY)
    ]
    assert [(s.lease_id, s.owner, s.asset, s.amount) for s in spends] == [
        ("B-first", "first", "budget:times", 1)
    ] * 2
    uids = [record.uid for _, record in records(shop, Lane.MONEY)]
    facts = sales(shop)
    assert [right.spend_uid for fact in facts for right in fact.right_spends] == uids
    assert [fact.incidents for fact in facts] == [[], [], []]
    # What head office prices again is what was priced here.
    trusted = {SIGNER.key_id: SIGNER.public_key}
    bundle = open_bundle(a_bundle(1, promotions=[FIRST]), trusted, version_floor=0)
    for fact in facts:
        assert evaluate(bundle.ready, fact.receipt) == fact.answer


async def test_money_of_a_budget_is_cut_to_the_right_here(tmp_path: Path) -> None:
    """30.00 are lent: 20.00 for the first receipt, the rest for the second, then nothing."""
    shop = a_shop(tmp_path, POT)
    lend(shop, "pot", "discount", 3_000)
    async with a_till(shop) as till:
        told = [await sell(till, f"r{n}") for n in range(3)]

    assert [each["total"]["discount"] for each in told] == ["20.00", "10.00", "0.00"]


async def test_two_tills_at_once_are_a_shortage_and_a_freeze_is_not(tmp_path: Path) -> None:
    """Told to both, one is over: recorded without a lease. What is frozen is not told again."""
    shop = a_shop(tmp_path, FIRST)
    lend(shop, "first", "times", 2)
    async with a_till(shop) as till:
        frozen = till_receipt("f1")
        calculation = (await ask(till, CALCULATE, frozen))["calculation_id"]
        body = {"receipt": frozen, "calculation_id": calculation}
        await ask(till, "/v1/receipts/f1/freeze", body)
        both = [till_receipt("r1"), till_receipt("r2")]
        told = [await ask(till, CALCULATE, each) for each in both]
        assert [each["applied"] for each in told] == [["first"], ["first"]]
        for receipt, each in zip(both, told, strict=True):
            name, calculation = receipt["receipt_id"], each["calculation_id"]
            body = {"receipt": receipt, "calculation_id": calculation}
            await ask(till, f"/v1/receipts/{name}/commit", body)
        # The frozen one is calculated again, and still has what was set aside for it.
        assert (await ask(till, CALCULATE, frozen))["applied"] == ["first"]
        assert (await ask(till, CALCULATE, till_receipt("r3")))["applied"] == []
        async with till.post(
            "/v1/receipts/r2x/freeze", json={"receipt": till_receipt("r2x")}
        ) as response:
            assert response.status == 200, "nothing is wanted, so nothing is refused"

    codes = {fact.receipt_id: [i.code for i in fact.incidents] for fact in sales(shop)}
    assert codes == {"r1": [], "r2": ["right_without_lease"]}


async def test_customer_is_counted_here_and_by_all_others(tmp_path: Path) -> None:
    """Once a day: the second time not, for another customer and on another day again."""
    shop = a_shop(tmp_path, ONCE)
    tomorrow = "2026-11-24T12:00:00+03:00"
    async with a_till(shop) as till:
        assert (await sell(till, "r1", customer={"id": "c1"}))["applied"] == ["once"]
        assert (await sell(till, "r2", customer={"card": "100"}))["applied"] == []
        assert (await sell(till, "r3", customer={"id": "c9"}))["applied"] == ["once"]
        assert (await sell(till, "r4", customer={"id": "c1"}, time=tomorrow))["applied"] == ["once"]
        assert (await sell(till, "r5"))["applied"] == []

    tell(shop, 8, 1, customer_id="c4")
    async with a_till(shop) as till:
        receipt = till_receipt("r6", customer={"id": "c4"})
        traced = await ask(till, f"{CALCULATE}?trace=1&hints=1", receipt)
        assert traced["applied"] == []
        assert [each["reason"] for each in traced["trace"]] == ["limit"]
        said = {"id": "c4", "usage": {"once": {"day": 0}}}
        assert (await sell(till, "r7", customer=said))["applied"] == ["once"]

    [first] = [fact.uses for fact in sales(shop)][:1]
    assert [(u.promotion, u.measure, u.period, u.amount, u.limit) for u in first] == [
        ("once", "times", "2026-11-23", 1, 1)
    ]


async def test_put_back_file_is_healed_by_what_central_knows(tmp_path: Path) -> None:
    """What was used here was forgotten, and central tells it; afterwards both count on."""
    shop = a_shop(tmp_path, ONCE | {"limits": {"per_customer": {"times": 3, "per": "day"}}})
    tell(shop, 7, 2)
    async with a_till(shop) as till:
        told = [await sell(till, f"r{n}", customer={"id": "c1"}) for n in range(2)]

    assert [each["applied"] for each in told] == [["once"], []]


async def test_second_journal_counts_a_sale_once(tmp_path: Path) -> None:
    """Told again by the journal, in a file that has it and in one that has not."""
    shop, other = a_shop(tmp_path, ONCE), tmp_path / "other"
    async with a_till(shop) as till:
        await sell(till, "r1", customer={"id": "c1"})
    make_shop(other, bundle=a_bundle(1, promotions=[ONCE]))
    [(kept, record)] = records(shop, Lane.RECEIPTS)
    remembered = Remembered(
        uid=kept.uid, kind=record.kind, body=record.body, local=kept.local, recorded_at_ms=1
    )
    for folder in (shop, other):
        with database(folder) as connection:
            for _ in range(2):
                REPLAYS[record.kind](connection, remembered)
            rows = list(connection.execute("SELECT customer_id, edge_id, amount FROM own_use"))
            assert rows == [("c1", 0, 1)]
            name_owner(connection, 7)
            rows = list(connection.execute("SELECT customer_id, edge_id, amount FROM own_use"))
            assert rows == [("c1", 7, 1)]
    async with a_till(other) as till:
        receipt = till_receipt("r2", customer={"id": "c1"})
        assert (await ask(till, CALCULATE, receipt))["applied"] == []


@pytest.mark.parametrize("count", [0, 300])
async def test_only_what_the_index_offers_is_filled(tmp_path: Path, count: int) -> None:
    """Hundreds of limited promotions for other goods leave no trace in the receipt."""
    others = [
        {
            "id": f"other-{n}",
            "limits": {"total": {"times": 5}},
            "then": [TEN | {"filter": {"sku": [f"x{n}"]}}],
        }
        for n in range(count)
    ]
    shop = a_shop(tmp_path, FIRST, *others)
    async with a_till(shop) as till:
        await sell(till, "r1")

    [fact] = sales(shop)
    assert set(fact.receipt.usage) == {"first"}


def test_till_whose_calendar_is_ahead_wipes_no_counts_of_today(tmp_path: Path) -> None:
    """What is over goes by the earlier of the till's day and trusted time."""
    connection = open_writer(tmp_path / "edge.sqlite")
    at_ms = int(datetime.fromisoformat("2026-12-01T10:00:00Z").timestamp() * 1000)
    keep_floor(connection, Floor(floor_ms=at_ms, boot_id="", boot_ns=0))

    def use(day: str) -> list[PromotionUse]:
        return [PromotionUse(promotion="coffee", measure="times", period=day, amount=1, limit=1)]

    add_own(connection, "c1", use("2026-12-01"), business_date="2026-12-01", edge_id=7)
    add_own(connection, "c2", use("2027-06-01"), business_date="2027-06-01", edge_id=7)
    assert len(own_uses(connection, "c1", 7)) == 1
    # A till that is right goes on forgetting.
    keep_floor(connection, Floor(floor_ms=at_ms + 200 * 86_400_000, boot_id="", boot_ns=0))
    add_own(connection, "c2", use("2027-06-19"), business_date="2027-06-19", edge_id=7)
    assert own_uses(connection, "c1", 7) == []
    connection.close()

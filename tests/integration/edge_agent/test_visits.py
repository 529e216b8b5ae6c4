"""A visitor's points are asked for when they are lacking, and no cashier waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from edge_agent.checkout.filling import Known
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.lan.policy import FAILURES_MAX, OPEN_NS
from edge_agent.leases.policy import Standing
from edge_agent.leases.store import spendable_of
from edge_agent.loyalty.store import put_balance, put_lease
from edge_agent.uplink.visits import (
    ASK_AGAIN_NS,
    EXPECT_AGAIN_NS,
    EXPECTED_PER_MINUTE_MAX,
    LOAN_TIMEOUT_S,
    Expected,
    Visits,
)
from shared.errors import ForbiddenError, UnavailableError
from shared.wire.feed import BalanceEntry, CustomerEntry, LeaseEntry, LeaseState
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.receipt import Receipt, SpendRequest
from tests.support.clocks import FakeClock

STANDING = Standing(edge_id=7, epoch=1, now_ms=1_000)
POINTS = 15_000


def lease(granted: int, state: LeaseState = LeaseState.OPEN) -> LeaseEntry:
    return LeaseEntry(
        lease_id="L1",
        owner="c1",
        asset="points:main",
        granted=granted,
        spend_until_ms=2_000,
        state=state,
        edge_id=7,
        epoch=1,
    )


class Shop:
    """A shop that knows member c1 to have 150 points somewhere; ``answer`` is central's."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.writer = Writer(folder / "edge.sqlite")
        self.reader = Reader(folder / "edge.sqlite")
        self.online = True
        self.asked: list[LoanRequest] = []
        self.answer: LoanReply | Exception | None = LoanReply(lease=lease(POINTS), recalled=False)
        self.visits = Visits(
            central=self,
            reader=self.reader,
            writer=self.writer,
            is_online=lambda: self.online,
            standing=lambda _: STANDING,
            clock=self.clock,
        )

    async def borrow(self, request: LoanRequest) -> LoanReply:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.sleep(10 * LOAN_TIMEOUT_S)
        assert isinstance(self.answer, LoanReply)
        return self.answer

    async def here(self) -> int:
        """What may be spent once everything that waits is on the disk."""
        await self.writer.run(lambda _: None)
        return (await self.reader.run(lambda c: spendable_of(c, "c1", STANDING))).get(
            "points:main", 0
        )


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    entry = BalanceEntry(customer_id="c1", account="main", available_centi=POINTS, as_of_ms=1)
    await shop.writer.run(lambda connection: put_balance(connection, entry))
    yield shop
    await shop.visits.close()
    shop.reader.close()
    shop.writer.close()


async def test_what_lacks_is_asked_for_and_can_be_spent(shop: Shop) -> None:
    """The lease is here before the sale is priced; then nothing lacks, and nobody is asked."""
    assert await shop.visits.bring("c1") == {"points:main": POINTS}
    assert shop.asked == [LoanRequest(owner="c1", asset="points:main", amount=POINTS)]
    assert await shop.here() == POINTS
    assert await shop.visits.bring("c1") == {}
    shop.clock.advance_ms(ASK_AGAIN_NS // 10**6)
    await shop.visits.bring("c1")
    assert len(shop.asked) == 1


async def test_the_feed_has_the_last_word(shop: Shop) -> None:
    """An answer that comes late opens no lease again that the feed has told to be recalled."""
    await shop.writer.run(
        lambda connection: put_lease(connection, lease(10_000, LeaseState.RECALLED), 5)
    )
    await shop.visits.bring("c1")
    assert await shop.here() == 0


async def test_a_till_that_calculates_at_every_article_asks_seldom(shop: Shop) -> None:
    """Within the pause nobody is asked again; another member is another question."""
    shop.answer = LoanReply(lease=None, recalled=True)
    for _ in range(5):
        await shop.visits.bring("c1")
    assert len(shop.asked) == 1
    shop.clock.advance_ms(ASK_AGAIN_NS // 10**6)
    await shop.visits.bring("c1")
    assert len(shop.asked) == 2


async def test_offline_nobody_is_asked(shop: Shop) -> None:
    """Without an uplink the sale takes what is here."""
    shop.online = False
    await shop.visits.bring("c1")
    assert shop.asked == []


@pytest.mark.parametrize("silent", [True, False])
async def test_a_central_that_does_not_answer_is_left_alone(shop: Shop, *, silent: bool) -> None:
    """After a few failures nobody waits for it, until it is tried once more."""
    shop.answer = None if silent else UnavailableError("no")
    for _ in range(FAILURES_MAX + 3):
        shop.clock.advance_ms(ASK_AGAIN_NS // 10**6)
        await shop.visits.bring("c1")
    assert len(shop.asked) == FAILURES_MAX
    shop.clock.advance_ms(OPEN_NS // 10**6)
    await shop.visits.bring("c1")
    assert len(shop.asked) == FAILURES_MAX + 1


async def test_a_refusal_is_an_answer(shop: Shop) -> None:
    """A frozen agent is told so each time it asks; the sale goes on without points."""
    shop.answer = ForbiddenError("frozen")
    for _ in range(FAILURES_MAX + 3):
        shop.clock.advance_ms(ASK_AGAIN_NS // 10**6)
        await shop.visits.bring("c1")
    assert len(shop.asked) == FAILURES_MAX + 3
    assert await shop.here() == 0


async def test_who_is_at_home_here_is_not_asked_for(shop: Shop) -> None:
    """With a lease here, what lacks was spent here; but what is on its way is asked for again."""
    await shop.writer.run(lambda connection: put_lease(connection, lease(10_000), 5))
    await shop.visits.bring("c1")
    assert shop.asked == []


async def test_what_another_store_gives_back_is_asked_for_until_it_is_here(shop: Shop) -> None:
    """First what is free, then the rest."""
    shop.answer = LoanReply(lease=lease(1_000), recalled=True)
    await shop.visits.bring("c1")
    assert await shop.here() == 1_000
    shop.answer = LoanReply(lease=lease(POINTS), recalled=False)
    shop.clock.advance_ms(ASK_AGAIN_NS // 10**6)
    await shop.visits.bring("c1")
    assert await shop.here() == POINTS


async def test_pricing_does_not_wait_for_the_disk_and_a_sale_comes_after_the_loan(
    shop: Shop,
) -> None:
    """While the disk is busy the points are known; what is written from then on finds the lease."""
    disk = threading.Event()
    stuck = asyncio.create_task(shop.writer.run(lambda _: disk.wait()))
    found = await shop.visits.bring("c1")
    again = await shop.visits.bring("c1")
    sale = asyncio.create_task(shop.writer.run(lambda c: spendable_of(c, "c1", STANDING)))
    before = await shop.reader.run(lambda c: spendable_of(c, "c1", STANDING))
    disk.set()

    assert (found, again, before) == ({"points:main": POINTS}, {"points:main": POINTS}, {})
    assert await sale == {"points:main": POINTS}
    await stuck


async def test_a_lease_that_is_here_is_as_its_row_says(shop: Shop) -> None:
    """An answer about a lease that was recalled, or is of another agent, gives nothing."""
    recalled = lease(10_000, LeaseState.RECALLED)
    await shop.writer.run(lambda connection: put_lease(connection, recalled, 5))
    assert await shop.visits.bring("c1") == {}
    foreign = replace(lease(10_000), lease_id="L2", edge_id=8)
    shop.answer = LoanReply(lease=foreign, recalled=False)
    shop.clock.advance_ms(ASK_AGAIN_NS // 10**6)
    assert await shop.visits.bring("c1") == {}


async def test_two_tills_wait_for_one_answer(shop: Shop) -> None:
    """Who comes while central is asked hears the same, even if the first one goes away."""
    first, second = (asyncio.create_task(shop.visits.bring("c1")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {"points:main": POINTS}
    assert len(shop.asked) == 1


class Scanner:
    """Prices as a till's thread does, for members who have points elsewhere."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.fetched: list[str] = []
        self.here_centi = 0
        self.expected = Expected(self.elsewhere, self.clock)
        self.expected.open()

    async def elsewhere(self, owner: str) -> Mapping[str, int]:
        self.fetched.append(owner)
        if owner == "c-bad":
            raise UnavailableError("the disk refuses")
        return {}

    async def scan(self, owner: str, *, spends: bool = False, blocked: bool = False) -> None:
        known = Known(
            customer=CustomerEntry(customer_id=owner, card_tags=[], blocked=blocked),
            balances_centi={"main": POINTS},
            spendable_centi={"main": self.here_centi},
        )
        receipt = Receipt(
            receipt_id="r1",
            store="S1",
            time="2026-11-30T12:00:00",
            lines=[],
            spend=SpendRequest(account="main") if spends else None,
        )
        look_up = self.expected.watching(lambda *_: known)
        anything = cast("Any", None)
        thread = asyncio.to_thread(look_up, anything, receipt, None, STANDING, {})
        assert await thread is known
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_points_are_fetched_when_the_card_is_read() -> None:
    """Once while the goods are scanned; not for who has all here, is blocked, or pays now."""
    scanner = Scanner()
    for _ in range(3):
        await scanner.scan("c1")
    await scanner.scan("c2", spends=True)
    await scanner.scan("c3", blocked=True)
    scanner.here_centi = POINTS
    await scanner.scan("c4")
    assert scanner.fetched == ["c1"]

    scanner.here_centi = 0
    scanner.clock.advance_ms(EXPECT_AGAIN_NS // 10**6)
    await scanner.scan("c-bad")
    await scanner.scan("c1")
    assert scanner.fetched == ["c1", "c-bad", "c1"]
    await scanner.expected.close()
    await scanner.scan("c5")
    assert len(scanner.fetched) == 3


async def test_a_rush_of_visitors_leaves_room_for_those_who_pay() -> None:
    """Central answers an agent so often in a minute; half of that is not fetched ahead."""
    scanner = Scanner()
    for number in range(EXPECTED_PER_MINUTE_MAX + 5):
        await scanner.scan(f"c{number}")
    assert len(scanner.fetched) == EXPECTED_PER_MINUTE_MAX
    await scanner.expected.close()

"""A visitor's points are asked for when they are lacking, and no cashier waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.lan.policy import FAILURES_MAX, OPEN_NS
from edge_agent.leases.policy import Standing
from edge_agent.leases.store import spendable_of
from edge_agent.loyalty.store import put_balance, put_lease
from edge_agent.uplink.visits import ASK_AGAIN_NS, LOAN_TIMEOUT_S, Visits
from shared.errors import ForbiddenError, UnavailableError
from shared.wire.feed import BalanceEntry, LeaseEntry, LeaseState
from shared.wire.loan import LoanReply, LoanRequest
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
        return (await self.reader.run(lambda c: spendable_of(c, "c1", STANDING))).get(
            "points:main", 0
        )


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    entry = BalanceEntry(customer_id="c1", account="main", available_centi=POINTS, as_of_ms=1)
    await shop.writer.run(lambda connection: put_balance(connection, entry))
    yield shop
    shop.reader.close()
    shop.writer.close()


async def test_what_lacks_is_asked_for_and_can_be_spent(shop: Shop) -> None:
    """The lease is here before the sale is priced; then nothing lacks, and nobody is asked."""
    await shop.visits.bring("c1")
    assert shop.asked == [LoanRequest(owner="c1", asset="points:main", amount=POINTS)]
    assert await shop.here() == POINTS
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

"""How often central is asked for more of a budget, and when it is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_agent.uplink import budgets
from edge_agent.uplink.budgets import WANTED_MAX, BudgetAsks
from shared.errors import NotFoundError, UnavailableError
from shared.wire.feed import LeaseEntry, LeaseState
from shared.wire.loan import LoanReply, LoanRequest


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_ms(self) -> int:
        return int(self.s * 1000)

    def mono_ns(self) -> int:
        return int(self.s * 10**9)


class Central:
    """Answers as it is told, and notes when it was asked for what."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.asked: list[tuple[float, str, int]] = []
        self.answer: Callable[[], LoanReply] = lambda: LoanReply(lease=None, recalled=False)

    async def borrow(self, request: LoanRequest) -> LoanReply:
        self.asked.append((self.time.s, request.owner, request.amount))
        return self.answer()


class Disk:
    """The writer's twin: what it was to write."""

    def __init__(self) -> None:
        self.written = 0

    async def run(self, _job: Any) -> None:
        self.written += 1


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    monkeypatch.setattr(budgets, "ROUND_S", 0)
    return Time()


def asks_of(time: Time, *, online: bool = True) -> tuple[BudgetAsks, Central, Disk]:
    central, disk = Central(time), Disk()
    writer: Any = disk
    asks = BudgetAsks(central=central, writer=writer, is_online=lambda: online, clock=time)
    return asks, central, disk


def lease(granted: int) -> LeaseEntry:
    return LeaseEntry(
        lease_id="L",
        owner="p",
        asset="budget:times",
        granted=granted,
        spend_until_ms=1,
        state=LeaseState.OPEN,
    )


async def run(asks: BudgetAsks, time: Time, until_s: float, *, missed: bool) -> None:
    """Rounds twice a second; at each of them a receipt misses the budget, or none does."""
    while time.s < until_s:
        if missed:
            asks.want_more("p", "budget:times", 3)
        await asks.round()
        time.s += 0.5


async def test_who_has_nothing_is_asked_ever_more_seldom(time: Time) -> None:
    """After 4, 8, 16 seconds and so on, ten minutes at last, as long as receipts miss it."""
    asks, central, _ = asks_of(time)
    await run(asks, time, 60, missed=True)
    assert [at for at, _, _ in central.asked] == [0, 4, 12, 28]
    await run(asks, time, 4_000, missed=True)
    last = [at for at, _, _ in central.asked][-2:]
    assert last[1] - last[0] == 600


async def test_what_was_given_is_written_and_nobody_is_asked_without_need(time: Time) -> None:
    """Once, until a receipt misses it again."""
    asks, central, disk = asks_of(time)
    central.answer = lambda: LoanReply(lease=lease(5), recalled=False)
    asks.want_more("p", "budget:times", 3)
    await run(asks, time, 60, missed=False)
    assert central.asked == [(0, "p", 3)]
    assert disk.written == 1


async def test_what_is_on_its_way_back_is_fetched(time: Time) -> None:
    """Every two seconds, though no customer asks again; then it is over."""
    asks, central, _ = asks_of(time)
    central.answer = lambda: LoanReply(lease=None, recalled=len(central.asked) < 4)
    asks.want_more("p", "budget:times", 3)
    await run(asks, time, 60, missed=False)
    assert [at for at, _, _ in central.asked] == [0, 2, 4, 6]


@pytest.mark.parametrize("error", [UnavailableError("no line"), NotFoundError("no such budget")])
async def test_no_answer_is_asked_again_and_a_refusal_is_not(time: Time, error: Exception) -> None:
    """A line that fails while it seems to be there; a promotion that is no more."""

    def refuse() -> LoanReply:
        raise error

    asks, central, _ = asks_of(time)
    central.answer = refuse
    asks.want_more("p", "budget:times", 3)
    await run(asks, time, 10, missed=False)
    again = isinstance(error, UnavailableError)
    assert [at for at, _, _ in central.asked] == ([0, 4] if again else [0])


async def test_nothing_is_asked_without_a_line_and_not_everything_is_kept(time: Time) -> None:
    """What was missed longest ago makes room."""
    asks, central, _ = asks_of(time, online=False)
    for number in range(WANTED_MAX + 5):
        asks.want_more(f"p{number}", "budget:times", 1)
    await run(asks, time, 5, missed=False)
    assert central.asked == []
    assert len(asks._wants) == WANTED_MAX

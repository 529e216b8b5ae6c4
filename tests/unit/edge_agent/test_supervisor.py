"""Loops: tried again, watched, stopped."""

from __future__ import annotations

import asyncio

from edge_agent.supervisor import Supervisor
from shared.errors import UnavailableError
from shared.status import Health


class FixedClock:
    def now_ms(self) -> int:
        return 5

    def mono_ns(self) -> int:
        return 0


async def test_failing_loop_is_tried_again_and_recovers() -> None:
    """Failures in a row are counted for the wait; the first success ends them."""
    waits: list[int] = []
    rounds = 0
    recovered = asyncio.Event()

    def wait_s(failures: int) -> float:
        waits.append(failures)
        return 0.0

    async def one_round() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            raise ValueError(rounds)
        if rounds < 4:
            raise UnavailableError("no link")
        if rounds == 5:
            recovered.set()
            await asyncio.Event().wait()

    supervisor = Supervisor(FixedClock(), wait_s)
    supervisor.add("link", one_round)
    assert supervisor.statuses()[0].health is Health.NOT_READY
    supervisor.start()
    await asyncio.wait_for(recovered.wait(), 5)
    (status,) = supervisor.statuses()
    await supervisor.stop()

    assert waits == [1, 2, 3]
    assert (status.component, status.health, status.message) == ("link", Health.OK, "")
    assert status.last_success_at_ms == 5


async def test_failure_shows_and_leaves_other_loops_alone() -> None:
    """One loop's fault stands in its own status only."""
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise UnavailableError("central cannot be reached")

    async def work() -> None:
        await asyncio.sleep(0)

    supervisor = Supervisor(FixedClock(), lambda _: 60.0)
    supervisor.add("bad", fail)
    supervisor.add("good", work)
    supervisor.start()
    await asyncio.wait_for(failed.wait(), 5)
    for _ in range(5):
        await asyncio.sleep(0)
    bad, good = supervisor.statuses()
    await supervisor.stop()

    assert (bad.health, bad.message) == (Health.ERROR, "central cannot be reached")
    assert good.health is Health.OK


async def test_stop_waits_for_what_a_round_still_does() -> None:
    """After ``stop`` no loop runs any more, and each has cleaned up."""
    ended: list[str] = []
    begun = asyncio.Event()

    async def one_round() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned")

    supervisor = Supervisor(FixedClock(), lambda _: 0.0)
    supervisor.add("slow", one_round)
    supervisor.start()
    await begun.wait()
    await supervisor.stop()

    assert ended == ["cleaned"]

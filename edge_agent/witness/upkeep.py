"""What keeps the records small and trusted time fresh while nobody sells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import apsw

from edge_agent.clock.policy import DATED_AHEAD_MS_MAX
from edge_agent.clock.trusted import TrustedClock
from edge_agent.database.disk import Disk
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import prune_acked
from edge_agent.witness.guard import Guard
from shared.limits import ACKED_RECORD_KEEP_DAYS, SALE_KEEP_DAYS

UPKEEP_EVERY_S: Final = 60.0
"""Trusted time is put down so often; a power cut takes no more of it than that."""
PRUNE_STEP: Final = 200
"""Records in one transaction, so that tills do not wait for it."""
_DAY_MS: Final = 24 * 3_600_000


async def look_again(disk: Disk) -> None:
    """A round while the disk is read-only: wait, and look whether it can be written again."""
    await asyncio.sleep(UPKEEP_EVERY_S)
    await asyncio.to_thread(disk.look_again)


Forget = Callable[[apsw.Connection, int, int, int], int]
"""Keeps no longer what was made before an instant, so many at most, and takes dates after another
instant for a wrong clock's; how many went."""


class Upkeep:
    """A round for the supervisor. ``forgets``: of the rooms that keep sales and returns."""

    def __init__(
        self,
        *,
        writer: Writer,
        guard: Guard,
        clock: TrustedClock,
        disk: Disk,
        forgets: Sequence[Forget] = (),
    ) -> None:
        self._forgets = forgets
        self._writer = writer
        self._guard = guard
        self._clock = clock
        self._disk = disk

    async def round(self) -> None:
        """Wait; put trusted time down; keep confirmed records no longer than they are wanted."""
        await asyncio.sleep(UPKEEP_EVERY_S)
        await asyncio.to_thread(self._disk.look_again)
        await self.tidy()

    async def tidy(self) -> int:
        """The work of a round; how many records, sales and journal files went."""
        # By the clock that dates: where central says less than trusted time, trusted time is ahead.
        now_ms = min(self._clock.trusted_now_ms(), self._clock.shop_now_ms())
        ahead_ms = now_ms + DATED_AHEAD_MS_MAX
        before_ms = now_ms - ACKED_RECORD_KEEP_DAYS * _DAY_MS
        sales_before_ms = now_ms - SALE_KEEP_DAYS * _DAY_MS

        def prune(connection: apsw.Connection) -> int:
            pruned = prune_acked(connection, before_ms, PRUNE_STEP, ahead_ms)
            return pruned + sum(
                forget(connection, sales_before_ms, PRUNE_STEP, ahead_ms)
                for forget in self._forgets
            )

        if self._disk.short:
            # In the writer's thread, which is the one that gives it up.
            await self._writer.run(lambda _: self._disk.hold_reserve())
        await self._writer.run(self._guard.put_time_down)
        count = 0
        while pruned := await self._writer.run(prune):
            count += pruned
        # In the writer's thread, which alone touches the journal.
        return count + await self._writer.run(
            lambda connection: self._guard.prune(connection, before_ms)
        )

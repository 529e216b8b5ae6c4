"""Timers: pending points become free on their day; leases of agents in touch are prolonged."""

from __future__ import annotations

import datetime as dt
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from central.accounts import service, store
from central.database.pool import Pool
from shared.clock import Clock
from shared.logs import get_logger

ACTIVATE_EVERY_S: Final = 60
RENEW_EVERY_S: Final = 3600
_LOG = get_logger(__name__)


class Jobs:
    """Owns the scheduler; one run of a job at a time."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._scheduler = AsyncIOScheduler(timezone=dt.UTC)

    async def activate_points(self) -> int:
        """Free pending points whose day has come in UTC; how many entries."""
        now_ms = self._clock.now_ms()
        today = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).date().isoformat()
        async with self._pool.connection() as connection:
            count = await service.activate_due(connection, today, now_ms=now_ms)
        if count:
            _LOG.info("points.activated", count=count)
        return count

    async def renew_leases(self) -> int:
        """Prolong leases that are past half of their term; how many."""
        async with self._pool.connection() as connection:
            await store.lock_ledger(connection)
            return await store.renew_leases(connection, now_ms=self._clock.now_ms())

    def start(self) -> None:
        """Begin."""
        for job, seconds in (
            (self.activate_points, ACTIVATE_EVERY_S),
            (self.renew_leases, RENEW_EVERY_S),
        ):
            self._scheduler.add_job(job, "interval", seconds=seconds, jitter=5, max_instances=1)
        self._scheduler.start()

    def stop(self) -> None:
        """End, without waiting for the next turn."""
        self._scheduler.shutdown(wait=False)

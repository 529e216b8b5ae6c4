"""Timers: what is free, due, over or wrong in the ledger is found and dealt with on its day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from central.accounts import audit, service, timers
from central.accounts.books import Purse
from central.coupons import store as coupons
from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.limits import budgets, uses
from central.members.registering import Registering
from shared.clock import Clock
from shared.logs import get_logger

MINUTE_S: Final = 60
SETTLE_S: Final = 5
"""Whoever was made a member in a shop without a line is one everywhere soon after."""
HOUR_S: Final = 3600
NIGHT_UTC: Final = 1
"""The hour of the day at which everything is gone through."""
BATCHES_MAX: Final = 2_000
"""Transactions of one run of a job; the next run does the rest."""
_LOG = get_logger(__name__)


class Jobs:
    """Owns the scheduler; one run of a job at a time."""

    def __init__(self, pool: Pool, clock: Clock, registering: Registering | None = None) -> None:
        """``registering``: who makes members of those whom shops made; None: nobody does."""
        self._registering = registering
        self._pool = pool
        self._clock = clock
        self._scheduler = AsyncIOScheduler(timezone=dt.UTC)

    async def settle_registrations(self) -> int:
        """Make members of those whom shops made; how many."""
        count = 0
        for _ in range(BATCHES_MAX):
            done = 0 if self._registering is None else await self._registering.settle_waiting()
            count += done
            if done == 0:
                break
        if count:
            _LOG.info("registrations.settled", count=count)
        return count

    async def activate_points(self) -> int:
        """Free pending points whose day has come in UTC; how many lots."""
        count = 0
        for _ in range(BATCHES_MAX):
            done = await in_transaction(
                self._pool,
                lambda connection: timers.activate_due(
                    connection, self._today(), now_ms=self._clock.now_ms()
                ),
            )
            count += done
            if done == 0:
                break
        if count:
            _LOG.info("points.activated", count=count)
        return count

    async def release_holds(self) -> int:
        """Let go of what was set aside and never captured; how many holds."""
        return await in_transaction(
            self._pool,
            lambda connection: timers.expire_holds(connection, now_ms=self._clock.now_ms()),
        )

    async def expire_points(self) -> None:
        """Let points past their last day expire."""
        after: Purse | None = Purse("", "")
        for _ in range(BATCHES_MAX):
            if after is None:
                break
            after = await in_transaction(self._pool, self._expire_after(after))

    async def renew_leases(self) -> int:
        """Prolong leases that are past half of their term; how many."""
        count, after = 0, ""
        for _ in range(BATCHES_MAX):
            done, last = await in_transaction(self._pool, self._renew_after(after))
            count += done
            if last is None:
                break
            after = last
        return count

    async def settle_leases(self) -> list[str]:
        """Write off small leases that ran out long ago; those that a person must decide on."""
        asked: list[str] = []
        after = ""
        for _ in range(BATCHES_MAX):
            found, last = await in_transaction(self._pool, self._settle_after(after))
            asked += found
            if last is None:
                break
            after = last
        if asked:
            _LOG.warning("leases.undecided", count=len(asked), first=asked[0])
        return asked

    async def lend_free(self) -> int:
        """Lend what lies free to the hubs of members' home stores; how many purses."""
        count = 0
        async with self._pool.connection() as connection:
            stores = await service.stores_with_hubs(connection)
        for store_id in stores:
            count += await in_transaction(self._pool, self._lend_at(store_id))
        return count

    async def take_budgets(self) -> int:
        """Take what came back of budgets that were lowered or are over; how many budgets."""
        return await in_transaction(
            self._pool,
            lambda connection: budgets.take_excess(connection, now_ms=self._clock.now_ms()),
        )

    async def lend_budgets(self) -> None:
        """Forecast, and lend stores what they lack of budgets."""
        await in_transaction(
            self._pool, lambda connection: budgets.count_traffic(connection, self._today())
        )
        after: Purse | None = Purse("", "")
        for _ in range(BATCHES_MAX):
            if after is None:
                break
            after = await in_transaction(self._pool, self._lend_budgets_after(after))

    async def forget_uses(self) -> int:
        """Let go of what customers used in periods that are over; how many counts."""
        count = 0
        for _ in range(BATCHES_MAX):
            done = await in_transaction(
                self._pool, lambda connection: uses.forget_past(connection, self._today())
            )
            count += done
            if done == 0:
                break
        return count

    async def forget_coupons(self) -> int:
        """Let go of personal codes long past their last day; how many."""
        count = 0
        for _ in range(BATCHES_MAX):
            done = await in_transaction(
                self._pool, lambda connection: coupons.forget_past(connection, self._today())
            )
            count += done
            if done == 0:
                break
        return count

    async def audit(self) -> int:
        """Compare what has moved with what the accounts hold; how many differences are open."""
        return await in_transaction(self._pool, audit.count_on)

    async def audit_all(self) -> int:
        """Compare everything; how many differences are open."""
        return await in_transaction(self._pool, audit.check_all)

    def start(self) -> None:
        """Begin."""
        for job, seconds in (
            (self.settle_registrations, SETTLE_S),
            (self.activate_points, MINUTE_S),
            (self.release_holds, MINUTE_S),
            (self.take_budgets, MINUTE_S),
            (self.audit, MINUTE_S),
            (self.renew_leases, HOUR_S),
        ):
            self._scheduler.add_job(job, "interval", seconds=seconds, jitter=5, max_instances=1)
        for minute, nightly in enumerate(
            (
                self.expire_points,
                self.settle_leases,
                self.lend_free,
                self.audit_all,
                self.lend_budgets,
                self.forget_uses,
                self.forget_coupons,
            )
        ):
            self._scheduler.add_job(
                nightly, "cron", hour=NIGHT_UTC, minute=8 * minute, max_instances=1
            )
        self._scheduler.start()

    def stop(self) -> None:
        """End, without waiting for the next turn."""
        self._scheduler.shutdown(wait=False)

    def _today(self) -> str:
        return dt.datetime.fromtimestamp(self._clock.now_ms() / 1000, dt.UTC).date().isoformat()

    def _expire_after(self, after: Purse) -> Callable[[Connection], Awaitable[Purse | None]]:
        return lambda connection: timers.expire_due(
            connection, self._today(), after=after, now_ms=self._clock.now_ms()
        )

    def _renew_after(self, after: str) -> Callable[[Connection], Awaitable[tuple[int, str | None]]]:
        return lambda connection: timers.renew_leases(
            connection, self._today(), after=after, now_ms=self._clock.now_ms()
        )

    def _settle_after(
        self, after: str
    ) -> Callable[[Connection], Awaitable[tuple[list[str], str | None]]]:
        return lambda connection: timers.settle_due(
            connection, after=after, now_ms=self._clock.now_ms()
        )

    def _lend_budgets_after(self, after: Purse) -> Callable[[Connection], Awaitable[Purse | None]]:
        return lambda connection: budgets.tend(connection, after, now_ms=self._clock.now_ms())

    def _lend_at(self, store_id: str) -> Callable[[Connection], Awaitable[int]]:
        return lambda connection: service.lend_to_new_hub(
            connection, store_id, now_ms=self._clock.now_ms()
        )

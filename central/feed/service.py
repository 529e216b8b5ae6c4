"""The feed as the listener uses it: answers, the wait for news, and what has to be tended.

One task of the process publishes and looks; a waiting reader costs no query until something of its
store was published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from central.database.pool import Pool
from central.feed import snapshot, store
from shared.clock import Clock
from shared.logs import get_logger
from shared.wire.feed import (
    FeedBuckets,
    FeedPage,
    FeedRepair,
    FeedReset,
    SnapshotManifest,
)

TICK_S: Final = 0.1
"""How often the log is looked at while somebody waits; bounds how late a change is seen."""
IDLE_TICK_S: Final = 1.0
TEND_EVERY_S: Final = 60
PUBLICATIONS_MAX: Final = 4
"""In a row, before whoever waits for them is answered; half a second or so."""
HORIZON_HELD_S: Final = 5
"""A transaction that writes for longer keeps everybody's news back: somebody has to look at it."""
_LOG = get_logger(__name__)


class Feed:
    """The feed of one process; ``run`` is its task, which whoever opens the listener starts."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._publishing = asyncio.Lock()
        self._begun = 0
        self._stuck = False
        self._seen = 0
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._places: dict[int, store.Place] = {}
        self._held = False
        self._asked = asyncio.Event()

    async def page(
        self,
        edge_id: int,
        store_id: str,
        cursor: str,
        wait_s: float,
        *,
        pages_only: bool = False,
    ) -> FeedPage | FeedReset:
        """What follows the cursor; waits up to ``wait_s`` while there is nothing.

        ``pages_only``: the agent is of the first release, which knows no snapshots.

        Raises:
            InputError: the cursor has the form of no central's cursor.
        """
        deadline_ns = self._clock.mono_ns() + int(wait_s * 1e9)
        await self.publish()
        while True:
            news = self._wait_for(store_id)
            try:
                found = await store.read_page(self._pool, store_id, cursor, pages_only=pages_only)
                if isinstance(found, FeedReset):
                    return found
                page, _ = found
                left_s = (deadline_ns - self._clock.mono_ns()) / 1e9
                if page.changes or left_s <= 0:
                    await self._note(edge_id, store_id, cursor)
                    return page
                self._asked.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), left_s)
            finally:
                self._waiting[store_id].discard(news)

    async def snapshot(self, store_id: str) -> SnapshotManifest:
        """All that a store has to know, in pieces."""
        await self.publish()
        return await snapshot.manifest_of(self._pool, store_id)

    async def chunk(self, store_id: str, sha256: bytes) -> bytes:
        """One piece. Raises NotFoundError when it is gone."""
        async with self._pool.connection() as connection:
            return await snapshot.chunk_of(connection, store_id, sha256)

    async def buckets(self, store_id: str, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        """A topic's sums by bucket. Raises as ``page``."""
        async with self._pool.connection() as connection:
            found = await store.read_buckets(connection, store_id, cursor, topic)
        return await store.reset_or(self._pool, found)

    async def repair(
        self, store_id: str, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        """All entries of some buckets. Raises as ``page``."""
        async with self._pool.connection() as connection:
            found = await store.read_repair(connection, store_id, cursor, topic, buckets)
        return await store.reset_or(self._pool, found)

    async def confirm(self, edge_id: int, cursor: str) -> None:
        """An agent says which checkpoint it has in force."""
        async with self._pool.connection() as connection:
            await store.confirm_reader(connection, edge_id, cursor)

    async def publish(self) -> bool:
        """Publish what was committed before this call; whether something waits that cannot be.

        Many who call at once share one publication. With a long backlog it is only begun: nobody
        waits for all of it.
        """
        asked = self._begun
        async with self._publishing:
            # Else one that began after the call has ended meanwhile.
            if self._begun == asked:
                self._begun += 1
                self._stuck = await self._publish_some()
            return self._stuck

    async def _publish_some(self) -> bool:
        for _ in range(PUBLICATIONS_MAX):
            async with self._pool.connection() as connection:
                if not await store.log_waits(connection):
                    return False
            async with self._pool.connection() as connection:
                taken = await store.publish(connection)
            if taken is None or taken < store.PUBLISH_ROWS_MAX:
                return taken == 0
        return False

    async def run(self) -> None:
        """Publish, wake who waits, forget what may be forgotten, until cancelled."""
        tended_ns = self._clock.mono_ns()
        failing = False
        while True:
            try:
                stuck = await self.publish()
                await self._wake()
                await self._watch_horizon(stuck=stuck)
                if self._clock.mono_ns() - tended_ns > TEND_EVERY_S * 1e9:
                    tended_ns = self._clock.mono_ns()
                    async with self._pool.connection() as connection:
                        await store.remove_tombstones(connection, now_ms=self._clock.now_ms())
                        await snapshot.forget_old(connection)
                failing = False
            except Exception:  # noqa: BLE001 (the task must outlive a restart of the database)
                if not failing:
                    _LOG.exception("feed.publisher_failed")
                failing = True
            await self._pause()

    async def _pause(self) -> None:
        if any(self._waiting.values()):
            await asyncio.sleep(TICK_S)
            return
        self._asked.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), IDLE_TICK_S)

    async def _wake(self) -> None:
        async with self._pool.connection() as connection:
            heads = await store.heads_after(connection, self._seen)
        if not heads:
            return
        self._seen = max(heads.values())
        stores = list(self._waiting) if store.EVERY_STORE in heads else list(heads)
        for store_id in stores:
            for news in self._waiting.get(store_id, ()):
                news.set()
            if not self._waiting.get(store_id):
                self._waiting.pop(store_id, None)

    async def _watch_horizon(self, *, stuck: bool) -> None:
        holders: list[dict[str, Any]] = []
        if stuck:
            async with self._pool.connection() as connection:
                holders = await store.horizon_holders(connection, HORIZON_HELD_S)
        if holders and not self._held:
            _LOG.error("feed.horizon_held", held_by=holders)
        elif self._held and not holders:
            _LOG.info("feed.horizon_released")
        self._held = bool(holders)

    async def _note(self, edge_id: int, store_id: str, cursor: str) -> None:
        """Keep where a reader is; once for each place, not for each request."""
        async with self._pool.connection() as connection:
            place = await store.place_of(connection, cursor)
            if place is None or self._places.get(edge_id) == place:
                return
            await store.note_reader(connection, edge_id, store_id, place)
        self._places[edge_id] = place

    def _wait_for(self, store_id: str) -> asyncio.Event:
        news = asyncio.Event()
        self._waiting.setdefault(store_id, set()).add(news)
        return news

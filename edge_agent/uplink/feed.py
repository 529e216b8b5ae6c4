"""Follow central's feed: checkpoint by checkpoint, by a snapshot where there is no other way.

A round does one thing and comes back. What was fetched is kept before more is asked for, so a cut
costs one page or one piece. When a topic does not add up, its 256 buckets are compared and only
those that differ are fetched. Once a day, and at the start, the rows themselves are compared with
the hashes they came with, so that a row damaged on the disk is found by the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.apply import (
    Applied,
    FeedState,
    apply_page,
    apply_repair,
    bad_buckets,
    begin_rebuild,
    bucket_sums,
    check_entries,
    diverged_from,
    feed_state,
    forget_staged,
    recount,
    stage_chunk,
    truncate_log,
)
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.topics import PLACES
from shared.clock import Clock
from shared.errors import NotFoundError, TrustError
from shared.logs import get_logger
from shared.wire.feed import (
    ChunkRef,
    FeedBuckets,
    FeedPage,
    FeedRepair,
    FeedReset,
    SnapshotManifest,
)

CHECK_EVERY_S: Final = 24 * 3600
REPAIRS_MAX: Final = 8
"""Attempts to mend a topic bucket by bucket, before all of it is fetched."""
_EMPTY_PAGE_PAUSE_S: Final = 0.5
"""A central that does not hold the answer back must not be asked in a tight circle."""
_LOG = get_logger(__name__)


class FeedCalls(Protocol):
    """What is asked of central."""

    async def feed(self, cursor: str, wait_s: float) -> FeedPage | FeedReset:
        """Hear what changed."""
        ...

    async def feed_buckets(self, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        """Hear what a topic's buckets add up to."""
        ...

    async def feed_repair(
        self, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        """Hear all of some buckets."""
        ...

    async def feed_snapshot(self) -> SnapshotManifest:
        """Hear what everything is made of."""
        ...

    async def feed_chunk(self, sha256: bytes) -> bytes:
        """Fetch a piece of it."""
        ...


class FeedReader:
    """One shop's end of the feed. ``on_bundle``: called when another bundle is wanted."""

    def __init__(
        self,
        *,
        central: FeedCalls,
        writer: Writer,
        reader: Reader,
        link: LinkState,
        clock: Clock,
        wait_s: float,
        on_bundle: Callable[[], None],
    ) -> None:
        self._central = central
        self._writer = writer
        self._reader = reader
        self._link = link
        self._clock = clock
        self._wait_s = wait_s
        self._on_bundle = on_bundle
        self._diverged: tuple[str, ...] = ()
        self._repairs = 0
        self._checked_mono_ns: int | None = None
        self._log_clean = False

    async def round(self) -> None:
        """Fetch the next thing that is missing, or wait at central for news.

        Raises:
            TrustError: what came is not what it should be; nothing of it was kept.
        """
        if self._check_due():
            await self._check()
        if not self._log_clean:
            self._log_clean = await self._reader.run(truncate_log)
        state = await self._reader.run(feed_state)
        if state.missing is not None:
            await self._fetch(state.missing)
        elif state.orphaned or self._repairs >= REPAIRS_MAX:
            await self._rebuild("orphaned" if state.orphaned else "diverged")
        elif self._diverged:
            await self._repair(state, self._diverged[0])
        else:
            await self._read_on(state)

    async def _read_on(self, state: FeedState) -> None:
        asked_mono_ns = self._clock.mono_ns()
        async with self._link.call():
            page = await self._central.feed(state.asks_after, 0 if state.reading else self._wait_s)
        if isinstance(page, FeedReset):
            await self._rebuild(page.reason)
        elif page.changes or page.cursor != state.cursor or state.reading:
            await self._apply(page)
        else:
            self._note_diverged(await self._reader.run(lambda c: diverged_from(c, page)))
            if self._clock.mono_ns() - asked_mono_ns < _EMPTY_PAGE_PAUSE_S * 1e9:
                await asyncio.sleep(_EMPTY_PAGE_PAUSE_S)

    async def _apply(self, page: FeedPage) -> None:
        try:
            applied = await self._writer.run(lambda connection: apply_page(connection, page))
        except TrustError:
            await self._writer.run(forget_staged)
            raise
        self._take_note(applied)

    async def _rebuild(self, reason: str) -> None:
        async with self._link.call():
            manifest = await self._central.feed_snapshot()
        await self._writer.run(lambda connection: begin_rebuild(connection, manifest))
        self._diverged, self._repairs = (), 0
        _LOG.info("feed.snapshot_begun", reason=reason, chunks=len(manifest.chunks))

    async def _fetch(self, chunk: ChunkRef) -> None:
        try:
            async with self._link.call():
                data = await self._central.feed_chunk(chunk.sha256)
        except NotFoundError:
            await self._rebuild("chunk_gone")
            return
        await self._writer.run(lambda connection: stage_chunk(connection, chunk, data))

    async def _repair(self, state: FeedState, topic: str) -> None:
        self._repairs += 1
        async with self._link.call():
            told = await self._central.feed_buckets(state.asks_after, topic)
        if isinstance(told, FeedReset):
            await self._rebuild(told.reason)
            return
        await self._apply(told.page)
        if not told.totals:
            return
        ours = await self._reader.run(lambda connection: bucket_sums(connection, topic))
        bad = bad_buckets(ours, told.totals)
        if not bad:
            await self._writer.run(lambda connection: recount(connection, topic))
            return
        async with self._link.call():
            repair = await self._central.feed_repair(told.page.cursor, topic, bad)
        if isinstance(repair, FeedReset):
            await self._rebuild(repair.reason)
            return
        applied = await self._writer.run(lambda connection: apply_repair(connection, repair))
        _LOG.warning(
            "feed.repaired", topic=topic, buckets=len(repair.buckets), changes=len(repair.changes)
        )
        self._take_note(applied)

    def _take_note(self, applied: Applied) -> None:
        if applied.staged:
            return
        if applied.unknown:
            _LOG.warning("feed.unknown_topics_skipped", count=applied.unknown)
        if applied.bundle_wanted:
            self._on_bundle()
        if applied.erased:
            self._log_clean = False
        self._note_diverged(applied.diverged)

    def _note_diverged(self, topics: tuple[str, ...]) -> None:
        if topics and not self._diverged:
            _LOG.error("feed.diverged", topics=topics)
        self._diverged = topics
        if not topics:
            self._repairs = 0

    def _check_due(self) -> bool:
        return (
            self._checked_mono_ns is None
            or self._clock.mono_ns() - self._checked_mono_ns > CHECK_EVERY_S * 1e9
        )

    async def _check(self) -> None:
        damaged = 0
        for topic in sorted(name for name, place in PLACES.items() if place.stored is not None):
            after: str | None = ""
            while after is not None:
                job = partial(check_entries, topic=topic, after=after)
                after, found = await self._writer.run(job)
                damaged += found
        if damaged:
            _LOG.error("feed.rows_damaged", count=damaged)
        self._checked_mono_ns = self._clock.mono_ns()

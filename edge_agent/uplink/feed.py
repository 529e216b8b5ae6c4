"""Follow central's feed: checkpoint by checkpoint, by a snapshot where there is no other way.

A round does one thing and comes back. What was fetched is kept before more is asked for, so a cut
costs one page or one piece. When a topic does not add up, its 256 buckets are compared and only
those that differ are fetched. Once a day, and at the start, the rows themselves are compared with
the hashes they came with, so that a row damaged on the disk is found by the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.apply import (
    STEP_KEYS,
    apply_page,
    apply_repair,
    bad_buckets,
    bucket_sums,
    check_entries,
    diverged_from,
    recount,
    truncate_log,
)
from edge_agent.uplink.changeover import (
    LIGHT_STEP_KEYS,
    Changeover,
    Merging,
    begin_rebuild,
    discard,
    note_read,
    open_chunk,
    stage,
    stage_chunk,
    sweep,
)
from edge_agent.uplink.feed_state import Applied, FeedState, Phase, entries_of, feed_state
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.topics import PLACES
from shared.clock import Clock
from shared.crypto.set_hash import BUCKETS
from shared.errors import NotFoundError, TrustError
from shared.logs import get_logger
from shared.wire.feed import (
    ChunkRef,
    FeedBuckets,
    FeedChange,
    FeedPage,
    FeedRepair,
    FeedReset,
    SnapshotManifest,
)

CHECK_EVERY_S: Final = 24 * 3600
REPAIRS_MAX: Final = 8
"""Attempts in a row to mend a topic that mended no bucket, before all of it is fetched."""
REPAIR_KEYS: Final = 1_000
"""Mended at once, as far as buckets are about alike: tills wait for it."""
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
    """One shop's end of the feed. ``on_bundle``: called when another bundle is wanted.

    ``checks``: from time to time the rows are compared with what they came as.
    """

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
        checks: bool = True,
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
        self._bad_buckets = 0
        self._checked_mono_ns: int | None = None if checks else clock.mono_ns()
        self._log_clean = False

    @property
    def adds_up(self) -> bool:
        """Whether all topics come to what central said they do."""
        return not self._diverged

    def note_others(self) -> None:
        """Somebody else has applied something, and may have left traces of erased people."""
        self._log_clean = False

    async def round(self) -> None:
        """Fetch the next thing that is missing, or wait at central for news.

        Raises:
            TrustError: what came is not what it should be; nothing of it was kept.
        """
        state = await self._reader.run(feed_state)
        if state.phase is not Phase.READING:
            await self._finish(state.phase)
            return
        if self._check_due():
            await self._check()
        if not self._log_clean:
            self._log_clean = await self._reader.run(truncate_log)
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
        state = await self._reader.run(feed_state)
        if page.complete and not state.waits and len(page.changes) <= STEP_KEYS:
            self._take_note(await self._writer.run(partial(apply_page, page=page)))
            return
        for some in _slices(page.changes, LIGHT_STEP_KEYS):
            await self._writer.run(partial(stage, changes=some))
        if page.complete:
            await self._change_over(page)
        else:
            await self._writer.run(partial(note_read, cursor=page.cursor))

    async def _change_over(self, page: FeedPage) -> None:
        change = Changeover(page)
        try:
            while not await self._writer.run(change.prepare):
                pass
            applied = await self._writer.run(change.show)
        except TrustError:
            await self._writer.run(discard)
            await self._finish(Phase.DISCARDING)
            raise
        await self._finish(Phase.MERGING)
        self._take_note(applied)

    async def _finish(self, phase: Phase) -> None:
        """Bring what was begun with changes that waited to its end, step by step."""
        if phase is Phase.MERGING:
            merging = Merging()
            while not await self._writer.run(merging.step):
                pass
        while not await self._writer.run(sweep):
            pass
        # After a cut nobody remembers whether somebody was erased.
        self._log_clean = False

    async def _rebuild(self, reason: str) -> None:
        async with self._link.call():
            manifest = await self._central.feed_snapshot()
        begin = partial(begin_rebuild, manifest=manifest)
        if not await self._writer.run(begin):
            await self._finish(Phase.DISCARDING)
            await self._writer.run(begin)
        self._diverged, self._repairs = (), 0
        _LOG.info("feed.snapshot_begun", reason=reason, chunks=len(manifest.chunks))

    async def _fetch(self, chunk: ChunkRef) -> None:
        try:
            async with self._link.call():
                data = await self._central.feed_chunk(chunk.sha256)
        except NotFoundError:
            await self._rebuild("chunk_gone")
            return
        slices = list(_slices(open_chunk(chunk, data), LIGHT_STEP_KEYS)) or [[]]
        for number, some in enumerate(slices, 1):
            last = number == len(slices)
            await self._writer.run(partial(stage_chunk, chunk=chunk, changes=some, last=last))

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
        if (await self._reader.run(feed_state)).waits:
            return
        ours = await self._reader.run(lambda connection: bucket_sums(connection, topic))
        bad = bad_buckets(ours, told.totals)
        if not bad:
            await self._writer.run(lambda connection: recount(connection, topic))
            return
        if len(bad) < self._bad_buckets:
            self._repairs = 0
        self._bad_buckets = len(bad)
        entries = await self._reader.run(lambda connection: entries_of(connection, topic))
        some = bad[: max(1, REPAIR_KEYS * BUCKETS // max(entries, 1))]
        async with self._link.call():
            repair = await self._central.feed_repair(told.page.cursor, topic, some)
        if isinstance(repair, FeedReset):
            await self._rebuild(repair.reason)
            return
        if not repair.page.complete or len(repair.page.changes) > STEP_KEYS:
            await self._apply(repair.page)
            return
        applied = await self._writer.run(partial(apply_repair, repair=repair))
        _LOG.warning(
            "feed.repaired", topic=topic, buckets=len(repair.buckets), changes=len(repair.changes)
        )
        self._take_note(applied)

    def _take_note(self, applied: Applied) -> None:
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
            self._repairs = self._bad_buckets = 0

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


def _slices(changes: Sequence[FeedChange], size: int) -> Iterator[Sequence[FeedChange]]:
    for start in range(0, len(changes), size):
        yield changes[start : start + size]

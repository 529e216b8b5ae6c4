"""The talk with central, as rounds for the supervisor: hello, flush, feed, bundle.

Timers and other loops only note that something is due; a round waits for its note and then works
at its own pace. What a round cannot do now it raises, and the supervisor comes back later.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import apsw
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from edge_agent.bundles.service import BundleService
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import (
    Head,
    acknowledge,
    hash_at,
    heads_of,
    oldest_pending_at_ms,
    pending_records,
)
from edge_agent.uplink.apply import feed_cursor
from edge_agent.uplink.feed import FeedCalls, FeedReader
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.plan import Stop, step_after
from edge_agent.uplink.topics import wanted_bundle
from shared.clock import Clock
from shared.errors import AppError, ConflictError, CorruptionError, TrustError, UnavailableError
from shared.limits import BATCH_RECORDS_MAX, OUTBOX_DEPTH_REPORTED_MAX
from shared.logs import get_logger
from shared.status import Status
from shared.wire.enrol import ComponentReport, HelloReply, HelloRequest, LaneHead
from shared.wire.feed import BundleEntry
from shared.wire.frames import LAYOUT_COLUMNS, LAYOUT_RECORDS, make_batch
from shared.wire.stream import Ack, Batch, Lane, Refusal

_LOG = get_logger(__name__)
_PAUSE_MS_MAX: Final = 60_000
"""Central may ask for a pause, not for silence."""
_HELLO_INTERVAL_S_MIN: Final = 1


class Central(FeedCalls, Protocol):
    """The calls these loops make; ``edge_agent.uplink.transport.Transport`` makes them."""

    async def hello(self, request: HelloRequest) -> HelloReply:
        """Tell and hear."""
        ...

    async def put_batch(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Send records."""
        ...

    async def bundle(self, version: int) -> bytes:
        """Fetch a bundle."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who speaks. ``feed_wait_s``: how long central may hold an answer back."""

    edge_id: int
    agent_version: str
    started_at_ms: int
    hello_interval_s: float
    flush_interval_s: float
    feed_wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits for central: how many records, and when the oldest was made."""

    depth: int
    oldest_at_ms: int | None


@dataclass(slots=True, kw_only=True)
class _Due:
    hello: asyncio.Event = field(default_factory=asyncio.Event)
    flush: asyncio.Event = field(default_factory=asyncio.Event)
    bundle: asyncio.Event = field(default_factory=asyncio.Event)

    def set_all(self) -> None:
        """At the start everything is due."""
        self.hello.set()
        self.flush.set()
        self.bundle.set()


class Uplink:
    """The four rounds and the two timers. ``statuses`` gives what hello reports of components."""

    def __init__(
        self,
        identity: Identity,
        *,
        central: Central,
        writer: Writer,
        reader: Reader,
        bundles: BundleService,
        link: LinkState,
        clock: Clock,
        statuses: Callable[[], list[Status]],
    ) -> None:
        self._identity = identity
        self._central = central
        self._writer = writer
        self._reader = reader
        self._bundles = bundles
        self._link = link
        self._clock = clock
        self._statuses = statuses
        self._due = _Due()
        self._due.set_all()
        self._feed = FeedReader(
            central=central,
            writer=writer,
            reader=reader,
            link=link,
            clock=clock,
            wait_s=identity.feed_wait_s,
            on_bundle=self._due.bundle.set,
        )
        self._stopped: dict[int, str] = {}
        self._refused_sha256: bytes | None = None
        self._batch_records_max = BATCH_RECORDS_MAX
        self._frame_layout = LAYOUT_RECORDS
        self._depth_told = 0
        self._hello_interval_s = identity.hello_interval_s
        self._timers = AsyncIOScheduler(timezone="UTC")

    def start_timers(self) -> None:
        """Start the timers of hello and flush; call inside the event loop."""
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._timers.add_job(
            self._hello_due, "interval", seconds=self._hello_interval_s, id="hello", **defaults
        )
        self._timers.add_job(
            self.note_flush, "interval", seconds=self._identity.flush_interval_s, **defaults
        )
        self._timers.start()

    def stop_timers(self) -> None:
        """Stop both timers."""
        if self._timers.running:
            self._timers.shutdown(wait=False)

    def note_flush(self) -> None:
        """There may be records to send; cheap, call it after a commit."""
        self._due.flush.set()

    async def queue(self) -> Queue:
        """What waits for central."""
        return await self._reader.run(_queue_of)

    async def hello_round(self) -> None:
        """When due: say how this agent is, and take central's heads to heart."""
        await self._due.hello.wait()
        heads = await self._reader.run(heads_of)
        queue = await self.queue()
        active = self._bundles.active
        request = HelloRequest(
            agent_version=self._identity.agent_version,
            started_at_ms=self._identity.started_at_ms,
            now_ms=self._clock.now_ms(),
            heads=[
                LaneHead(lane=Lane(head.lane), epoch=head.epoch, seq=head.seq, hash=head.hash)
                for head in heads
            ],
            queue_depth=queue.depth,
            oldest_queued_at_ms=queue.oldest_at_ms,
            bundle_version=None if active is None else active.header.version,
            bundle_error=self._bundles.last_error,
            feed_cursor=await self._reader.run(feed_cursor),
            components=[
                ComponentReport(
                    component=status.component, health=status.health.value, message=status.message
                )
                for status in self._statuses()
            ],
        )
        async with self._link.call():
            reply = await self._central.hello(request)
        self._due.hello.clear()
        self._depth_told = queue.depth
        self._follow_interval(reply.hello_interval_s)
        self._frame_layout = min(max(reply.frame_layout, LAYOUT_RECORDS), LAYOUT_COLUMNS)
        theirs = {int(head.lane): head for head in reply.heads}
        for head in heads:
            if head.lane in theirs:
                await self._compare(head, theirs[head.lane])

    async def flush_round(self) -> None:
        """When due: send what waits, lane by lane, until nothing does.

        Raises:
            ConflictError: ``lane_stopped``; a person has to decide. Other lanes were sent first.
        """
        await self._due.flush.wait()
        # Cleared before looking: a record that comes meanwhile makes it due again.
        self._due.flush.clear()
        try:
            for lane in [head.lane for head in await self._reader.run(heads_of)]:
                while lane not in self._stopped and await self._send_some(lane):
                    pass
        except AppError:
            self._due.flush.set()
            raise
        if self._depth_told:
            # The stores' list shows the empty queue without waiting for the timer.
            self._depth_told = 0
            self._due.hello.set()
        if self._stopped:
            lane, reason = min(self._stopped.items())
            raise ConflictError(f"lane {lane} is stopped: {reason}", code="lane_stopped")

    async def feed_round(self) -> None:
        """Fetch the next thing that the feed lacks, or wait at central for news."""
        await self._feed.round()

    async def bundle_round(self) -> None:
        """When due: fetch the bundle central wants in force and offer it.

        Raises:
            TrustError: what came is not the bundle named, or it failed its checks.
        """
        await self._due.bundle.wait()
        self._due.bundle.clear()
        wanted = await self._reader.run(wanted_bundle)
        active = self._bundles.active
        if wanted is None or wanted.sha256 == self._refused_sha256:
            return
        if active is not None and active.sha256 == wanted.sha256:
            return
        try:
            await self._fetch(wanted)
        except AppError:
            # The same bytes would be refused again; anything else is worth another try.
            if wanted.sha256 != self._refused_sha256:
                self._due.bundle.set()
            raise
        finally:
            # The stores' list shows the bundle, or why there is none, without waiting a round.
            self._due.hello.set()

    async def _fetch(self, wanted: BundleEntry) -> None:
        async with self._link.call():
            data = await self._central.bundle(wanted.version)
        try:
            bundle = await asyncio.to_thread(self._bundles.offer, data)
        except UnavailableError:
            raise
        except AppError:
            self._refused_sha256 = hashlib.sha256(data).digest()
            raise
        if bundle.sha256 != wanted.sha256:
            raise TrustError(
                f"bundle {wanted.version} is good, but not the one the feed named",
                code="other_bundle",
            )

    async def _send_some(self, lane: int) -> bool:
        """Send one batch of the lane; whether there may be more."""
        found = await self._reader.run(lambda connection: _next_records(connection, lane))
        if found is None:
            return False
        head, records, previous_hash = found
        batch = await asyncio.to_thread(
            make_batch,
            records,
            first_seq=head.acked_seq + 1,
            previous_hash=previous_hash,
            records_max=self._batch_records_max,
            layout=self._frame_layout,
        )
        async with self._link.call():
            answer = await self._central.put_batch(self._identity.edge_id, lane, head.epoch, batch)
        if isinstance(answer, Refusal):
            step = step_after(answer, head.epoch)
            if isinstance(step, Stop):
                self._stop_lane(lane, step.reason)
                return False
            if step.seq == head.acked_seq:
                raise UnavailableError("central asks for the records it was just sent")
            await self._acknowledge(head, step.seq, step.hash)
            return True
        if answer.epoch != head.epoch:
            self._stop_lane(lane, f"central acknowledged epoch {answer.epoch}, not {head.epoch}")
            return False
        for verdict in answer.verdicts:
            _LOG.warning("record.set_aside", lane=lane, seq=verdict.seq, code=verdict.code)
        self._batch_records_max = min(max(answer.next_batch_records_max, 1), BATCH_RECORDS_MAX)
        if answer.seq <= head.acked_seq:
            raise UnavailableError("central acknowledged nothing of what it was sent")
        await self._acknowledge(head, answer.seq, answer.hash)
        if answer.pause_ms > 0:
            await asyncio.sleep(min(answer.pause_ms, _PAUSE_MS_MAX) / 1000)
        return True

    async def _compare(self, ours: Head, theirs: LaneHead) -> None:
        """Central's head as hello told it; ``ours`` was read before hello went out."""
        if theirs.epoch != ours.epoch:
            self._stop_lane(
                ours.lane, f"central is at epoch {theirs.epoch}, this agent at {ours.epoch}"
            )
            return
        # Less than what was confirmed before hello went out: central was restored from a copy.
        if theirs.seq != ours.acked_seq:
            now = next(h for h in await self._reader.run(heads_of) if h.lane == ours.lane)
            if theirs.seq < ours.acked_seq or theirs.seq > now.acked_seq:
                await self._acknowledge(ours, theirs.seq, theirs.hash)
                self._due.flush.set()

    async def _acknowledge(self, head: Head, seq: int, head_hash: bytes) -> None:
        try:
            await self._writer.run(lambda c: acknowledge(c, head.stream_id, seq, head_hash))
        except CorruptionError as error:
            self._stop_lane(head.lane, error.message)

    def _stop_lane(self, lane: int, reason: str) -> None:
        if lane not in self._stopped:
            _LOG.error("lane.stopped", lane=lane, reason=reason)
        self._stopped[lane] = reason
        # The flush loop is the one that shows it.
        self._due.flush.set()

    def _hello_due(self) -> None:
        self._due.hello.set()

    def _follow_interval(self, asked_s: int) -> None:
        """Central knows how long it believes an agent alive, so it may ask for more greetings."""
        interval_s = min(self._identity.hello_interval_s, max(asked_s, _HELLO_INTERVAL_S_MIN))
        if interval_s != self._hello_interval_s and self._timers.running:
            self._timers.reschedule_job("hello", trigger="interval", seconds=interval_s)
        self._hello_interval_s = interval_s


def _queue_of(connection: apsw.Connection) -> Queue:
    heads = heads_of(connection)
    depth = sum(head.seq - head.acked_seq for head in heads)
    oldest = [oldest_pending_at_ms(connection, head) for head in heads]
    return Queue(
        depth=min(depth, OUTBOX_DEPTH_REPORTED_MAX),
        oldest_at_ms=min((at_ms for at_ms in oldest if at_ms is not None), default=None),
    )


def _next_records(connection: apsw.Connection, lane: int) -> tuple[Head, list[bytes], bytes] | None:
    head = next(head for head in heads_of(connection) if head.lane == lane)
    records = pending_records(connection, head, BATCH_RECORDS_MAX)
    return (head, records, hash_at(connection, head, head.acked_seq)) if records else None

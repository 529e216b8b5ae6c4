"""The shop's streams on their way to central: what waits, what is sent next, what an answer does.

One batch at a time, the most urgent stream first, looked up anew after each: money that comes while
a backlog is being sent goes before it. A stream that central cannot take stops alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import apsw

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.outbox.held import held_counts, recovery_of
from edge_agent.outbox.store import (
    Head,
    acknowledge,
    carry_on,
    chain_held,
    hash_at,
    oldest_pending_at_ms,
    pending_records,
    streams_of,
)
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.plan import CarryOn, Resend, Stop, Waiting, send_rank, step_after
from shared.clock import Clock
from shared.errors import (
    AppError,
    CorruptionError,
    ForbiddenError,
    UnauthorizedError,
    UnavailableError,
)
from shared.frames import LAYOUT_RECORDS, make_batch
from shared.limits import BATCH_RECORDS_FIRST, BATCH_RECORDS_MAX, OUTBOX_DEPTH_REPORTED_MAX
from shared.logs import get_logger
from shared.status import Health, Status
from shared.wire.stream import Ack, Batch, Lane, Refusal, RefusalCode

_LOG = get_logger(__name__)
_PAUSE_MS_MAX: Final = 60_000
"""Central may ask for a pause, not for silence."""
_NUMBERED_PER_STEP: Final = 500
"""Facts that get their number in one transaction, so that tills do not wait for them."""


class StreamCalls(Protocol):
    """What is asked of central."""

    async def put_batch(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Send records of this edge's present epoch."""
        ...

    async def put_adopted(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Send records of another epoch, or of the edge that this one was before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits for central: how many records, and when the oldest was made."""

    depth: int
    oldest_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stopped:
    lane: int
    reason: str
    at_ns: int


class Streams:
    """Sends records. ``doubt``: called when central should be asked what it thinks of the streams.

    ``recover``: begins recovery for a reason; ``hear_time``: gets central's time, ms.
    """

    def __init__(
        self,
        edge_id: int,
        *,
        central: StreamCalls,
        writer: Writer,
        reader: Reader,
        link: LinkState,
        clock: Clock,
        doubt: Callable[[], None],
        recover: Callable[[str], Awaitable[None]],
        hear_time: Callable[[int], None],
    ) -> None:
        self._edge_id = edge_id
        self._central = central
        self._writer = writer
        self._reader = reader
        self._link = link
        self._clock = clock
        self._doubt = doubt
        self._recover = recover
        self._hear_time = hear_time
        self._stopped: dict[int, _Stopped] = {}
        self._since_ns: dict[int, int] = {}
        self._batch_records_max = BATCH_RECORDS_FIRST
        self.frame_layout = LAYOUT_RECORDS

    async def queue(self) -> Queue:
        """What waits for central, stopped streams included."""
        return await self._reader.run(_queue_of)

    async def waiting(self) -> list[Waiting]:
        """What could be sent, by lane; since when is noted from one call to the next."""
        stopped = frozenset(self._stopped)
        counts = await self._reader.run(lambda connection: _counts(connection, stopped))
        now_ns = self._clock.mono_ns()
        self._since_ns = {lane: self._since_ns.get(lane, now_ns) for lane in counts}
        return [
            Waiting(lane=lane, count=count, since_ns=self._since_ns[lane])
            for lane, count in counts.items()
        ]

    async def send(self) -> None:
        """Send until nothing waits that can be sent.

        Raises:
            UnavailableError: central cannot be reached, or answers what makes no sense.
        """
        self._since_ns = {}
        await self.number_waiting()
        while True:
            stopped = frozenset(self._stopped)
            found = await self._reader.run(partial(_next_records, stopped=stopped))
            if found is None:
                return
            await self._send_batch(*found)

    async def number_waiting(self) -> None:
        """Give their numbers to facts that waited for them; telemetry gets some at a time."""
        for lane in await self._reader.run(_lanes_to_number):
            while True:
                numbered = await self._writer.run(
                    partial(chain_held, lane=lane, limit=_NUMBERED_PER_STEP)
                )
                if numbered < _NUMBERED_PER_STEP or lane == Lane.TELEMETRY:
                    break

    async def hear_carried(
        self, edge_id: int, lane: int, epoch: int, answer: Ack | Refusal | None
    ) -> bool:
        """Take central's word on a stream that was carried here; None: it would not look at it.

        It may be older than what a line has brought: then it says nothing new. False: the stream is
        none of this agent's.
        """
        owner = None if edge_id == self._edge_id else edge_id
        head = await self._reader.run(partial(_stream_named, owner=owner, lane=lane, epoch=epoch))
        if head is None:
            return False
        if isinstance(answer, Ack):
            await self._taken_elsewhere(head, answer)
        elif isinstance(answer, Refusal):
            if answer.code is not RefusalCode.GAP or answer.seq < head.acked_seq:
                await self._refused(head, answer)
        elif not head.current:
            await self._carry_on(head, "central will not have it from this agent")
        return True

    async def _taken_elsewhere(self, head: Head, ack: Ack) -> None:
        if ack.epoch != head.epoch or ack.seq <= head.acked_seq:
            return
        for verdict in ack.verdicts:
            _LOG.warning("record.set_aside", lane=head.lane, seq=verdict.seq, code=verdict.code)
        step = Resend(seq=ack.seq, hash=ack.hash)
        if not head.current and ack.seq > head.seq:
            step = Resend(seq=head.seq, hash=head.hash)
        try:
            await self._acknowledge(head, step)
        except CorruptionError as error:
            self.stop(head, error.message)

    async def follow(self, head: Head, step: Resend | Stop) -> None:
        """Take a step that hello asks of a stream."""
        if isinstance(step, Stop):
            self.stop(head, step.reason)
            return
        try:
            await self._acknowledge(head, step)
        except CorruptionError as error:
            self.stop(head, error.message)
            await self._recover_if_lost(error)

    def stop(self, head: Head, reason: str) -> None:
        """Send nothing more of a stream until it is released; ask central what it wants."""
        if head.stream_id not in self._stopped:
            _LOG.error("stream.stopped", lane=head.lane, epoch=head.epoch, reason=reason)
            self._doubt()
        self._stopped[head.stream_id] = _Stopped(
            lane=head.lane, reason=reason, at_ns=self._clock.mono_ns()
        )

    def release(self, *, stopped_before_ns: int) -> None:
        """Try again what was stopped before an instant: central says that all is well."""
        for stream_id, stopped in list(self._stopped.items()):
            if stopped.at_ns <= stopped_before_ns:
                del self._stopped[stream_id]

    def status(self) -> Status:
        """The streams as a component."""
        if not self._stopped:
            return Status(component="streams", health=Health.OK)
        first = min(self._stopped.values(), key=lambda stopped: stopped.lane)
        return Status(
            component="streams",
            health=Health.ERROR,
            message=f"lane {first.lane} is stopped: {first.reason}",
        )

    async def _send_batch(self, head: Head, records: list[bytes], previous_hash: bytes) -> None:
        batch = await asyncio.to_thread(
            make_batch,
            records,
            first_seq=head.acked_seq + 1,
            previous_hash=previous_hash,
            records_max=self._batch_records_max,
            layout=self.frame_layout,
        )
        put = self._central.put_batch if head.current else self._central.put_adopted
        owner = self._edge_id if head.edge_id is None else head.edge_id
        try:
            async with self._link.call():
                answer = await put(owner, head.lane, head.epoch, batch)
        except ForbiddenError as error:
            if head.current or error.stable_code == "revoked":
                raise
            # A central that was restored from a copy never heard of the edge this one was.
            await self._carry_on(head, error.message)
            return
        except (UnavailableError, UnauthorizedError):
            raise
        except AppError as error:
            # It makes no sense to central: nothing of this stream for now, but the others go on.
            self.stop(head, error.message)
            return
        if isinstance(answer, Refusal):
            await self._refused(head, answer)
        else:
            await self._taken(head, batch, answer)

    async def _taken(self, head: Head, batch: Batch, ack: Ack) -> None:
        if ack.epoch != head.epoch or ack.seq <= head.acked_seq:
            raise UnavailableError("central acknowledged something else than it was sent")
        for verdict in ack.verdicts:
            _LOG.warning("record.set_aside", lane=head.lane, seq=verdict.seq, code=verdict.code)
        step = Resend(seq=ack.seq, hash=ack.hash)
        if not head.current and ack.seq > batch.last_seq:
            # Of an older stream central may have what this database lost; it took the batch, so it
            # has what the batch holds.
            step = Resend(seq=batch.last_seq, hash=batch.last_hash)
        try:
            await self._acknowledge(head, step)
        except CorruptionError as error:
            # An answer to somebody else, perhaps: the records stay, and hello will tell.
            self._doubt()
            raise UnavailableError(error.message) from error
        self._hear_time(ack.server_time_ms)
        self._batch_records_max = min(max(ack.next_batch_records_max, 1), BATCH_RECORDS_MAX)
        if ack.pause_ms > 0:
            await asyncio.sleep(min(ack.pause_ms, _PAUSE_MS_MAX) / 1000)

    async def _refused(self, head: Head, refusal: Refusal) -> None:
        step = step_after(refusal, head.epoch, current=head.current)
        if isinstance(step, Resend):
            if step.seq == head.acked_seq:
                raise UnavailableError("central asks for the records it was just sent")
            try:
                await self._acknowledge(head, step)
            except CorruptionError as error:
                step = Stop(reason=error.message) if head.current else CarryOn(reason=error.message)
                if head.current:
                    await self._recover_if_lost(error)
        if isinstance(step, Stop):
            self.stop(head, step.reason)
        elif isinstance(step, CarryOn):
            await self._carry_on(head, step.reason)

    async def _carry_on(self, head: Head, reason: str) -> None:
        if await self._reader.run(recovery_of) is not None:
            # There is no epoch yet to carry anything into.
            self.stop(head, reason)
            return
        _LOG.warning("stream.carried_on", lane=head.lane, epoch=head.epoch, reason=reason)
        while await self._writer.run(
            lambda connection: carry_on(connection, head.stream_id, _NUMBERED_PER_STEP)
        ):
            pass

    async def _recover_if_lost(self, error: CorruptionError) -> None:
        """A stream whose beginning nobody has any more can only go on in a new epoch."""
        if error.stable_code == "no_longer_kept":
            await self._recover(error.stable_code)

    async def _acknowledge(self, head: Head, step: Resend) -> None:
        await self._writer.run(lambda c: acknowledge(c, head.stream_id, step.seq, step.hash))


def _queue_of(connection: apsw.Connection) -> Queue:
    streams = streams_of(connection)
    held = held_counts(connection)
    depth = sum(head.seq - head.acked_seq for head in streams)
    depth += sum(count for count, _ in held.values())
    oldest = [oldest_pending_at_ms(connection, head) for head in streams]
    oldest += [at_ms for _, at_ms in held.values()]
    return Queue(
        depth=min(depth, OUTBOX_DEPTH_REPORTED_MAX),
        oldest_at_ms=min((at_ms for at_ms in oldest if at_ms is not None), default=None),
    )


def _counts(connection: apsw.Connection, stopped: Collection[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for head in streams_of(connection):
        if head.stream_id not in stopped and head.seq > head.acked_seq:
            counts[head.lane] = counts.get(head.lane, 0) + head.seq - head.acked_seq
    if recovery_of(connection) is None:
        for lane, (count, _) in held_counts(connection).items():
            counts[lane] = counts.get(lane, 0) + count
    return counts


def _stream_named(
    connection: apsw.Connection, owner: int | None, lane: int, epoch: int
) -> Head | None:
    key = (owner, lane, epoch)
    named = (h for h in streams_of(connection) if (h.edge_id, h.lane, h.epoch) == key)
    return next(named, None)


def _lanes_to_number(connection: apsw.Connection) -> list[int]:
    return [] if recovery_of(connection) is not None else list(held_counts(connection))


def _next_records(
    connection: apsw.Connection, stopped: Collection[int]
) -> tuple[Head, list[bytes], bytes] | None:
    waiting = [
        head
        for head in streams_of(connection)
        if head.stream_id not in stopped and head.seq > head.acked_seq
    ]
    if not waiting:
        return None
    head = min(waiting, key=lambda head: send_rank(head.lane, current=head.current))
    records = pending_records(connection, head, BATCH_RECORDS_MAX)
    return head, records, hash_at(connection, head, head.acked_seq)

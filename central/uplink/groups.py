"""Batches that wait at the same moment go in together: one transaction, one batch's statements.

A batch of a hundred sales is twenty statements and a flush of the disk, and eight of them are no
more. Only what is plain goes this way: the next batch of an open stream. Whatever else it is, or if
the database refuses anything in the group, each batch of it goes alone (``ingest``), where it is
looked into; so a stream that is in trouble holds up nobody but itself. An edge whose batch had to
be taken apart goes alone for a while from the beginning.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import psycopg

from central.database.arrays import as_arrays
from central.database.pool import Connection, Pool, run
from central.database.retry import LostRaceError
from central.uplink.heads import head_of, lock_heads
from central.uplink.intake import Intake, Portion
from central.uplink.policy import Take, decide
from central.uplink.work import Work, ack_of, run_of
from shared.clock import Clock
from shared.limits import BATCH_RECORDS_MAX
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.stream import Ack

CONTENTION: Final = (
    LostRaceError,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,  # the same fact came by another path at this moment
)
"""Another transaction was there first."""
POISON: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    # A record that breaks an assumption of ours must not stop its stream for ever.
    AssertionError,
    LookupError,
)
"""Something in the batch is refused, and would be again."""
AT_A_TIME: Final = 2
"""Groups of a process: more would be smaller, and wait for each other's members."""
GROUP_RECORDS_MAX: Final = 2 * BATCH_RECORDS_MAX
"""A larger transaction keeps its members' accounts and the feed's readers waiting for longer."""
SECOND_RECORDS_MIN: Final = GROUP_RECORDS_MAX
"""A second group begins when as much waits as fits into one. At less, two small ones cost the
database a third more than one."""
ALONE_NS: Final = 60 * 1_000_000_000
"""How long an edge goes alone after it was in trouble."""
_ALONE_MAX: Final = 10_000
"""Edges that are remembered for it."""
_QUERIES: Final = load_queries("central.uplink")
_LOG = get_logger(__name__)
_Waiting = tuple[Work, "asyncio.Future[Ack | None]"]


class Groups:
    """Takes what waits in groups. Not for threads."""

    def __init__(self, pool: Pool, intake: Intake, clock: Clock) -> None:
        self._pool = pool
        self._intake = intake
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._running: set[asyncio.Task[None]] = set()
        self._alone: OrderedDict[int, int] = OrderedDict()

    async def take(self, work: Work) -> Ack | None:
        """Take a batch together with others that wait; None: it has to go alone.

        After an Ack everything up to its seq is durable.

        Raises:
            psycopg.Error: the database cannot be asked; nothing was changed.
        """
        if self._goes_alone(work.stream.edge_id):
            return None
        told: asyncio.Future[Ack | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, told))
        self._begin()
        return await told

    def send_alone(self, edge_id: int) -> None:
        """An edge was in trouble: for a while others shall not share a transaction with it."""
        self._alone.pop(edge_id, None)
        self._alone[edge_id] = self._clock.mono_ns() + ALONE_NS
        while len(self._alone) > _ALONE_MAX:
            self._alone.popitem(last=False)

    def _goes_alone(self, edge_id: int) -> bool:
        until_ns = self._alone.get(edge_id)
        if until_ns is None or until_ns > self._clock.mono_ns():
            return until_ns is not None
        del self._alone[edge_id]
        return False

    def _begin(self) -> None:
        while self._waiting and self._may_begin():
            task = asyncio.create_task(self._run(self._next()), name="uplink.group")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _may_begin(self) -> bool:
        if not self._running:
            return True
        waiting = sum(len(work.read) for work, _ in self._waiting)
        return len(self._running) < AT_A_TIME and waiting >= SECOND_RECORDS_MIN

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    def _next(self) -> list[_Waiting]:
        """As many as fit, at least one, in the order in which they came; one of a stream."""
        group: list[_Waiting] = []
        later: list[_Waiting] = []
        streams: set[tuple[int, ...]] = set()
        records = 0
        for each in self._waiting:
            work, _ = each
            stream = tuple(work.stream.key().values())
            fits = not group or records + len(work.read) <= GROUP_RECORDS_MAX
            if fits and stream not in streams:
                group.append(each)
                streams.add(stream)
                records += len(work.read)
            else:
                later.append(each)
        self._waiting = later
        return group

    async def _run(self, group: list[_Waiting]) -> None:
        """Take a group and tell everybody in it; none of them is left without an answer."""
        works = [work for work, _ in group]
        try:
            async with self._pool.connection() as connection:
                answers = await self._take(connection, works)
        except (*CONTENTION, *POISON) as error:
            if len(works) > 1:
                _LOG.info("group.parted", batches=len(works), why=type(error).__name__)
            answers = [None] * len(works)
        except Exception as error:  # noqa: BLE001 (whoever waits is told, and handles it)
            for _, told in group:
                if not told.done():
                    told.set_exception(error)
            return
        except asyncio.CancelledError:
            for _, told in group:
                told.cancel()
            raise
        for (_, told), answer in zip(group, answers, strict=True):
            if not told.done():  # else its sender is gone
                told.set_result(answer)

    async def _take(self, connection: Connection, works: Sequence[Work]) -> list[Ack | None]:
        """The answers to those that were taken, None for those that have to go alone."""
        rows = await lock_heads(connection, [work.stream for work in works])
        plain = []
        for at, work in enumerate(works):
            stream, batch = work.stream, work.batch
            row = rows.get((stream.edge_id, stream.lane, stream.epoch))
            if row is None or batch.first_seq != row["seq"] + 1:
                continue
            newest_epoch = row["newest_epoch"]
            head = head_of(stream, row)
            if decide(head, newest_epoch, stream.epoch, batch, work.hashes, head.hash) == Take(
                skip=0
            ):
                plain.append(at)
        answers: list[Ack | None] = [None] * len(works)
        if not plain:
            return answers
        portions = [Portion(stream=works[at].stream, read=works[at].read) for at in plain]
        all_aside = await self._intake.take(connection, portions, hopeful=True)
        for at, aside in zip(plain, all_aside, strict=True):
            work = works[at]
            if aside:
                await self._intake.set_aside(connection, work.stream, aside)
            answers[at] = ack_of(
                work.stream.epoch,
                work.batch.last_seq,
                work.batch.last_hash,
                aside,
                now_ms=self._clock.now_ms(),
            )
        runs = [run_of(works[at], 0) for at in plain]
        await run(
            connection,
            _QUERIES["advance_all"],
            as_arrays({name: [each[name] for each in runs] for name in runs[0]}),
        )
        return answers

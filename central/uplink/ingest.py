"""Take records in: the stream's head locked, every fact exactly once, durable before the answer.

Two shields: (stream, epoch, seq, hash) gives order, gaps and forks; the record's uid gives
idempotency whatever path or batch brings it. What is plain goes in together with what else waits
(``groups``); the rest batch by batch, here, each in a transaction of its own. If the database
refuses something in a batch, its records go in one by one, so that the one that was refused goes to
quarantine and stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from central.accounts import service as accounts
from central.database.pool import Connection, Pool, run
from central.uplink.groups import CONTENTION, POISON, Groups
from central.uplink.heads import adopted_head, hash_at, head_of, lock_head, newest_epoch
from central.uplink.intake import Intake, Portion
from central.uplink.policy import Refuse, decide, seq_to_compare
from central.uplink.reading import Received, Rejected, Stream, rejected
from central.uplink.work import Work, ack_of, run_of, taken_apart
from shared.clock import Clock
from shared.errors import UnavailableError
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.stream import Ack, Batch, Refusal

__all__ = ["Ingest", "Stream"]

ATTEMPTS_MAX: Final = 5
"""Of one batch, while others hold or change the same rows."""
_RETRY_S: Final = 0.02
_QUERIES = load_queries("central.uplink")
_LOG = get_logger(__name__)


class Ingest:
    """Takes batches into PostgreSQL."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._intake = Intake(clock)
        self._groups = Groups(pool, self._intake, clock)

    async def take(self, stream: Stream, batch: Batch) -> Ack | Refusal:
        """Take a batch, or say why not. After an Ack everything up to its seq is durable.

        Raises:
            InputError: the batch contradicts itself; nothing was changed.
            UnavailableError: others hold the same rows for too long; nothing was changed.
        """
        work = taken_apart(stream, batch)
        answer = await self._groups.take(work)
        return await self._alone(work, self._take_once) if answer is None else answer

    async def adopt(self, stream: Stream, batch: Batch) -> Ack | Refusal:
        """Take a batch of another epoch, or of the edge that its sender was before.

        Raises:
            ForbiddenError: its sender may not adopt from that edge.
            InputError: the batch contradicts itself; nothing was changed.
            UnavailableError: others hold the same rows for too long; nothing was changed.
        """
        return await self._alone(taken_apart(stream, batch), self._adopt_once)

    async def _alone(
        self, work: Work, attempt: Callable[[Connection, Work], Awaitable[Ack | Refusal]]
    ) -> Ack | Refusal:
        stream = work.stream
        for attempts in range(1, ATTEMPTS_MAX + 1):
            try:
                async with self._pool.connection() as connection:
                    return await attempt(connection, work)
            except CONTENTION as error:
                _LOG.info("batch.contended", edge_id=stream.edge_id, why=type(error).__name__)
                # What is refused again and again is not a race.
                work.one_by_one = work.one_by_one or attempts >= ATTEMPTS_MAX - 1
                await asyncio.sleep(_RETRY_S * attempts)
            except POISON:
                if work.one_by_one:
                    raise
                _LOG.exception("batch.refused", edge_id=stream.edge_id)
                work.one_by_one = True
            if work.one_by_one:
                self._groups.send_alone(stream.edge_id)
        raise UnavailableError("others hold the same rows", retry_after_s=1)

    async def _take_once(self, connection: Connection, work: Work) -> Ack | Refusal:
        stream, batch = work.stream, work.batch
        row = await lock_head(connection, stream)
        head = None if row is None else head_of(stream, row)
        known_hash = None
        if head is not None and row is not None:
            known_hash = await hash_at(connection, stream, row, seq_to_compare(head, batch))
        newest = await newest_epoch(connection, stream, row)
        answer = decide(head, newest, stream.epoch, batch, work.hashes, known_hash)
        if isinstance(answer, Refuse):
            return await self._refused(connection, work, answer)
        assert head is not None, "only what continues a head is taken"
        new = work.read[answer.skip :]
        if not new:
            return self._ack(stream, head.seq, head.hash, [])
        aside = await self._store(connection, work, new)
        await run(connection, _QUERIES["advance"], run_of(work, answer.skip))
        return self._ack(stream, batch.last_seq, batch.last_hash, aside)

    async def _adopt_once(self, connection: Connection, work: Work) -> Ack | Refusal:
        stream, batch = work.stream, work.batch
        head = await adopted_head(connection, stream, batch)
        if batch.last_seq <= head.seq:
            return self._ack(stream, head.seq, head.hash, [])
        answer = decide(head, stream.epoch, stream.epoch, batch, work.hashes, head.hash)
        if isinstance(answer, Refuse):
            return answer.refusal
        aside = await self._store(connection, work, work.read[answer.skip :])
        await run(
            connection,
            _QUERIES["advance_adopted"],
            stream.adoption() | {"seq": batch.last_seq, "hash": batch.last_hash},
        )
        return self._ack(stream, batch.last_seq, batch.last_hash, aside)

    async def _refused(self, connection: Connection, work: Work, refused: Refuse) -> Refusal:
        stream, batch = work.stream, work.batch
        refusal = refused.refusal
        if refused.freeze:
            _LOG.error(
                "stream.forked", edge_id=stream.edge_id, lane=stream.lane, epoch=stream.epoch
            )
            await run(connection, _QUERIES["freeze"], stream.key() | {"lanes": [stream.lane]})
            await accounts.freeze_edge(
                connection, stream.edge_id, stream.epoch, now_ms=self._clock.now_ms()
            )
        if refused.evidence:
            await run(
                connection,
                _QUERIES["quarantine"],
                stream.key()
                | {
                    "first_seq": batch.first_seq,
                    "last_seq": batch.last_seq,
                    "reason": refusal.code.value,
                    "detail": "",
                    "data": batch.frame,
                },
            )
        return refusal

    async def _store(
        self, connection: Connection, work: Work, new: Sequence[Received | Rejected]
    ) -> list[Rejected]:
        """Store and post what is new; what was set aside."""
        if work.one_by_one:
            aside = await self._store_one_by_one(connection, work.stream, new)
        else:
            aside = await self._store_all(connection, work.stream, new)
        await self._intake.set_aside(connection, work.stream, aside)
        return aside

    async def _store_all(
        self, connection: Connection, stream: Stream, read: Sequence[Received | Rejected]
    ) -> list[Rejected]:
        """Everything at once, by a few statements."""
        (aside,) = await self._intake.take(connection, [Portion(stream=stream, read=read)])
        return aside

    async def _store_one_by_one(
        self, connection: Connection, stream: Stream, read: Sequence[Received | Rejected]
    ) -> list[Rejected]:
        aside: list[Rejected] = []
        for record in read:
            if isinstance(record, Rejected):
                aside.append(record)
                continue
            try:
                async with connection.transaction():
                    aside += await self._store_all(connection, stream, [record])
            except POISON as error:
                _LOG.exception("record.refused", edge_id=stream.edge_id, seq=record.seq)
                reason = f"refused: {type(error).__name__}: {error}"
                aside.append(rejected(record.seq, record.uid, reason, record.data))
        return aside

    def _ack(self, stream: Stream, seq: int, head_hash: bytes, aside: Sequence[Rejected]) -> Ack:
        return ack_of(stream.epoch, seq, head_hash, aside, now_ms=self._clock.now_ms())

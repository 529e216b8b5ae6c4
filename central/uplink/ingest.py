"""Take records in: one transaction a batch, the stream's head locked, every fact exactly once.

Two shields: (stream, epoch, seq, hash) gives order, gaps and forks; the record's uid gives
idempotency whatever path or batch brings it. A batch goes in by a few statements for all of it; if
the database refuses something in it, its records go in one by one, so that the one that was refused
goes to quarantine and stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import DictRow

from central.accounts import service as accounts
from central.accounts import store as ledger
from central.accounts.books import Books, Origin
from central.customers.store import known_customers
from central.database.pool import Connection, Pool, row_of, run, run_many
from central.database.retry import LostRaceError
from central.receipts import store as receipts
from central.receipts.copying import Copying, incidents_text, other_fact
from central.uplink.policy import (
    Refuse,
    StreamHead,
    StreamState,
    chain_of,
    decide,
    seq_to_compare,
)
from central.uplink.posting import customers_of, needs_of_all, post, sort_out
from central.uplink.reading import Received, Rejected, Stream, read_records, rejected
from shared.clock import Clock
from shared.crypto.chain import HASH_BYTES, chain_genesis
from shared.errors import ForbiddenError, UnavailableError
from shared.frames import encoded_records
from shared.limits import BATCH_RECORDS_MAX
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.facts import Incident, ReceiptCommitted, ReceiptReturned
from shared.wire.stream import Ack, Batch, Refusal, Verdict

__all__ = ["Ingest", "Stream"]

ATTEMPTS_MAX: Final = 5
"""Of one batch, while others hold or change the same rows."""
_RETRY_S: Final = 0.02
_QUERIES = load_queries("central.uplink")
_LOG = get_logger(__name__)
_CONTENTION = (
    LostRaceError,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,  # the same fact came by another path at this moment
)
_POISON = (
    psycopg.DataError,
    psycopg.IntegrityError,
    # A record that breaks an assumption of ours must not stop its stream for ever.
    AssertionError,
    LookupError,
)


class Ingest:
    """Takes batches into PostgreSQL."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._copying = Copying()

    async def take(self, stream: Stream, batch: Batch) -> Ack | Refusal:
        """Take a batch, or say why not. After an Ack everything up to its seq is durable.

        Raises:
            InputError: the batch contradicts itself; nothing was changed.
            UnavailableError: others hold the same rows for too long; nothing was changed.
        """
        return await self._again(stream, batch, self._take_once)

    async def adopt(self, stream: Stream, batch: Batch) -> Ack | Refusal:
        """Take a batch of another epoch, or of the edge that its sender was before.

        Raises:
            ForbiddenError: its sender may not adopt from that edge.
            InputError: the batch contradicts itself; nothing was changed.
            UnavailableError: others hold the same rows for too long; nothing was changed.
        """
        return await self._again(stream, batch, self._adopt_once)

    async def _again(
        self,
        stream: Stream,
        batch: Batch,
        attempt: Callable[[Connection, _Work], Awaitable[Ack | Refusal]],
    ) -> Ack | Refusal:
        records = encoded_records(batch)
        work = _Work(
            stream=stream,
            batch=batch,
            hashes=chain_of(batch, records),
            read=read_records(stream, batch.first_seq, records),
        )
        for attempts in range(1, ATTEMPTS_MAX + 1):
            try:
                async with self._pool.connection() as connection:
                    return await attempt(connection, work)
            except _CONTENTION as error:
                _LOG.info("batch.contended", edge_id=stream.edge_id, why=type(error).__name__)
                # What is refused again and again is not a race.
                work.one_by_one = work.one_by_one or attempts >= ATTEMPTS_MAX - 1
                await asyncio.sleep(_RETRY_S * attempts)
            except _POISON:
                if work.one_by_one:
                    raise
                _LOG.exception("batch.refused", edge_id=stream.edge_id)
                work.one_by_one = True
        raise UnavailableError("others hold the same rows", retry_after_s=1)

    async def _take_once(self, connection: Connection, work: _Work) -> Ack | Refusal:
        stream, batch = work.stream, work.batch
        row = await row_of(connection, _QUERIES["head"], stream.key())
        head = None if row is None else _head_of(stream, row)
        known_hash = None
        if head is not None and row is not None:
            known_hash = await hash_at(connection, stream, row, seq_to_compare(head, batch))
        newest = await _newest_epoch(connection, stream, row)
        answer = decide(head, newest, stream.epoch, batch, work.hashes, known_hash)
        if isinstance(answer, Refuse):
            return await self._refused(connection, work, answer)
        assert head is not None, "only what continues a head is taken"
        new = work.read[answer.skip :]
        if not new:
            return self._ack(stream, head.seq, head.hash, [])
        aside = await self._store(connection, work, new)
        await run(
            connection,
            _QUERIES["advance"],
            stream.key()
            | {
                "first_seq": head.seq + 1,
                "last_seq": batch.last_seq,
                "hash": batch.last_hash,
                "hashes": b"".join(work.hashes[answer.skip :]),
                "uids": b"".join(record.uid for record in new),
            },
        )
        return self._ack(stream, batch.last_seq, batch.last_hash, aside)

    async def _adopt_once(self, connection: Connection, work: _Work) -> Ack | Refusal:
        stream, batch = work.stream, work.batch
        head = await _adopted_head(connection, stream, batch)
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

    async def _refused(self, connection: Connection, work: _Work, refused: Refuse) -> Refusal:
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
        self, connection: Connection, work: _Work, new: Sequence[Received | Rejected]
    ) -> list[Rejected]:
        """Store and post what is new; what was set aside."""
        if work.one_by_one:
            aside = await self._store_one_by_one(connection, work.stream, new)
        else:
            aside = await self._store_all(connection, work.stream, new)
        await _set_aside(connection, work.stream, aside)
        return aside

    async def _store_all(
        self, connection: Connection, stream: Stream, read: Sequence[Received | Rejected]
    ) -> list[Rejected]:
        """Everything at once, by a few statements."""
        contents = await receipts.known_contents(connection, [one.uid for one in read])
        used = await receipts.known_receipt_ids(
            connection, _receipt_ids(read), store_id=stream.store_id, edge_id=stream.sender_id
        )
        sorted_out = sort_out(read, contents, used)
        if sorted_out.fresh:
            rows = receipts.Rows()
            incidents = await self._post(connection, stream, sorted_out.fresh)
            for one, found in zip(sorted_out.fresh, incidents, strict=True):
                self._add_row(rows, stream, one, found)
            await receipts.put_rows(connection, rows)
        return sorted_out.aside

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
            except _POISON as error:
                _LOG.exception("record.refused", edge_id=stream.edge_id, seq=record.seq)
                reason = f"refused: {type(error).__name__}: {error}"
                aside.append(rejected(record.seq, record.uid, reason, record.data))
        return aside

    async def _post(
        self, connection: Connection, stream: Stream, fresh: Sequence[Received]
    ) -> list[list[Incident]]:
        """Post to the ledger; what did not fit, record by record."""
        now_ms = self._clock.now_ms()
        origin = Origin(edge_id=stream.edge_id, store_id=stream.store_id, epoch=stream.epoch)
        customers = customers_of(fresh)
        known = await known_customers(connection, sorted(customers)) if customers else set()
        needs = needs_of_all(fresh, known)
        if not (needs.purses or needs.leases or needs.spends or needs.sales):
            books = Books()  # sales to strangers move nothing
        else:
            books = await ledger.load(connection, needs)
        incidents = [post(books, origin, one, known) for one in fresh]
        await accounts.lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
        await ledger.save(connection, books, now_ms=now_ms)
        return incidents

    def _add_row(
        self,
        rows: receipts.Rows,
        stream: Stream,
        one: Received,
        incidents: Sequence[Incident],
    ) -> None:
        if isinstance(one.fact, ReceiptCommitted):
            assert one.columns is not None, "a sale was read into columns"
            rows.receipts.append(
                self._copying.sale(
                    one.fact,
                    one.columns,
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    edge_id=stream.sender_id,
                    incident_count=len(incidents),
                    body=one.body,
                )
            )
        elif isinstance(one.fact, ReceiptReturned):
            rows.returns.append(
                self._copying.refund(
                    one.fact,
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    edge_id=stream.sender_id,
                    body=one.body,
                )
            )
        else:
            rows.facts.append(
                other_fact(
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    kind=one.kind,
                    edge_id=stream.sender_id,
                    store_id=stream.store_id,
                    body=one.body,
                )
            )
        if incidents:
            rows.incidents.append(incidents_text(one.uid, incidents))

    def _ack(self, stream: Stream, seq: int, head_hash: bytes, aside: Sequence[Rejected]) -> Ack:
        return Ack(
            epoch=stream.epoch,
            seq=seq,
            hash=head_hash,
            verdicts=[
                Verdict(seq=one.seq, code=one.code, detail=one.detail)
                for one in sorted(aside, key=lambda one: one.seq)
            ],
            next_batch_records_max=BATCH_RECORDS_MAX,
            pause_ms=0,
            server_time_ms=self._clock.now_ms(),
        )


@dataclass(slots=True, kw_only=True)
class _Work:
    """A batch taken apart. ``one_by_one``: its records go in by themselves."""

    stream: Stream
    batch: Batch
    hashes: list[bytes]
    read: list[Received | Rejected]
    one_by_one: bool = False


def _receipt_ids(read: Sequence[Received | Rejected]) -> list[str]:
    return [
        one.fact.receipt_id
        for one in read
        if isinstance(one, Received) and isinstance(one.fact, ReceiptCommitted)
    ]


def _head_of(stream: Stream, row: DictRow) -> StreamHead:
    return StreamHead(
        epoch=stream.epoch, seq=row["seq"], hash=row["hash"], state=StreamState(row["state"])
    )


async def _newest_epoch(connection: Connection, stream: Stream, row: DictRow | None) -> int:
    if row is not None:
        return int(row["newest_epoch"])
    newest = await row_of(connection, _QUERIES["newest_epoch"], stream.key())
    return 0 if newest is None or newest["epoch"] is None else int(newest["epoch"])


async def hash_at(connection: Connection, stream: Stream, head: DictRow, seq: int) -> bytes | None:
    """Central's chain hash of a stream at ``seq`` (``head``: its row), where it was kept."""
    if seq == head["seq"]:
        return bytes(head["hash"])
    if seq == 0:
        return chain_genesis(stream.edge_id, stream.lane, stream.epoch, head["nonce"])
    row = await row_of(connection, _QUERIES["run_at"], stream.key() | {"seq": seq})
    if row is None or row["first_seq"] > seq:
        return None
    at = (seq - row["first_seq"]) * HASH_BYTES
    return bytes(row["hashes"][at : at + HASH_BYTES])


async def _adopted_head(connection: Connection, stream: Stream, batch: Batch) -> StreamHead:
    """How far the sender has adopted the stream; it begins where central's own chain says.

    Raises:
        ForbiddenError: the sender may not adopt from this edge.
    """
    row = await row_of(connection, _QUERIES["adopted_head"], stream.adoption())
    if row is None:
        start = await _start_of(connection, stream, batch)
        if start is None:
            start = await _start_of(connection, stream, None)
            assert start is not None, "every stream has a beginning"
        await run(
            connection,
            _QUERIES["begin_adoption"],
            stream.adoption() | {"seq": start[0], "hash": start[1]},
        )
        row = await row_of(connection, _QUERIES["adopted_head"], stream.adoption())
        assert row is not None, "it was begun just now"
    return StreamHead(epoch=stream.epoch, seq=row["seq"], hash=row["hash"], state=StreamState.OPEN)


async def _start_of(
    connection: Connection, stream: Stream, batch: Batch | None
) -> tuple[int, bytes] | None:
    """Where an adoption may begin: before the batch, where central knows its hash; or at zero."""
    row = await row_of(connection, _QUERIES["adoptable"], stream.adoption())
    if row is None:
        raise ForbiddenError("an agent adopts only what was written in its own store")
    if row["nonce"] is None:
        if row["newest_epoch"] is not None and stream.epoch <= row["newest_epoch"]:
            raise ForbiddenError("this stream never was")
        # A central that was restored from a copy has forgotten the epoch. It cannot tell what came
        # before a batch, so it takes the stream whole, or as facts that are recorded once more.
        if batch is not None and batch.first_seq == 1:
            return 0, batch.previous_hash
        raise ForbiddenError("central has forgotten this stream", code="forgotten_stream")
    if batch is None or batch.first_seq == 1:
        genesis = chain_genesis(stream.edge_id, stream.lane, stream.epoch, row["nonce"])
        return 0, genesis
    known = await hash_at(connection, stream, row, batch.first_seq - 1)
    return (batch.first_seq - 1, known) if known == batch.previous_hash else None


async def _set_aside(connection: Connection, stream: Stream, aside: Sequence[Rejected]) -> None:
    for one in aside:
        _LOG.warning("record.quarantined", edge_id=stream.edge_id, seq=one.seq, code=one.code)
    await run_many(
        connection,
        _QUERIES["quarantine"],
        [
            stream.key()
            | {
                "first_seq": one.seq,
                "last_seq": one.seq,
                "reason": one.code,
                "detail": one.detail,
                "data": one.data,
            }
            for one in aside
        ],
    )

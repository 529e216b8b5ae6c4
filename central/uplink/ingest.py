"""Take records in: one transaction a batch, the stream's head locked, every fact exactly once.

Two shields: (stream, epoch, seq, hash) gives order, gaps and forks; the record's uid gives
idempotency whatever path or batch brings it. A batch goes in by a few statements for all of it; if
the database refuses something in it, its records go in one by one, so that the one that was refused
goes to quarantine and stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg.rows import DictRow

from central.accounts import service as accounts
from central.accounts import store as ledger
from central.customers.store import known_customers
from central.database.pool import Connection, Pool, row_of, run, run_many
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
from central.uplink.reading import Received, Rejected, Stream, read_records, rejected
from shared.clock import Clock
from shared.crypto.chain import HASH_BYTES, chain_genesis
from shared.limits import BATCH_RECORDS_MAX
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.facts import Incident, ReceiptCommitted, ReceiptReturned
from shared.wire.frames import encoded_records
from shared.wire.stream import Ack, Batch, Refusal, Verdict

__all__ = ["Ingest", "Stream"]

ATTEMPTS_MAX: Final = 5
"""Of one batch, while others hold or change the same rows."""
_RETRY_S: Final = 0.02
_QUERIES = load_queries("central.uplink")
_LOG = get_logger(__name__)
_CONTENTION = (
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
        """
        records = encoded_records(batch)
        hashes = chain_of(batch, records)
        read = read_records(stream, batch.first_seq, records)
        one_by_one = False
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await self._take_once(stream, batch, hashes, read, one_by_one=one_by_one)
            except _CONTENTION:
                if attempt == ATTEMPTS_MAX:
                    raise
                one_by_one = attempt == ATTEMPTS_MAX - 1
                await asyncio.sleep(_RETRY_S * attempt)
            except _POISON:
                if one_by_one:
                    raise
                _LOG.exception("batch.refused_by_database", edge_id=stream.edge_id)
                one_by_one = True
        raise AssertionError("the last attempt raises or returns")

    async def _take_once(
        self,
        stream: Stream,
        batch: Batch,
        hashes: Sequence[bytes],
        read: Sequence[Received | Rejected],
        *,
        one_by_one: bool,
    ) -> Ack | Refusal:
        async with self._pool.connection() as connection:
            row = await row_of(connection, _QUERIES["head"], stream.key())
            head = None if row is None else _head_of(stream, row)
            known_hash = None
            if head is not None and row is not None:
                seq = seq_to_compare(head, batch)
                known_hash = await _hash_at(connection, stream, row, seq)
            answer = decide(
                head,
                await _newest_epoch(connection, stream, row),
                stream.epoch,
                batch,
                hashes,
                known_hash,
            )
            if isinstance(answer, Refuse):
                return await _refused(connection, stream, batch, answer)
            assert head is not None, "only what continues a head is taken"
            new = read[answer.skip :]
            if not new:
                return self._ack(stream, head.seq, head.hash, [])
            if one_by_one:
                aside = await self._store_one_by_one(connection, stream, new)
            else:
                aside = await self._store(connection, stream, new)
            await _set_aside(connection, stream, aside)
            await run(
                connection,
                _QUERIES["advance"],
                stream.key()
                | {
                    "first_seq": head.seq + 1,
                    "last_seq": batch.last_seq,
                    "hash": batch.last_hash,
                    "hashes": b"".join(hashes[answer.skip :]),
                    "uids": b"".join(record.uid for record in new),
                },
            )
        return self._ack(stream, batch.last_seq, batch.last_hash, aside)

    async def _store(
        self, connection: Connection, stream: Stream, read: Sequence[Received | Rejected]
    ) -> list[Rejected]:
        """Store and post everything that is new, all at once; what has to be set aside."""
        received = [record for record in read if isinstance(record, Received)]
        contents = await receipts.known_contents(connection, [one.uid for one in read])
        aside = [
            conflict_of(record) if record.uid in contents else record
            for record in read
            if isinstance(record, Rejected)
        ]
        sold = [one.fact.receipt_id for one in received if isinstance(one.fact, ReceiptCommitted)]
        known_ids = await receipts.known_receipt_ids(
            connection, sold, store_id=stream.store_id, edge_id=stream.edge_id
        )
        fresh, conflicts = fresh_of(received, contents, known_ids)
        if fresh:
            rows = receipts.Rows()
            incidents = await self._post(connection, stream, fresh)
            for one in fresh:
                self._add_row(rows, stream, one, incidents[one.uid])
            await receipts.put_rows(connection, rows)
        return aside + conflicts

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
                    aside += await self._store(connection, stream, [record])
            except _POISON as error:
                _LOG.exception("record.refused", edge_id=stream.edge_id, seq=record.seq)
                reason = f"refused: {type(error).__name__}: {str(error).splitlines()[:1]}"
                aside.append(rejected(record.seq, record.uid, reason, record.body))
        return aside

    async def _post(
        self, connection: Connection, stream: Stream, fresh: Sequence[Received]
    ) -> dict[bytes, list[Incident]]:
        await ledger.lock_ledger(connection)
        incidents: dict[bytes, list[Incident]] = {}
        touched: set[tuple[str, str]] = set()
        for one in fresh:
            incidents[one.uid] = []
            if isinstance(one.fact, ReceiptCommitted):
                incidents[one.uid] = await _post_points(
                    connection, stream, one.uid, one.fact, touched
                )
        for customer_id, points_account in sorted(touched):
            await ledger.top_up_lease(
                connection, customer_id, points_account, now_ms=self._clock.now_ms()
            )
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
                    edge_id=stream.edge_id,
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
                    edge_id=stream.edge_id,
                    body=one.body,
                )
            )
        else:
            rows.facts.append(
                other_fact(
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    kind=one.kind,
                    edge_id=stream.edge_id,
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


def fresh_of(
    received: Sequence[Received], contents: dict[bytes, bytes], known_ids: set[str]
) -> tuple[list[Received], list[Rejected]]:
    """Which records are new, and which say something else under a name that is taken.

    ``contents``: of those uids that are known; ``known_ids``: receipt ids that this agent has used.
    """
    fresh: list[Received] = []
    conflicts: list[Rejected] = []
    contents, known_ids = dict(contents), set(known_ids)
    for one in received:
        content = contents.get(one.uid)
        if content is not None:
            if content != one.content_sha256:
                conflicts.append(_conflict(one, "this uid is known with other content"))
            continue
        contents[one.uid] = one.content_sha256
        if isinstance(one.fact, ReceiptCommitted):
            if one.fact.receipt_id in known_ids:
                conflicts.append(_conflict(one, "this receipt id came under another uid"))
                continue
            known_ids.add(one.fact.receipt_id)
        fresh.append(one)
    return fresh, conflicts


def conflict_of(record: Rejected) -> Rejected:
    """What cannot be read under a uid that is known is a conflict."""
    detail = f"uid_conflict: this uid is known with other content; {record.detail}"
    return rejected(record.seq, record.uid, detail, record.data, code="conflict")


def _conflict(one: Received, why: str) -> Rejected:
    return rejected(one.seq, one.uid, f"uid_conflict: {why}", one.body, code="conflict")


async def _post_points(
    connection: Connection,
    stream: Stream,
    record_uid: bytes,
    fact: ReceiptCommitted,
    touched: set[tuple[str, str]],
) -> list[Incident]:
    customer_id = fact.receipt.customer.id if fact.receipt.customer is not None else None
    incidents = list(fact.incidents)
    for index, spend in enumerate(fact.lease_spends):
        incidents += await accounts.post_spend(
            connection,
            record_uid,
            spend,
            index=index,
            edge_id=stream.edge_id,
            store_id=stream.store_id,
            customer_id=customer_id,
        )
    if customer_id is not None and customer_id in await known_customers(connection, [customer_id]):
        await accounts.post_accruals(
            connection,
            record_uid,
            customer_id,
            fact.answer.accrued,
            business_date=fact.business_date,
        )
        touched |= {(customer_id, accrued.account) for accrued in fact.answer.accrued}
        touched |= {(customer_id, spend.account) for spend in fact.lease_spends}
    elif fact.answer.accrued:
        incidents.append(
            Incident(code="unknown_customer", detail="points were earned by no known member")
        )
    return incidents


def _head_of(stream: Stream, row: DictRow) -> StreamHead:
    return StreamHead(
        epoch=stream.epoch, seq=row["seq"], hash=row["hash"], state=StreamState(row["state"])
    )


async def _newest_epoch(connection: Connection, stream: Stream, row: DictRow | None) -> int:
    if row is not None:
        return int(row["newest_epoch"])
    newest = await row_of(connection, _QUERIES["newest_epoch"], stream.key())
    return 0 if newest is None or newest["epoch"] is None else int(newest["epoch"])


async def _hash_at(connection: Connection, stream: Stream, head: DictRow, seq: int) -> bytes | None:
    if seq == head["seq"]:
        return bytes(head["hash"])
    if seq == 0:
        return chain_genesis(stream.edge_id, stream.lane, stream.epoch, head["nonce"])
    row = await row_of(connection, _QUERIES["run_at"], stream.key() | {"seq": seq})
    if row is None or row["first_seq"] > seq:
        return None
    at = (seq - row["first_seq"]) * HASH_BYTES
    return bytes(row["hashes"][at : at + HASH_BYTES])


async def _refused(
    connection: Connection, stream: Stream, batch: Batch, refused: Refuse
) -> Refusal:
    refusal = refused.refusal
    if refused.freeze:
        await run(connection, _QUERIES["freeze"], stream.key() | {"lanes": [stream.lane]})
        _LOG.error("stream.forked", edge_id=stream.edge_id, lane=stream.lane, epoch=stream.epoch)
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

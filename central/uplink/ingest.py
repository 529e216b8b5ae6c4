"""Take records in: one transaction a batch, the stream's head locked, every fact exactly once.

Two shields: (stream, epoch, seq, hash) gives order, gaps and forks; the record's uid gives
idempotency whatever path or batch brings it. One bad record goes to quarantine and stops nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
import psycopg
from psycopg.rows import DictRow

from central.accounts import service as accounts
from central.accounts import store as ledger
from central.catalogue.store import names_of
from central.customers.store import known_customers
from central.database.pool import Connection, Pool, row_of, run
from central.receipts import store as receipts
from shared.clock import Clock
from shared.crypto.chain import chain_genesis, chain_next
from shared.errors import AppError, InputError
from shared.limits import BATCH_RECORDS_MAX
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.facts import FactKind, Incident, ReceiptCommitted
from shared.wire.frames import encoded_records
from shared.wire.stream import Ack, Batch, Record, Refusal, RefusalCode, Verdict

_QUERIES = load_queries("central.uplink")
_LOG = get_logger(__name__)
_BAD_FACT = (
    msgspec.DecodeError,
    UnicodeDecodeError,  # msgspec's own for a text that is no UTF-8
    psycopg.DataError,
    psycopg.IntegrityError,
    AppError,
    KeyError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Which stream a batch belongs to, and the store its agent stands in."""

    edge_id: int
    store_id: str
    lane: int
    epoch: int

    def key(self) -> dict[str, int]:
        """The stream's key in the tables."""
        return {"edge_id": self.edge_id, "lane": self.lane, "epoch": self.epoch}


class Ingest:
    """Takes batches into PostgreSQL."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def take(self, stream: Stream, batch: Batch) -> Ack | Refusal:
        """Take a batch, or say why not. After an Ack everything up to its seq is durable.

        Raises:
            InputError: the batch contradicts itself; nothing was changed.
        """
        records = encoded_records(batch)
        async with self._pool.connection() as connection:
            head = await row_of(connection, _QUERIES["head"], stream.key())
            if head is None:
                return await _refuse_epoch(connection, stream, batch)
            refusal = await _refuse_head(connection, stream, batch, head)
            if refusal is not None:
                return refusal
            hashes = _chain(batch, records)
            known = min(batch.last_seq, head["seq"]) - batch.first_seq + 1
            if known > 0:
                at = await _hash_at(connection, stream, head, batch.first_seq + known - 1)
                if at != hashes[known - 1]:
                    return await _fork(connection, stream, batch, head)
            known = max(known, 0)
            verdicts = await self._take_new(
                connection, stream, batch.first_seq + known, records[known:], hashes[known:]
            )
            advanced = known < len(records)
            return Ack(
                epoch=stream.epoch,
                seq=batch.last_seq if advanced else head["seq"],
                hash=hashes[-1] if advanced else head["hash"],
                verdicts=verdicts,
                next_batch_records_max=BATCH_RECORDS_MAX,
                pause_ms=0,
                server_time_ms=self._clock.now_ms(),
            )

    async def _take_new(
        self,
        connection: Connection,
        stream: Stream,
        first_seq: int,
        records: list[bytes],
        hashes: list[bytes],
    ) -> list[Verdict]:
        if not records:
            return []
        await ledger.lock_ledger(connection)
        verdicts: list[Verdict] = []
        touched: set[tuple[str, str]] = set()
        for seq, data, head_hash in zip(
            range(first_seq, first_seq + len(records)), records, hashes, strict=True
        ):
            uid = b""
            try:
                record = msgspec.msgpack.decode(data, type=Record)
                uid = record.uid
                async with connection.transaction():
                    touched |= await _take_record(connection, stream, seq, record)
            except _BAD_FACT as error:
                conflict = isinstance(error, AppError) and error.stable_code == "uid_conflict"
                code = "conflict" if conflict else "quarantined"
                detail = str(error).splitlines()[0][:500].replace("\x00", "")
                await _quarantine(connection, stream, seq, seq, code, detail, data)
                verdicts.append(Verdict(seq=seq, code=code, detail=detail))
                _LOG.warning("record.quarantined", edge_id=stream.edge_id, seq=seq, code=code)
            await run(
                connection,
                _QUERIES["put_record"],
                stream.key() | {"seq": seq, "hash": head_hash, "uid": uid},
            )
        for customer_id, points_account in sorted(touched):
            await ledger.top_up_lease(
                connection, customer_id, points_account, now_ms=self._clock.now_ms()
            )
        await run(
            connection,
            _QUERIES["advance"],
            stream.key() | {"seq": first_seq + len(records) - 1, "hash": hashes[-1]},
        )
        return verdicts


async def _take_record(
    connection: Connection, stream: Stream, seq: int, record: Record
) -> set[tuple[str, str]]:
    """Store one fact; the (customer, points account) pairs whose points it moved."""
    if (record.lane, record.epoch, record.seq) != (stream.lane, stream.epoch, seq):
        raise InputError("the record names another place in its stream", code="wrong_place")
    if len(record.uid) != 16:
        raise InputError("a uid is 16 bytes", code="bad_uid")
    if record.kind != FactKind.RECEIPT_COMMITTED:
        raise InputError(f"central does not know facts of kind {record.kind!r}", code="kind")
    content = hashlib.sha256(record.kind.encode() + b"\x00" + record.body).digest()
    known = await receipts.known_content(connection, record.uid)
    if known is not None:
        if known != content:
            raise InputError("this uid is known with other content", code="uid_conflict")
        return set()
    fact = msgspec.msgpack.decode(record.body, type=ReceiptCommitted)
    if fact.store_id != stream.store_id:
        raise InputError("the receipt is of another store", code="wrong_store")
    names = await names_of(connection, [line.sku for line in fact.receipt.lines])
    if not await receipts.put_receipt(
        connection,
        fact,
        record_uid=record.uid,
        content_sha256=content,
        edge_id=stream.edge_id,
        names=names,
    ):
        raise InputError("this receipt id came before under another uid", code="uid_conflict")
    return await _post_points(connection, stream, record.uid, fact)


async def _post_points(
    connection: Connection, stream: Stream, record_uid: bytes, fact: ReceiptCommitted
) -> set[tuple[str, str]]:
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
    touched: set[tuple[str, str]] = set()
    if customer_id is not None and customer_id in await known_customers(connection, [customer_id]):
        await accounts.post_accruals(
            connection,
            record_uid,
            customer_id,
            fact.answer.accrued,
            business_date=fact.business_date,
        )
        touched = {(customer_id, accrued.account) for accrued in fact.answer.accrued}
        touched |= {(customer_id, spend.account) for spend in fact.lease_spends}
    elif fact.answer.accrued:
        incidents.append(
            Incident(code="unknown_customer", detail="points were earned by no known member")
        )
    await receipts.put_incidents(connection, record_uid, incidents)
    return touched


def _chain(batch: Batch, records: list[bytes]) -> list[bytes]:
    hashes: list[bytes] = []
    previous = batch.previous_hash
    if len(previous) != 32:
        raise InputError("a chain hash is 32 bytes", code="bad_batch")
    for record in records:
        previous = chain_next(previous, record)
        hashes.append(previous)
    if previous != batch.last_hash:
        raise InputError("the records do not give the batch's last hash", code="bad_batch")
    return hashes


async def _hash_at(connection: Connection, stream: Stream, head: DictRow, seq: int) -> bytes:
    if seq == 0:
        return chain_genesis(stream.edge_id, stream.lane, stream.epoch, bytes(head["nonce"]))
    if seq == head["seq"]:
        return bytes(head["hash"])
    row = await row_of(connection, _QUERIES["hash_at"], stream.key() | {"seq": seq})
    assert row is not None, "every record up to the head was kept"
    return bytes(row["hash"])


async def _refuse_epoch(connection: Connection, stream: Stream, batch: Batch) -> Refusal:
    row = await row_of(connection, _QUERIES["newest_epoch"], stream.key())
    newest = int(row["epoch"]) if row is not None and row["epoch"] is not None else 0
    fenced = stream.epoch < newest
    if fenced:
        await _quarantine_batch(connection, stream, batch, "fenced")
    return Refusal(
        code=RefusalCode.FENCED if fenced else RefusalCode.UNKNOWN_EPOCH,
        epoch=newest,
        seq=0,
        hash=b"",
        detail="the stream has a newer epoch" if fenced else "central never issued this epoch",
    )


async def _refuse_head(
    connection: Connection, stream: Stream, batch: Batch, head: DictRow
) -> Refusal | None:
    row = await row_of(connection, _QUERIES["newest_epoch"], stream.key())
    if row is not None and row["epoch"] > stream.epoch:
        return await _refuse_epoch(connection, stream, batch)
    if head["state"] != "open":
        await _quarantine_batch(connection, stream, batch, "frozen")
        return _refusal(RefusalCode.FROZEN, stream, head, "a person has to decide on this stream")
    if batch.first_seq > head["seq"] + 1:
        return _refusal(RefusalCode.GAP, stream, head, "records before these are missing")
    before = await _hash_at(connection, stream, head, batch.first_seq - 1)
    if before != batch.previous_hash:
        return await _fork(connection, stream, batch, head)
    return None


async def _fork(connection: Connection, stream: Stream, batch: Batch, head: DictRow) -> Refusal:
    await run(connection, _QUERIES["freeze"], stream.key())
    await _quarantine_batch(connection, stream, batch, "fork")
    _LOG.error("stream.forked", edge_id=stream.edge_id, lane=stream.lane, epoch=stream.epoch)
    return _refusal(RefusalCode.FORK, stream, head, "two copies of this agent wrote")


def _refusal(code: RefusalCode, stream: Stream, head: DictRow, detail: str) -> Refusal:
    return Refusal(
        code=code, epoch=stream.epoch, seq=head["seq"], hash=bytes(head["hash"]), detail=detail
    )


async def _quarantine_batch(
    connection: Connection, stream: Stream, batch: Batch, reason: str
) -> None:
    await _quarantine(connection, stream, batch.first_seq, batch.last_seq, reason, "", batch.frame)


async def _quarantine(
    connection: Connection,
    stream: Stream,
    first_seq: int,
    last_seq: int,
    reason: str,
    detail: str,
    data: bytes,
) -> None:
    await run(
        connection,
        _QUERIES["quarantine"],
        stream.key()
        | {
            "first_seq": first_seq,
            "last_seq": last_seq,
            "reason": reason,
            "detail": detail,
            "data": data,
        },
    )

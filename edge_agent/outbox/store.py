"""The outbox in SQLite. Functions take a connection, so that a fact shares its transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from shared.crypto.chain import chain_genesis, chain_next
from shared.errors import ConflictError, CorruptionError
from shared.sqlfile import load_queries
from shared.wire.enrol import LaneStart
from shared.wire.stream import STREAM_SCHEMA_VERSION, Record

_QUERIES: Final = load_queries("edge_agent.outbox")
_ENCODER: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a lane's chain stands, and up to where central confirmed it."""

    lane: int
    epoch: int
    seq: int
    hash: bytes
    genesis: bytes
    acked_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something to be recorded; ``uid`` names it for ever, ``body`` is its encoded structure."""

    uid: bytes
    kind: str
    body: bytes
    recorded_at_ms: int


def start_stream(connection: apsw.Connection, edge_id: int, start: LaneStart) -> None:
    """Begin a lane; one that has begun stays as it is."""
    genesis = chain_genesis(edge_id, start.lane, start.epoch, start.nonce)
    connection.execute(
        _QUERIES["start_stream"], {"lane": int(start.lane), "epoch": start.epoch, "hash": genesis}
    )


def head_of(connection: apsw.Connection, lane: int) -> Head:
    """Where the lane stands.

    Raises:
        ConflictError: the lane was never begun; the agent is not enrolled.
    """
    row: Any = connection.execute(_QUERIES["head"], {"lane": lane}).fetchone()
    if row is None:
        raise ConflictError("this agent is not enrolled", hint="Run `kopilka-edge enrol` first.")
    epoch, seq, head_hash, genesis, acked_seq = row
    return Head(
        lane=lane, epoch=epoch, seq=seq, hash=head_hash, genesis=genesis, acked_seq=acked_seq
    )


def heads_of(connection: apsw.Connection) -> list[Head]:
    """Where every begun lane stands, the most urgent lane first."""
    rows: list[Any] = connection.execute(_QUERIES["heads"]).fetchall()
    return [
        Head(lane=lane, epoch=epoch, seq=seq, hash=head_hash, genesis=genesis, acked_seq=acked_seq)
        for lane, epoch, seq, head_hash, genesis, acked_seq in rows
    ]


def append_fact(connection: apsw.Connection, lane: int, fact: Fact) -> Head:
    """Chain one fact at the end of the lane, in the caller's transaction.

    Raises:
        ConflictError: the lane was never begun.
    """
    before = head_of(connection, lane)
    seq = before.seq + 1
    record = _ENCODER.encode(
        Record(
            uid=fact.uid,
            lane=lane,
            epoch=before.epoch,
            seq=seq,
            recorded_at_ms=fact.recorded_at_ms,
            kind=fact.kind,
            schema_version=STREAM_SCHEMA_VERSION,
            body=fact.body,
        )
    )
    after_hash = chain_next(before.hash, record)
    connection.execute(
        _QUERIES["append"],
        {
            "lane": lane,
            "epoch": before.epoch,
            "seq": seq,
            "uid": fact.uid,
            "recorded_at_ms": fact.recorded_at_ms,
            "record": record,
            "hash": after_hash,
        },
    )
    connection.execute(_QUERIES["advance"], {"lane": lane, "seq": seq, "hash": after_hash})
    return Head(
        lane=lane,
        epoch=before.epoch,
        seq=seq,
        hash=after_hash,
        genesis=before.genesis,
        acked_seq=before.acked_seq,
    )


def hash_at(connection: apsw.Connection, head: Head, seq: int) -> bytes:
    """The chain hash after record ``seq`` (0: before the first).

    Raises:
        CorruptionError: the record is not here.
    """
    if seq == 0:
        return head.genesis
    parameters = {"lane": head.lane, "epoch": head.epoch, "seq": seq}
    found = connection.execute(_QUERIES["hash_at"], parameters).get
    if not isinstance(found, bytes):
        raise CorruptionError(f"record {seq} of lane {head.lane} is missing")
    return found


def pending_records(connection: apsw.Connection, head: Head, limit: int) -> list[bytes]:
    """At most ``limit`` encoded records that central has not confirmed, in order."""
    parameters = {"lane": head.lane, "epoch": head.epoch, "after": head.acked_seq, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["pending"], parameters).fetchall()
    return [record for _, record in rows]


def acknowledge(connection: apsw.Connection, lane: int, seq: int, head_hash: bytes) -> None:
    """Note that central holds everything up to ``seq``; a lower ``seq`` means: send again.

    Raises:
        CorruptionError: central's hash at ``seq`` is not ours; nothing is noted.
    """
    head = head_of(connection, lane)
    if seq > head.seq or hash_at(connection, head, seq) != head_hash:
        raise CorruptionError(f"central's chain of lane {lane} differs from ours at record {seq}")
    connection.execute(_QUERIES["acknowledge"], {"lane": lane, "seq": seq})


def oldest_pending_at_ms(connection: apsw.Connection, lane: int) -> int | None:
    """When the oldest unconfirmed record was made; None when there is none."""
    found = connection.execute(_QUERIES["oldest_pending"], {"lane": lane}).get
    return found if isinstance(found, int) else None


def verify_chain(connection: apsw.Connection, lane: int) -> int:
    """Compute the lane's chain again from its first record; the number of records checked.

    Raises:
        CorruptionError: a record is missing, changed or out of place, or the head differs.
    """
    head = head_of(connection, lane)
    chained = head.genesis
    count = 0
    rows: Any = connection.execute(_QUERIES["whole"], {"lane": lane, "epoch": head.epoch})
    for seq, record, stored_hash in rows:
        count += 1
        chained = chain_next(chained, record)
        if seq != count or chained != stored_hash:
            raise CorruptionError(f"the chain of lane {lane} breaks at record {seq}")
    if count != head.seq or chained != head.hash:
        raise CorruptionError(f"the head of lane {lane} is not its last record")
    return count

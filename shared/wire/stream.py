"""Records on their way from an edge to central: a stream per (edge, lane, epoch), from 1.

A record is hashed by its exact bytes, so a batch carries records as opaque byte strings; whoever
relays or stores them keeps those bytes.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

STREAM_SCHEMA_VERSION: Final = 1


class Lane(enum.IntEnum):
    """Separate queues, so that money never waits behind telemetry. Lanes 0-2 are never dropped."""

    MONEY = 0
    RECEIPTS = 1
    AUDIT = 2
    TELEMETRY = 3


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One fact as it is chained. Fields are append-only.

    ``uid`` (16 bytes) names the fact for ever; ``kind`` says which structure of
    ``shared.wire.facts`` the msgpack ``body`` holds.
    """

    uid: bytes
    lane: int
    epoch: int
    seq: int
    recorded_at_ms: int
    kind: str
    schema_version: int
    body: bytes


class Batch(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A run of records ``first_seq..last_seq`` of one stream, as it is put to central.

    ``frame`` is zstd over the msgpack list of encoded records; ``raw_bytes`` is that list's size
    before compression; ``previous_hash`` is the chain head before the first record, ``last_hash``
    after the last.
    """

    schema_version: int
    first_seq: int
    last_seq: int
    previous_hash: bytes
    last_hash: bytes
    raw_bytes: int
    dictionary_id: int
    frame: bytes


class Verdict(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A record that central did not simply accept (``quarantined``, ``conflict``)."""

    seq: int
    code: str
    detail: str


class Ack(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Everything up to ``seq``, where the chain head is ``hash``, is durable at central.

    The sender advances only if its own hash at ``seq`` is the same.
    """

    epoch: int
    seq: int
    hash: bytes
    verdicts: list[Verdict]
    next_batch_records_max: int
    pause_ms: int
    server_time_ms: int


class RefusalCode(enum.StrEnum):
    """Why a batch was not taken."""

    GAP = "gap"
    """Records before ``first_seq`` are missing: send again from ``seq`` + 1."""
    FENCED = "fenced"
    """The stream has a newer epoch."""
    UNKNOWN_EPOCH = "unknown_epoch"
    """Only central issues epochs, and it did not issue this one."""
    FORK = "fork"
    """The chains differ: two copies of this edge wrote. Frozen until a person decides."""
    FROZEN = "frozen"


class Refusal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Central's own head of the stream, and why it did not take the batch (HTTP 409 or 423)."""

    code: RefusalCode
    epoch: int
    seq: int
    hash: bytes
    detail: str

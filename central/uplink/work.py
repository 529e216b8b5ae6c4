"""A batch taken apart: its records read, its chain computed, before any database is asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from central.uplink.policy import chain_of
from central.uplink.reading import Received, Rejected, Stream, read_records
from shared.frames import encoded_records
from shared.limits import BATCH_RECORDS_MAX
from shared.wire.stream import Ack, Batch, Verdict


@dataclass(slots=True, kw_only=True)
class Work:
    """A batch with its records. ``one_by_one``: they go in by themselves."""

    stream: Stream
    batch: Batch
    hashes: list[bytes]
    read: list[Received | Rejected]
    one_by_one: bool = False


def taken_apart(stream: Stream, batch: Batch) -> Work:
    """The work that a batch is.

    Raises:
        InputError: the batch contradicts itself.
        TooLargeError: it holds more than agreed.
    """
    records = encoded_records(batch)
    return Work(
        stream=stream,
        batch=batch,
        hashes=chain_of(batch, records),
        read=read_records(stream, batch.first_seq, records),
    )


def run_of(work: Work, skip: int) -> dict[str, Any]:
    """The run of records that a batch adds to its stream, without its first ``skip``."""
    batch = work.batch
    return work.stream.key() | {
        "first_seq": batch.first_seq + skip,
        "last_seq": batch.last_seq,
        "hash": batch.last_hash,
        "hashes": b"".join(work.hashes[skip:]),
        "uids": b"".join(record.uid for record in work.read[skip:]),
    }


def ack_of(
    epoch: int, seq: int, head_hash: bytes, aside: Sequence[Rejected], *, now_ms: int
) -> Ack:
    """Everything up to ``seq`` is durable; ``aside``: what of the batch went to quarantine."""
    return Ack(
        epoch=epoch,
        seq=seq,
        hash=head_hash,
        verdicts=[
            Verdict(seq=one.seq, code=one.code, detail=one.detail)
            for one in sorted(aside, key=lambda one: one.seq)
        ],
        next_batch_records_max=BATCH_RECORDS_MAX,
        pause_ms=0,
        server_time_ms=now_ms,
    )

"""What to send next, and what an answer of central's means. Pure.

Records are cut into batches by count and by size; an acknowledgement or a refusal becomes a step
that the caller takes. A fork is never mended here: the lane stops until a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import zstandard

from shared.crypto.chain import chain_fold
from shared.limits import BATCH_FRAME_BYTES_MAX, BATCH_RAW_BYTES_MAX, BATCH_RECORDS_MAX
from shared.wire.stream import STREAM_SCHEMA_VERSION, Batch, Refusal, RefusalCode

_ENCODER: Final = msgspec.msgpack.Encoder()
_COMPRESSION_LEVEL: Final = 3
_LIST_BYTES_MAX: Final = 5
_RECORD_PREFIX_BYTES_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Central holds the records up to ``seq``: check its hash, then send from the next."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The lane sends nothing more until a person decides; ``reason`` is for the operator."""

    reason: str


def make_batch(
    records: Sequence[bytes],
    *,
    first_seq: int,
    previous_hash: bytes,
    records_max: int = BATCH_RECORDS_MAX,
) -> Batch:
    """As many of ``records`` (at least one) as one batch may carry, from the first on."""
    assert records, "a batch carries records"
    count = _fitting(records, min(max(records_max, 1), BATCH_RECORDS_MAX))
    while True:
        raw = _ENCODER.encode(list(records[:count]))
        frame = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress(raw)
        if len(frame) <= BATCH_FRAME_BYTES_MAX or count == 1:
            break
        count = max(1, count // 2)
    return Batch(
        schema_version=STREAM_SCHEMA_VERSION,
        first_seq=first_seq,
        last_seq=first_seq + count - 1,
        previous_hash=previous_hash,
        last_hash=chain_fold(previous_hash, records[:count]),
        raw_bytes=len(raw),
        dictionary_id=0,
        frame=frame,
    )


def step_after(refusal: Refusal, epoch: int) -> Resend | Stop:
    """What a refusal asks of the lane, whose epoch here is ``epoch``."""
    if refusal.code is RefusalCode.GAP and refusal.epoch == epoch:
        return Resend(seq=refusal.seq, hash=refusal.hash)
    return Stop(reason=f"central refused the stream: {refusal.code.value}; {refusal.detail}")


def backoff_bounds_s(failures: int, *, min_s: float, max_s: float) -> tuple[float, float]:
    """Between what to draw the next wait (full jitter) after so many failures in a row."""
    assert failures > 0, "there is nothing to wait for"
    return min_s, max(min_s, min(max_s, min_s * 2 ** min(failures, 30)))


def _fitting(records: Sequence[bytes], records_max: int) -> int:
    size_bytes = _LIST_BYTES_MAX
    for count, record in enumerate(records[:records_max]):
        size_bytes += len(record) + _RECORD_PREFIX_BYTES_MAX
        if size_bytes > BATCH_RAW_BYTES_MAX:
            return max(count, 1)
    return min(len(records), records_max)

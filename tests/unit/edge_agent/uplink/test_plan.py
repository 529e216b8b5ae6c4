"""What is sent next, and what central's refusals mean."""

from __future__ import annotations

import os

import msgspec
import pytest
import zstandard

from edge_agent.uplink.plan import Resend, Stop, backoff_bounds_s, make_batch, step_after
from shared.crypto.chain import chain_fold
from shared.limits import BATCH_FRAME_BYTES_MAX, BATCH_RAW_BYTES_MAX, BATCH_RECORDS_MAX
from shared.wire.stream import Refusal, RefusalCode

HEAD = b"h" * 32


def refusal(code: RefusalCode, epoch: int = 1) -> Refusal:
    return Refusal(code=code, epoch=epoch, seq=5, hash=HEAD, detail="")


@pytest.mark.parametrize(
    ("count", "record"),
    [
        (3, b"small"),
        (BATCH_RECORDS_MAX + 1, b"x"),
        (30, b"y" * 100_000),
        (30, os.urandom(20_000)),
    ],
    ids=["few", "many", "large", "incompressible"],
)
def test_batch_keeps_every_bound_and_chains(count: int, record: bytes) -> None:
    """A batch is a prefix of what waits, within all bounds, with the chain's hashes."""
    records = [record + os.urandom(10_000 if len(record) == 20_000 else 1) for _ in range(count)]
    batch = make_batch(records, first_seq=11, previous_hash=HEAD)
    sent = msgspec.msgpack.decode(zstandard.decompress(batch.frame), type=list[bytes])

    assert sent == records[: len(sent)]
    assert 1 <= len(sent) <= BATCH_RECORDS_MAX
    assert batch.raw_bytes <= BATCH_RAW_BYTES_MAX
    assert len(batch.frame) <= BATCH_FRAME_BYTES_MAX
    assert (batch.first_seq, batch.last_seq) == (11, 10 + len(sent))
    assert batch.last_hash == chain_fold(HEAD, sent)


def test_gap_is_sent_again_and_everything_else_stops() -> None:
    """Only missing records are mended without a person; forks and fences are not."""
    assert step_after(refusal(RefusalCode.GAP), 1) == Resend(seq=5, hash=HEAD)
    others = [code for code in RefusalCode if code is not RefusalCode.GAP]
    assert all(isinstance(step_after(refusal(code), 1), Stop) for code in others)
    assert isinstance(step_after(refusal(RefusalCode.GAP, epoch=2), 1), Stop)


def test_waits_grow_to_their_bound() -> None:
    """Each failure doubles the longest wait, up to the bound, however many there were."""
    longest = [backoff_bounds_s(n, min_s=1, max_s=300)[1] for n in (1, 2, 8, 9, 10_000)]

    assert longest == [2, 4, 256, 300, 300]

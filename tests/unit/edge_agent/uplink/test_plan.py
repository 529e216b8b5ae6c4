"""What is sent next, and what central's refusals mean."""

from __future__ import annotations

from edge_agent.uplink.plan import Resend, Stop, backoff_bounds_s, step_after
from shared.wire.stream import Refusal, RefusalCode

HEAD = b"h" * 32


def refusal(code: RefusalCode, epoch: int = 1) -> Refusal:
    return Refusal(code=code, epoch=epoch, seq=5, hash=HEAD, detail="")


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

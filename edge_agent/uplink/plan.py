"""What to send next, and what an answer of central's means. Pure.

An acknowledgement or a refusal becomes a step that the caller takes. A fork is never mended here:
the lane stops until a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.wire.stream import Refusal, RefusalCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Central holds the records up to ``seq``: check its hash, then send from the next."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The lane sends nothing more until a person decides; ``reason`` is for the operator."""

    reason: str


def step_after(refusal: Refusal, epoch: int) -> Resend | Stop:
    """What a refusal asks of the lane, whose epoch here is ``epoch``."""
    if refusal.code is RefusalCode.GAP and refusal.epoch == epoch:
        return Resend(seq=refusal.seq, hash=refusal.hash)
    return Stop(reason=f"central refused the stream: {refusal.code.value}; {refusal.detail}")


def backoff_bounds_s(failures: int, *, min_s: float, max_s: float) -> tuple[float, float]:
    """Between what to draw the next wait (full jitter) after so many failures in a row."""
    assert failures > 0, "there is nothing to wait for"
    return min_s, max(min_s, min(max_s, min_s * 2 ** min(failures, 30)))

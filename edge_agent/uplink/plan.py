"""What to send when, and what an answer of central's means. Pure.

Money goes at once and takes everything else with it; receipts wait for company, but not for long.
An acknowledgement or a refusal becomes a step that the caller takes. A fork is never mended here:
the lane stops until central orders what is to become of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.wire.enrol import HelloOrder, HelloReply, LaneHead
from shared.wire.stream import Lane, Refusal, RefusalCode

FLUSH_RECORDS: Final = 20
"""So many receipts share a request that its own bytes weigh little."""
FLUSH_JITTER: Final = 0.2
"""By how much an interval is drawn longer or shorter, so that shops do not keep in step."""
LONG_OUTAGE_S: Final = 600.0
"""After so long it was not this shop's line alone, and all of them come back together."""
_PRIORITY: Final = (Lane.MONEY, Lane.AUDIT, Lane.RECEIPTS, Lane.TELEMETRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in a lane, and since when, on the monotonic clock, something does."""

    lane: int
    count: int
    since_ns: int


def flush_wait_ns(waiting: Sequence[Waiting], now_ns: int, interval_ns: int) -> int | None:
    """How long to wait before sending; 0: now, all lanes together; None: nothing waits."""
    left = [
        0
        if each.lane == Lane.MONEY or (each.lane == Lane.RECEIPTS and each.count >= FLUSH_RECORDS)
        else max(each.since_ns + interval_ns - now_ns, 0)
        for each in waiting
        if each.count
    ]
    return min(left, default=None)


def send_rank(lane: int, *, current: bool) -> tuple[int, bool]:
    """Sorts streams by what is sent first: money, audit, receipts, telemetry; the present first."""
    return _PRIORITY.index(Lane(lane)), not current


def flush_bounds_s(interval_s: float) -> tuple[float, float]:
    """Between what to draw the next interval."""
    return interval_s * (1 - FLUSH_JITTER), interval_s * (1 + FLUSH_JITTER)


def backoff_bounds_s(
    failures: int,
    *,
    min_s: float,
    max_s: float,
    outage_s: float = 0.0,
    reconnect_window_s: float = 0.0,
) -> tuple[float, float]:
    """Between what to draw the next wait (full jitter) after so many failures in a row.

    After a long outage the whole window is drawn from, so that shops that lost central together do
    not find it together.
    """
    assert failures > 0, "there is nothing to wait for"
    longest_s = max(min_s, min(max_s, min_s * 2 ** min(failures, 30)))
    if outage_s > LONG_OUTAGE_S:
        longest_s = max(longest_s, reconnect_window_s)
    return min_s, longest_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Central holds the records up to ``seq``: check its hash, then send from the next."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The stream sends nothing more until central orders something; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOn:
    """Central cannot take this older stream: its facts go into the present epoch."""

    reason: str


def step_after(refusal: Refusal, epoch: int, *, current: bool = True) -> Resend | Stop | CarryOn:
    """What a refusal asks of a stream, whose epoch here is ``epoch``."""
    if refusal.code is RefusalCode.GAP and refusal.epoch == epoch:
        return Resend(seq=refusal.seq, hash=refusal.hash)
    reason = f"central refused the stream: {refusal.code.value}; {refusal.detail}"
    return Stop(reason=reason) if current else CarryOn(reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoOn:
    """Compare the heads and send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginEpoch:
    """Begin the streams that the reply names; leases of older epochs are dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove:
    """Number and spend nothing; say hello again, ``at_once`` where there is something to add."""

    at_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A person has to enrol this agent again; ``reason`` is for that person."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wipe:
    """Forget keys, customers and leases; keep the records."""


def step_after_hello(
    reply: HelloReply, *, epoch: int, recovering: bool, told: Sequence[LaneHead]
) -> GoOn | BeginEpoch | Prove | Halt | Wipe:
    """What central's order asks. ``told``: its heads as the hello could prove itself at them."""
    if reply.order is HelloOrder.WIPE:
        return Wipe()
    if reply.order is HelloOrder.REENROL:
        return Halt(reason=reply.detail or "central has another agent in the place of this one")
    if reply.order is HelloOrder.RECOVER:
        if reply.starts and reply.starts[0].epoch > epoch:
            return BeginEpoch()
        return Prove(at_once=not recovering or list(told) != list(reply.heads))
    return GoOn()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Central has more than this database ever had, or something else: it is an old copy."""

    reason: str


def step_after_heads(
    theirs: LaneHead, *, epoch: int, seq: int, acked_before: int, acked_now: int
) -> Resend | Stop | Behind | None:
    """What central's head of a lane asks. ``acked_before``: when the hello was written.

    A batch may have overtaken the hello, so a head between the two marks says nothing new; one
    below the first says that central was restored from a copy.
    """
    if theirs.epoch != epoch:
        return Stop(reason=f"central is at epoch {theirs.epoch}, this agent at {epoch}")
    if theirs.seq > seq:
        return Behind(reason="behind_central")
    if theirs.seq < acked_before or theirs.seq > acked_now:
        return Resend(seq=theirs.seq, hash=theirs.hash)
    return None

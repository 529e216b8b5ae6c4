"""When a till still asks its hub: a breaker, so that a dead hub costs no customer a second. Pure.

Three failures in a row open it for fifteen seconds; then one call is let through as a probe, and
its outcome closes the breaker or opens it again. After each single failure a till rests, so that
the call of the cashier's whose question it was waits for the hub once and no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

FAILURES_MAX: Final = 3
OPEN_NS: Final = 15 * 1_000_000_000
PROBE_NS: Final = 5 * 1_000_000_000
"""A probe that never reports (its caller was cut off) holds the others off no longer than this."""
REST_NS: Final = 1_000_000_000
"""With the second that the question itself took, as long as a cashier ever waits for the hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """``open_until_mono_ns`` None: closed. ``failed_mono_ns``: the last failure since a success."""

    failures: int = 0
    open_until_mono_ns: int | None = None
    probe_until_mono_ns: int | None = None
    failed_mono_ns: int | None = None


def may_call(breaker: Breaker, mono_ns: int) -> tuple[bool, Breaker]:
    """Whether a call may go out now, and the breaker after it has."""
    if breaker.open_until_mono_ns is None:
        return True, breaker
    probing = breaker.probe_until_mono_ns is not None and mono_ns < breaker.probe_until_mono_ns
    if mono_ns < breaker.open_until_mono_ns or probing:
        return False, breaker
    return True, replace(breaker, probe_until_mono_ns=mono_ns + PROBE_NS)


def rests(breaker: Breaker, mono_ns: int) -> bool:
    """Whether a call failed so lately that who waits for several answers should ask no more."""
    return breaker.failed_mono_ns is not None and mono_ns - breaker.failed_mono_ns < REST_NS


def after_success(_breaker: Breaker) -> Breaker:
    """The hub answered."""
    return Breaker()


def after_failure(breaker: Breaker, mono_ns: int) -> Breaker:
    """The hub did not answer, or not in time."""
    failures = breaker.failures + 1
    if failures < FAILURES_MAX and breaker.open_until_mono_ns is None:
        return replace(breaker, failures=failures, failed_mono_ns=mono_ns)
    return Breaker(failures=failures, open_until_mono_ns=mono_ns + OPEN_NS, failed_mono_ns=mono_ns)

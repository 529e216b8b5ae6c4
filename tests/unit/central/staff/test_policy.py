"""The throttle of sign-ins."""

from __future__ import annotations

from central.staff.policy import FAILURES_MAX, WINDOW_MS, Throttle


def test_too_many_failures_wait_until_the_window_has_passed() -> None:
    """One key waits, another does not, and time heals."""
    throttle = Throttle()
    for _ in range(FAILURES_MAX):
        assert throttle.wait_ms("a", 0) == 0
        throttle.note_failure("a", 0)
    assert throttle.wait_ms("a", 1) == WINDOW_MS - 1
    assert throttle.wait_ms("b", 1) == 0
    assert throttle.wait_ms("a", WINDOW_MS) == 0

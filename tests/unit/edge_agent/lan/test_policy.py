"""When a till asks its hub, and when it leaves it alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.lan.policy import (
    FAILURES_MAX,
    OPEN_NS,
    PROBE_NS,
    Breaker,
    after_failure,
    after_success,
    may_call,
)
from tests.support.examples import examples


def failed(times: int, mono_ns: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker = after_failure(breaker, mono_ns)
    return breaker


def test_three_failures_open_it_and_one_probe_goes_through_afterwards() -> None:
    """Nobody waits for a dead hub; after fifteen seconds one call finds out, the others do not."""
    assert may_call(failed(FAILURES_MAX - 1), 0)[0]
    breaker = failed(FAILURES_MAX)
    assert not may_call(breaker, OPEN_NS - 1)[0]
    allowed, probing = may_call(breaker, OPEN_NS)
    assert allowed
    assert not may_call(probing, OPEN_NS + 1)[0]
    assert not may_call(after_failure(probing, OPEN_NS), 2 * OPEN_NS - 1)[0]
    assert may_call(after_success(probing), OPEN_NS + 1) == (True, Breaker())


def test_probe_that_never_reports_is_followed_by_another() -> None:
    """A caller that was cut off does not keep the hub away for ever."""
    _, probing = may_call(failed(FAILURES_MAX), OPEN_NS)
    assert may_call(probing, OPEN_NS + PROBE_NS)[0]


@given(st.lists(st.tuples(st.integers(0, OPEN_NS // 2), st.booleans()), max_size=60))
@examples(100)
def test_dead_hub_costs_few_calls(steps: list[tuple[int, bool]]) -> None:
    """Of calls that all fail, at most three go out in any fifteen seconds."""
    breaker, now_ns, sent = Breaker(), 0, []
    for passed_ns, reports in steps:
        now_ns += passed_ns
        allowed, breaker = may_call(breaker, now_ns)
        if allowed:
            sent.append(now_ns)
            if reports or breaker.open_until_mono_ns is None:
                breaker = after_failure(breaker, now_ns)
    for first, later in zip(sent[FAILURES_MAX:], sent[FAILURES_MAX + 1 :], strict=False):
        assert later - first >= min(OPEN_NS, PROBE_NS)

"""Percentiles of a histogram that does not grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.kit.figures import STEPS, Figures

TIMES = st.lists(st.integers(0, 100_000_000), min_size=1, max_size=200)


@given(times=TIMES, percent=st.integers(1, 100))
def test_percentile_is_the_sorted_one_to_a_bucket(times: list[int], percent: int) -> None:
    """Never too short, and at most a thirty-second too long; small times are exact."""
    figures = Figures()
    for took_us in times:
        figures.add(took_us)
    exact = sorted(times)[-(-len(times) * percent // 100) - 1]
    found = figures.percentile_us(percent)
    assert exact <= found <= exact + exact // STEPS
    assert figures.percentile_us(100) == figures.longest_us == max(times)
    assert figures.count == len(times)


def test_buckets_are_few_whatever_comes() -> None:
    """A call may take from a microsecond to an hour."""
    figures = Figures()
    for took_us in range(0, 3_600_000_000, 1_000_003):
        figures.add(took_us)
    assert len(figures._buckets) <= STEPS * 32


def test_nothing_measured_is_nought() -> None:
    assert Figures().percentile_us(99) == 0

"""Who looks too many phones up waits, longer each time, and a calm day makes it good again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.members.policy import (
    ASKED_MAX,
    BLOCK_MS,
    BLOCK_MS_MAX,
    DAY_MS,
    MINUTE_MS,
    MISSED_MAX,
    SHOP,
    SHOP_ASKED_MAX,
    Count,
    after_asking,
    after_missing,
    subjects_of,
    wait_ms,
)

TILL = "till R1"
NOW_MS = 1_790_000_000_000


def guessed(count: Count, now_ms: int, times: int) -> Count:
    """So many phones that nobody has, one after the other."""
    for _ in range(times):
        count = after_missing(TILL, after_asking(TILL, count, now_ms), now_ms)
    return count


def test_customers_who_misremember_block_nobody() -> None:
    count = guessed(Count(), NOW_MS, MISSED_MAX - 1)
    assert wait_ms(count, NOW_MS) == 0


def test_guessing_waits_twice_as_long_each_time_up_to_an_hour() -> None:
    count, now_ms, waits = Count(), NOW_MS, []
    for _ in range(9):
        count = guessed(count, now_ms, MISSED_MAX)
        waits.append(wait_ms(count, now_ms))
        now_ms = count.blocked_until_ms
        assert wait_ms(count, now_ms) == 0
    assert waits == [min(BLOCK_MS * 2**turn, BLOCK_MS_MAX) for turn in range(9)]


def test_calm_day_makes_it_good_again() -> None:
    count = guessed(guessed(Count(), NOW_MS, MISSED_MAX), NOW_MS + MINUTE_MS, MISSED_MAX)
    later_ms = count.blocked_until_ms + DAY_MS
    count = guessed(count, later_ms, MISSED_MAX)
    assert wait_ms(count, later_ms) == BLOCK_MS


@given(st.lists(st.integers(0, 10_000), max_size=200))
def test_no_till_asks_more_than_its_bound_in_a_minute(gaps_ms: list[int]) -> None:
    """Whatever the moments, a window of a minute holds at most the bound twice."""
    count, now_ms, asked = Count(), NOW_MS, []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if wait_ms(count, now_ms) == 0:
            asked.append(now_ms)
            count = after_asking(TILL, count, now_ms)
    for begun_ms in asked:
        inside = [each for each in asked if begun_ms <= each < begun_ms + MINUTE_MS]
        assert len(inside) < 2 * ASKED_MAX


def test_shop_is_bounded_and_not_blocked_for_others_guesses() -> None:
    count = Count()
    for _ in range(SHOP_ASKED_MAX - 1):
        count = after_missing(SHOP, after_asking(SHOP, count, NOW_MS), NOW_MS)
    assert wait_ms(count, NOW_MS) == 0
    assert wait_ms(after_asking(SHOP, count, NOW_MS), NOW_MS) == BLOCK_MS


def test_till_cashier_and_shop_are_counted() -> None:
    assert subjects_of("R1", None, None) == [SHOP, "till R1"]
    assert subjects_of("common", "5", "7") == [SHOP, "till common 5", "cashier 7"]

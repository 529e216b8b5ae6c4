"""What is old goes from the front, and a wrong clock's date neither keeps it nor takes others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.clock.policy import old_at_front
from tests.support.examples import examples

BEFORE, AHEAD = 100, 200
_DATES = st.lists(st.integers(0, 300), max_size=30)


@examples(300)
@given(dates=_DATES)
def test_only_what_is_old_or_a_wrong_clock_s_goes(dates: list[int]) -> None:
    """No young row goes, the last that goes is old, and the next that is dated well is young."""
    count = old_at_front(dates, BEFORE, AHEAD)

    assert not any(BEFORE <= date <= AHEAD for date in dates[:count])
    assert count == 0 or dates[count - 1] < BEFORE
    stays = [date for date in dates[count:] if date <= AHEAD]
    assert not stays or stays[0] >= BEFORE


@examples(300)
@given(dates=_DATES, cut=st.integers(0, 30))
def test_a_part_of_the_rows_says_what_all_say(dates: list[int], cut: int) -> None:
    """Looking at some rows, and at the first well dated one behind, takes no other rows."""
    behind = next((date for date in dates[cut:] if date <= AHEAD), None)

    count = old_at_front(dates[:cut], BEFORE, AHEAD, behind)
    assert count == min(old_at_front(dates, BEFORE, AHEAD), cut, len(dates))


@pytest.mark.parametrize(
    ("dates", "count"),
    [([300, 1, 2, 150], 3), ([1, 300, 150], 1), ([1, 300, 300], 1), ([300], 0), ([150, 1], 0)],
)
def test_row_dated_ahead_goes_with_what_is_behind_it(dates: list[int], count: int) -> None:
    """It is as old as the next old row; where none follows, it waits."""
    assert old_at_front(dates, BEFORE, AHEAD) == count

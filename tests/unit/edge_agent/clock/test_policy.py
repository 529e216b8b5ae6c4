"""Trusted time never goes back, follows the boot clock, and is not led astray by the wall clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.clock.policy import (
    OFF_ALLOWANCE_MS,
    OFF_PER_ON,
    Floor,
    Reading,
    floor_after,
    floor_at_start,
    floor_told,
    jump_ms,
    shop_time_ms,
)
from edge_agent.clock.trusted import TrustedClock
from shared.status import Health
from tests.support.clocks import FakeClock
from tests.support.examples import examples

DAY_MS = 24 * 3_600_000
NOW_MS = 1_790_000_000_000
_MOVES = st.one_of(
    st.tuples(st.just("sleep"), st.integers(0, 10**12)),
    st.tuples(st.just("wall"), st.integers(0, 4_300_000_000_000)),
    st.tuples(st.just("central"), st.integers(NOW_MS - DAY_MS, NOW_MS + 100 * DAY_MS)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("reboot"), st.integers(0, 10**11)),
)


@examples(300)
@given(moves=st.lists(_MOVES, max_size=40))
def test_trusted_time_never_goes_back(moves: list[tuple[str, int]]) -> None:
    """I12: whatever is done to wall clock, process and machine."""
    clock = FakeClock(wall_ms=NOW_MS)
    trusted = TrustedClock(clock)
    last_ms = trusted.trusted_now_ms()
    for move, value in moves:
        kept = trusted.floor()
        if move == "sleep":
            clock.advance_ms(value % (2 * DAY_MS))
        elif move == "wall":
            clock.wall_ms = value
        elif move == "central":
            trusted.note_central(value)
        else:
            if move == "reboot":
                clock.reboot(off_ms=value)
            trusted = TrustedClock(clock, kept)
        now_ms = trusted.trusted_now_ms()
        assert now_ms >= last_ms
        last_ms = now_ms


@examples(300)
@given(
    wall_ms=st.integers(0, 4_300_000_000_000),
    slept_ms=st.integers(0, 100 * DAY_MS),
    same_boot=st.booleans(),
)
def test_wall_clock_alone_moves_it_by_a_day_at_most(
    wall_ms: int, slept_ms: int, same_boot: bool
) -> None:
    """One that says 2038 ends no lease at once; while the machine runs it counts for nothing."""
    kept = Floor(floor_ms=NOW_MS, boot_id="a", boot_ns=5)
    reading = Reading(
        wall_ms=wall_ms, boot_ns=5 + slept_ms * 10**6, boot_id="a" if same_boot else "b"
    )
    moved_ms = floor_at_start(kept, reading).floor_ms - NOW_MS

    if same_boot:
        assert moved_ms == slept_ms
    else:
        assert moved_ms == min(max(wall_ms - NOW_MS, 0), OFF_ALLOWANCE_MS)


@examples(100)
@given(steps=st.lists(st.integers(0, 5_000_000), max_size=50))
def test_boot_clock_is_followed_without_loss(steps: list[int]) -> None:
    """Many small readings come to the same as one large."""
    floor = Floor(floor_ms=0, boot_id="a", boot_ns=0)
    boot_ns = 0
    for step in steps:
        boot_ns += step
        floor = floor_after(floor, boot_ns)

    assert floor.floor_ms == boot_ns // 10**6


def test_central_moves_it_ahead_only() -> None:
    """An earlier time than trusted is no news."""
    floor = Floor(floor_ms=100, boot_id="a", boot_ns=0)

    assert floor_told(floor, 99).floor_ms == 100
    assert floor_told(floor, 500).floor_ms == 500


def test_machine_that_does_not_name_its_start_is_taken_for_restarted() -> None:
    """Without a boot id the boot clock cannot be compared."""
    kept = Floor(floor_ms=NOW_MS, boot_id="", boot_ns=0)
    reading = Reading(wall_ms=NOW_MS + 5, boot_ns=10**18, boot_id="")

    assert floor_at_start(kept, reading).floor_ms == NOW_MS + 5


def test_jump_of_the_wall_clock_is_told_from_sleep() -> None:
    """Suspended time is counted by the boot clock; only a set clock is a jump."""
    before = Reading(wall_ms=0, boot_ns=0, boot_id="a")

    assert jump_ms(before, Reading(wall_ms=600_000, boot_ns=600 * 10**9, boot_id="a")) == 0
    assert jump_ms(before, Reading(wall_ms=-DAY_MS, boot_ns=0, boot_id="a")) == -DAY_MS


def test_highest_floor_of_all_media_counts() -> None:
    """A database put back from a copy does not put trusted time back."""
    clock = FakeClock(wall_ms=5)
    old = Floor(floor_ms=NOW_MS, boot_id="x", boot_ns=0)
    new = Floor(floor_ms=NOW_MS + DAY_MS, boot_id="x", boot_ns=0)

    assert TrustedClock(clock, old, None, new).trusted_now_ms() == NOW_MS + DAY_MS


@pytest.mark.parametrize(
    ("wall_ms", "central_ms", "expected_ms"),
    [
        (NOW_MS + 60_000, None, NOW_MS + 60_000),
        (NOW_MS - 60_000, None, NOW_MS - 60_000),
        # It went back, or was never set.
        (NOW_MS - DAY_MS, None, NOW_MS),
        (0, None, NOW_MS),
        # The shop was closed for a month; trusted time knows of one day only.
        (NOW_MS + 30 * DAY_MS, None, NOW_MS + 30 * DAY_MS),
        # Central spoke: it alone counts, also where trusted time was once pushed ahead.
        (NOW_MS + 30 * DAY_MS, NOW_MS, NOW_MS),
        (NOW_MS - 30 * DAY_MS, NOW_MS - 30 * DAY_MS, NOW_MS - 30 * DAY_MS),
        (0, NOW_MS - 30 * DAY_MS, NOW_MS - 30 * DAY_MS),
        (NOW_MS - 60_000, NOW_MS, NOW_MS - 60_000),
    ],
)
def test_shop_dates_by_the_clock_that_can_be_believed(
    wall_ms: int, central_ms: int | None, expected_ms: int
) -> None:
    """The wall clock while it is near; else what is better known."""
    assert shop_time_ms(wall_ms, NOW_MS, central_ms) == expected_ms


def test_central_word_goes_on_with_the_boot_clock() -> None:
    """However the wall clock is set after it."""
    clock = FakeClock(wall_ms=NOW_MS)
    trusted = TrustedClock(clock)
    trusted.note_central(NOW_MS + 5 * DAY_MS)
    clock.advance_ms(10_000)
    assert trusted.shop_now_ms() == NOW_MS + 5 * DAY_MS + 10_000
    clock.wall_ms = NOW_MS + 5 * DAY_MS + 11_000
    assert trusted.shop_now_ms() == clock.wall_ms
    clock.wall_ms = 0
    assert trusted.shop_now_ms() == NOW_MS + 5 * DAY_MS + 10_000


@examples(300)
@given(
    boots=st.lists(
        st.tuples(st.integers(0, 2 * DAY_MS), st.integers(0, 4_300_000_000_000)), max_size=30
    ),
    ahead_ms=st.integers(0, 2 * DAY_MS),
)
def test_power_cuts_under_a_wrong_clock_do_not_add_up(
    boots: list[tuple[int, int]], ahead_ms: int
) -> None:
    """However often: a day beyond central's word, and twice what the boot clock counted since."""
    floor = floor_told(Floor(floor_ms=NOW_MS + ahead_ms, boot_id="", boot_ns=0), NOW_MS)
    on_ms = 0
    for number, (ran_ms, wall_ms) in enumerate(boots):
        reading = Reading(wall_ms=wall_ms, boot_ns=0, boot_id=str(number))
        floor = floor_after(floor_at_start(floor, reading), ran_ms * 10**6)
        on_ms += ran_ms
        beyond_ms = floor.floor_ms - NOW_MS - on_ms
        assert beyond_ms <= max(OFF_ALLOWANCE_MS, ahead_ms) + OFF_PER_ON * on_ms


def test_fifteen_power_cuts_in_a_day_move_it_by_a_day() -> None:
    """The clock of the machine says 2046 at each of them."""
    floor = Floor(floor_ms=NOW_MS, boot_id="0", boot_ns=0)
    for number in range(1, 16):
        reading = Reading(wall_ms=NOW_MS + 7300 * DAY_MS, boot_ns=0, boot_id=str(number))
        floor = floor_at_start(floor, reading)
    assert floor.floor_ms == NOW_MS + OFF_ALLOWANCE_MS


def test_shop_that_is_open_for_eight_hours_a_day_stays_right_without_central() -> None:
    """Its nights count by a wall clock that is right, for as many days as it has no line."""
    real_ms, floor = NOW_MS, Floor(floor_ms=NOW_MS, boot_id="0", boot_ns=0)
    for day in range(1, 60):
        real_ms += 16 * 3_600_000
        reading = Reading(wall_ms=real_ms, boot_ns=0, boot_id=str(day))
        floor = floor_after(floor_at_start(floor, reading), 8 * 3_600 * 10**9)
        real_ms += 8 * 3_600_000
        assert floor.floor_ms == real_ms


def test_jumps_are_told_in_status_for_a_day() -> None:
    """Also one that was put right again, of which nothing is seen any more."""
    clock = FakeClock(wall_ms=NOW_MS)
    trusted = TrustedClock(clock)
    assert trusted.status().message == ""
    for moved_ms in (-30 * DAY_MS, 30 * DAY_MS):
        clock.wall_ms += moved_ms
        trusted.floor()
        clock.advance_ms(60_000)
    told = trusted.status()
    assert told.health is Health.WARN
    assert "moved 2 times since the start, by +2592000 s 1 min ago, by -2592000 s 2" in told.message
    for _ in range(20):
        clock.wall_ms += 5_000
        trusted.floor()
    assert trusted.status().message.count("ago") == 3
    clock.wall_ms -= 100_000
    trusted.floor()
    clock.advance_ms(DAY_MS + 1)
    assert trusted.status().health is Health.OK


def test_a_stop_between_two_clocks_is_no_jump() -> None:
    """A process is stopped for an hour after it asked one clock and before it asked the other."""

    class Stopped(FakeClock):
        stops: int = 0

        def now_ms(self) -> int:
            told = super().now_ms()
            if self.stops:
                self.stops -= 1
                self.advance_ms(3_600_000)
            return told

    clock = Stopped()
    trusted = TrustedClock(clock)
    clock.stops = 1
    trusted.floor()
    clock.advance_ms(1_000)
    trusted.floor()
    assert trusted.status().health is Health.OK

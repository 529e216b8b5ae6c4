"""Rules done wrong on purpose are found out again and again: the invariants see something."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import Fault, Scenario, Wrong

SEEDS_MAX: Final = 40
TIMES: Final = 2
"""A rule must be caught more than once, or it was luck."""
_TOWN: Final = Scenario(
    seed=0,
    stores=2,
    tills=0,
    days=1,
    members=3,
    receipts_per_day=40,
    term_hours=4,
    brisk=True,
    cap_points=100,
    plenty_points=150,
)
_ALONE: Final = (Fault.WEATHER, Fault.PARTITION, Fault.LONG_OFFLINE)


def caught(scenario: Scenario, sign: str) -> list[Outcome]:
    """So many towns in which the rule is seen by this sign; the right one breaks nothing there."""
    found = []
    for seed in range(SEEDS_MAX):
        outcome = simulate(replace(scenario, seed=seed))
        if any(sign in violation for violation in outcome.violations):
            right = simulate(replace(outcome.scenario, wrong=Wrong.NONE))
            assert not right.violations, right
            found.append(outcome)
            if len(found) == TIMES:
                return found
    raise AssertionError(f"{scenario.wrong.value}: {sign} was seen in {len(found)} towns")


def test_reclaim_by_time_overspends() -> None:
    """A lease taken back because its time is over was spent by a shop that was offline (I10)."""
    town = replace(_TOWN, faults=_ALONE, wrong=Wrong.RECLAIM_BY_TIME)
    for outcome in caught(town, "I10: a shortage"):
        assert outcome.tally["members overspent"] > 0
        assert outcome.tally["points_shortage"] > 0, "central names every shortage"


def test_wall_clock_revives_leases() -> None:
    """A wall clock that is set back makes time go back (I12)."""
    caught(replace(_TOWN, faults=(Fault.CLOCK,), wrong=Wrong.WALL_CLOCK), "went back")


def test_epochs_for_every_copy_are_a_war() -> None:
    """Two copies that may both go on take epochs from each other without end."""
    caught(replace(_TOWN, faults=(Fault.CLONE,), wrong=Wrong.EVERY_COPY_GOES_ON), "epochs")


def test_naive_feed_reader_misses_changes() -> None:
    """A reader by ``id > last`` never hears of what was written first and committed last."""
    caught(replace(_TOWN, members=20, wrong=Wrong.NAIVE_FEED), "feed: ")


@pytest.mark.parametrize("fault", [Fault.PARTITION, Fault.CLOCK, Fault.CLONE])
def test_right_rules_break_nothing(fault: Fault) -> None:
    assert not simulate(replace(_TOWN, seed=7, faults=(fault,))).violations

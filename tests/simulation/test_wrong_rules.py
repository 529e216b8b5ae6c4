"""Rules done wrong on purpose are found out within so many seeds: the invariants see something."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import Fault, Scenario, Wrong

SEEDS_MAX: Final = 40
_TOWN: Final = Scenario(seed=0, days=1, stores=2, tills=0, members=3, receipts_per_day=16)


def caught(scenario: Scenario) -> Outcome:
    """The first town in which the wrong rule breaks something; the right rule breaks nothing."""
    for seed in range(SEEDS_MAX):
        outcome = simulate(replace(scenario, seed=seed))
        if outcome.violations:
            right = simulate(replace(outcome.scenario, wrong=Wrong.NONE))
            assert not right.violations, right
            return outcome
    raise AssertionError(f"{scenario.wrong.value} was not found out in {SEEDS_MAX} towns")


def test_reclaim_by_time_overspends() -> None:
    """A lease taken back because its time is over is spent by a shop that was offline (I10)."""
    outcome = caught(
        replace(_TOWN, term_hours=4, faults=(Fault.PARTITION,), wrong=Wrong.RECLAIM_BY_TIME)
    )
    assert any(text.startswith("I10") for text in outcome.violations), outcome


def test_wall_clock_revives_leases() -> None:
    """A wall clock that is set back makes time go back (I12)."""
    outcome = caught(replace(_TOWN, faults=(Fault.CLOCK,), wrong=Wrong.WALL_CLOCK))
    assert any(text.startswith("I12") for text in outcome.violations), outcome


def test_epochs_for_every_copy_are_a_war() -> None:
    """Two copies that may both go on take epochs from each other without end."""
    outcome = caught(replace(_TOWN, faults=(Fault.CLONE,), wrong=Wrong.EVERY_COPY_GOES_ON))
    assert any("epochs" in text for text in outcome.violations), outcome


def test_naive_feed_reader_misses_changes() -> None:
    """A reader by ``id > last`` never hears of what was written first and committed last."""
    outcome = caught(replace(_TOWN, wrong=Wrong.NAIVE_FEED))
    assert any(text.startswith("feed") for text in outcome.violations), outcome


@pytest.mark.parametrize("fault", [Fault.PARTITION, Fault.CLOCK, Fault.CLONE])
def test_right_rules_break_nothing(fault: Fault) -> None:
    assert not simulate(replace(_TOWN, seed=7, term_hours=4, faults=(fault,))).violations

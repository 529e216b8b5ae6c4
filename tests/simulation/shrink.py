"""Find less trouble that breaks an invariant all the same."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tests.simulation.run import simulate
from tests.simulation.scenario import Scenario

RUNS_MAX = 60


def shrink(scenario: Scenario) -> Scenario:
    """A scenario that fails, from which no trouble can be left out and nothing be taken away."""
    runs = 0
    found = scenario
    while True:
        for smaller in _smaller(found):
            runs += 1
            if runs > RUNS_MAX:
                return found
            if simulate(smaller).violations:
                found = smaller
                break
        else:
            return found


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    for fault in scenario.faults:
        yield replace(scenario, faults=tuple(each for each in scenario.faults if each != fault))
    for name, least in (("days", 1), ("stores", 1), ("members", 2), ("tills", 0)):
        number = getattr(scenario, name)
        if number > least:
            yield replace(scenario, **{name: number - 1})
    if scenario.receipts_per_day > 4:
        yield replace(scenario, receipts_per_day=scenario.receipts_per_day // 2)

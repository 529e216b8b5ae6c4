"""What a night of seeds is made of: every event, and every two of them together, many times."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from typing import Final

from tests.simulation.scenario import Fault, Scenario, scenario_of
from tests.simulation.troubles import TROUBLES

NIGHT: Final = 10_000
EACH_MIN: Final = 1_000
PAIR_MIN: Final = 100
KIND_MIN: Final = 100
"""Of every event in every kind of town."""
_ALWAYS: Final = frozenset({Fault.WEATHER, Fault.CRASH})


def test_every_event_and_every_two_of_them_come_often_enough_in_a_night() -> None:
    """Alone, in pairs, and in every kind of town: tills, write-offs, caps, much to lose."""
    events: Counter[Fault] = Counter()
    pairs: Counter[frozenset[Fault]] = Counter()
    kinds: Counter[tuple[Fault, str, object]] = Counter()
    for seed in range(NIGHT):
        scenario = scenario_of(seed)
        assert set(scenario.faults) >= _ALWAYS
        others = [fault for fault in scenario.faults if fault not in _ALWAYS]
        events.update(others)
        pairs.update(map(frozenset, combinations(others, 2)))
        kinds.update((fault, *kind) for fault in others for kind in _kinds_of(scenario))
    drawn = [fault for fault in Fault if fault not in _ALWAYS]
    assert min(events[fault] for fault in drawn) >= EACH_MIN, events
    assert min(pairs[frozenset(pair)] for pair in combinations(drawn, 2)) >= PAIR_MIN, pairs
    wanted = product(drawn, sorted({kind[1:] for kind in kinds}, key=str))
    assert min(kinds[fault, *kind] for fault, kind in wanted) >= KIND_MIN, kinds


def test_every_event_is_a_trouble_that_towns_know() -> None:
    assert set(TROUBLES) == set(Fault)


def _kinds_of(scenario: Scenario) -> list[tuple[str, object]]:
    return [
        ("tills", scenario.tills),
        ("stores", scenario.stores),
        ("write_off", scenario.write_off_hours > 0),
        ("cap", scenario.cap_points > 0),
        ("plenty", scenario.plenty_points > 0),
    ]

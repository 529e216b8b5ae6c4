"""Central, hub and till of two releases, in every mixture: a day passes, and all is well."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Final

import pytest

from shared.frames import LAYOUT_COLUMNS, LAYOUT_RECORDS
from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, Program, Scenario

MIXTURES: Final = list(chain.from_iterable(combinations(Program, n) for n in range(4)))


@pytest.mark.parametrize("old", MIXTURES, ids=lambda old: "+".join(old) or "nobody")
def test_old_and_new_programs_get_along(old: tuple[Program, ...]) -> None:
    """What can be said in the newer way is, what cannot is said in the older; nothing is lost."""
    outcome = simulate(
        Scenario(
            seed=1,
            days=1,
            stores=2,
            tills=1,
            receipts_per_day=20,
            brisk=True,
            faults=(Fault.WEATHER, Fault.PARTITION, Fault.CRASH),
            first_release=old,
        )
    )
    assert not outcome.violations, outcome
    assert outcome.tally["spends"] > 0, "or nothing was tried"
    for program in (Program.HUB, Program.TILL):
        is_old = {program, Program.CENTRAL} & set(old)
        assert outcome.layouts[program] == [LAYOUT_RECORDS if is_old else LAYOUT_COLUMNS]

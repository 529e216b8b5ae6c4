"""Towns in trouble: central, hubs and tills run the real code, and no invariant breaks.

``KOPILKA_SEEDS`` says how many towns; a failing one is printed as its scenario with the end of its
trace, and ``python -m tests.simulation SEED`` runs it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, Scenario, scenario_of

SEEDS: Final = int(os.environ.get("KOPILKA_SEEDS", "300"))
FIRST_SEED: Final = int(os.environ.get("KOPILKA_FIRST_SEED", "0"))
CHUNK: Final = 10
"""Seeds in one test, so that processes share them evenly."""
REGRESSIONS: Final = sorted((Path(__file__).parent / "regressions").glob("*.json"))


@pytest.mark.parametrize("chunk", range((SEEDS + CHUNK - 1) // CHUNK))
def test_invariants_hold_whatever_befalls_a_town(chunk: int) -> None:
    """I1 to I12 of docs/simulation.md, for the towns of so many seeds."""
    first = FIRST_SEED + chunk * CHUNK
    for seed in range(first, min(first + CHUNK, FIRST_SEED + SEEDS)):
        outcome = simulate(scenario_of(seed))
        assert not outcome.violations, f"seed {seed}\n{outcome}"


@pytest.mark.parametrize("path", REGRESSIONS, ids=[path.stem for path in REGRESSIONS])
def test_what_once_failed_holds(path: Path) -> None:
    """Every scenario that found a fault stays."""
    outcome = simulate(msgspec.json.decode(path.read_bytes(), type=Scenario))
    assert not outcome.violations, outcome


@pytest.mark.parametrize("seed", [1, 2])
def test_same_seed_is_the_same_run_bit_for_bit(seed: int) -> None:
    """In this process, and in others that order their sets otherwise."""
    scenario = Scenario(seed=seed, days=1, stores=2, tills=1, faults=tuple(Fault))
    here = simulate(scenario).digest
    assert simulate(scenario).digest == here
    for hash_seed in ("0", "1"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--digest", encoded(scenario)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert told.stdout.split() == [here]


def test_another_seed_is_another_run() -> None:
    assert simulate(scenario_of(1)).digest != simulate(scenario_of(2)).digest


def encoded(scenario: Scenario) -> str:
    return msgspec.json.encode(scenario).decode()

"""Run towns by hand: ``python -m tests.simulation SEED...``, or a scenario as JSON.

``--table N`` runs N towns of every kind of event and prints what came out, ``--row TEXT`` those of
rows with such a name alone; ``--trace`` prints
everything that happened, ``--shrink`` looks for less of it that fails all the same, ``--digest``
prints only the hash of the trace.
"""

from __future__ import annotations

import argparse
import sys

import msgspec

from tests.simulation.run import scenario_text, simulate
from tests.simulation.scenario import Scenario, scenario_of
from tests.simulation.shrink import shrink
from tests.simulation.table import print_table


def main() -> int:
    """0 when no invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("what", nargs="*", help="seeds, or scenarios as JSON")
    parser.add_argument("--table", type=int, metavar="N")
    parser.add_argument("--row", default="", metavar="TEXT")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--digest", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        return 0 if print_table(arguments.table, arguments.row) else 1
    failed = 0
    for what in arguments.what:
        outcome = simulate(_scenario(what), keep_trace=arguments.trace)
        if arguments.digest:
            print(outcome.digest)
            continue
        if arguments.shrink and outcome.violations:
            outcome = simulate(shrink(outcome.scenario), keep_trace=arguments.trace)
        if arguments.trace:
            print("\n".join(outcome.trace))
        print(scenario_text(outcome.scenario), outcome.digest[:16], dict(outcome.tally))
        print("\n".join(outcome.violations) or "every invariant held")
        failed += bool(outcome.violations)
    return 1 if failed else 0


def _scenario(what: str) -> Scenario:
    return scenario_of(int(what)) if what.isdigit() else msgspec.json.decode(what, type=Scenario)


if __name__ == "__main__":
    sys.exit(main())

"""How much of a shop's life passes in a minute of a processor? One store with its till, simulated.

A store-year is 365 days of one store with a hub and one till that sells 20 receipts a day, which is
a lean shop, with bad network and crashes, and leases of 14 days; idle agents say hello every six
hours. Prints a table with the events of the trace a second, and writes build/bench/simulator.json.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from support.measuring import FOLDER, ROOT

sys.path.insert(0, str(ROOT))  # the simulator lives among the tests
from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, Scenario

DAYS: Final = 60
RECEIPTS_PER_DAY: Final = 20
TARGET: Final = 1.0
"""Store-years in a CPU-minute, as FoundationDB's simulator gave the measure of its own."""


def measure() -> dict[str, Any]:
    """Simulate and count; CPU time, so that neighbours on the machine matter less."""
    scenario = Scenario(
        seed=1,
        days=DAYS,
        stores=1,
        tills=1,
        members=20,
        receipts_per_day=RECEIPTS_PER_DAY,
        term_hours=14 * 24,
        faults=(Fault.WEATHER, Fault.CRASH),
        calm=6,
        brisk=True,
    )
    began_s = time.process_time()
    outcome = simulate(scenario)
    spent_s = time.process_time() - began_s
    assert not outcome.violations, outcome
    events = sum(outcome.counts.values())
    return {
        "days": outcome.store_days,
        "receipts": outcome.tally["receipts"],
        "cpu_s": round(spent_s, 2),
        "events_per_cpu_s": round(events / spent_s),
        "store_years_per_cpu_minute": round(outcome.store_days / 365 / spent_s * 60, 2),
    }


def main() -> int:
    figures = measure()
    table = Table(box=box.SIMPLE_HEAD, title="A simulated store")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, str(value))
    Console().print(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "simulator.json").write_text(json.dumps(figures, indent=1))
    return 0 if figures["store_years_per_cpu_minute"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

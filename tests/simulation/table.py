"""Every kind of event by itself, many towns each: what the design's model said, what came out.

The towns are like the model's: a lease holds 100 points at most, every member has 150 and is given
more when less is left, leases are short and there are many sales, so that a day has as many chances
to lose something as the model's longer life.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, Scenario, Wrong

CHUNK: Final = 25
"""Towns in one piece of work, so that the processors share them evenly."""
COLUMNS: Final = ("violations", "overspent", "worst", "shortage", "unrecorded", "spends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of event. ``model``: what docs/simulation.md quotes."""

    name: str
    faults: tuple[Fault, ...]
    model: str
    write_off_hours: int = 0
    wrong: Wrong = Wrong.NONE


_OUTAGES: Final = (Fault.WEATHER, Fault.PARTITION, Fault.LONG_OFFLINE)
"""The network is bad whatever else befalls the towns, and a shop is alone longer than leases run.

Without that everything is found out at the next sale, and costs nothing.
"""
ROWS: Final = (
    Row(name="(wrong) reclaim by time", faults=_OUTAGES,
        model="1,044 overspent", wrong=Wrong.RECLAIM_BY_TIME),
    Row(name="nothing fails", faults=(), model="0"),
    Row(name="bad network, partitions, crashes", model="0", faults=(*_OUTAGES, Fault.CRASH)),
    Row(name="death between hold, print, capture", faults=(*_OUTAGES, Fault.TILL_CRASH),
        model="0"),
    Row(name="(wrong) wall clock", faults=(*_OUTAGES, Fault.CLOCK),
        model="6 overspent", write_off_hours=1, wrong=Wrong.WALL_CLOCK),
    Row(name="clock jumps, write-off", faults=(*_OUTAGES, Fault.CLOCK),
        model="2 overspent", write_off_hours=1),
    Row(name="clock jumps, hold", faults=(*_OUTAGES, Fault.CLOCK), model="0"),
    Row(name="machine lost, write-off", faults=(*_OUTAGES, Fault.LOST), model="198 overspent",
        write_off_hours=1),
    Row(name="machine lost, hold", faults=(*_OUTAGES, Fault.LOST),
        model="0; its spends unrecorded"),
    Row(name="cloned image", faults=(*_OUTAGES, Fault.CLONE), model="269 overspent, on shortage"),
    Row(name="put back, no witness", faults=(*_OUTAGES, Fault.RESTORE_BLIND),
        model="25 overspent"),
    Row(name="put back, witness", faults=(*_OUTAGES, Fault.RESTORE), model="0; 102 lost records"),
    Row(name="disk forgot its tail, witness", faults=(*_OUTAGES, Fault.LOST_TAIL), model="0"),
    Row(name="put back, second journal", faults=(*_OUTAGES, Fault.RESTORE_JOURNAL),
        model="0, 0 unrecorded"),
    Row(name="witness lost", faults=(*_OUTAGES, Fault.WIPED_WITNESS), model="0"),
    Row(name="leases told again", faults=(*_OUTAGES, Fault.REDELIVERY, Fault.RESTORE),
        model="0 (I9)"),
    Row(name="offline past the lease's end", faults=_OUTAGES, model="0"),
    Row(name="the same, write-off", faults=_OUTAGES, model="", write_off_hours=1),
    Row(name="returns", faults=(*_OUTAGES, Fault.RETURNS), model="0"),
    Row(name="members merged", faults=(*_OUTAGES, Fault.MERGE), model="0"),
    Row(name="poison records", faults=(*_OUTAGES, Fault.POISON), model="0"),
    Row(name="central crashes", faults=(*_OUTAGES, Fault.CENTRAL_CRASH), model="0"),
    Row(name="central as it was yesterday", faults=(*_OUTAGES, Fault.CENTRAL_RESTORED),
        model="(fault 46)"),
    Row(
        name="all but clones and blind restores",
        faults=tuple(
            fault
            for fault in Fault
            if fault not in {Fault.CLONE, Fault.RESTORE_BLIND, Fault.CENTRAL_RESTORED}
        ),
        model="0; 229 with lost spends",
    ),
)  # fmt: skip


def print_table(runs: int, only: str = "") -> bool:
    """Print the table, ``runs`` towns a row, as Markdown; whether the right rules broke nothing.

    ``only``: the rows whose name contains this.
    """
    print("| event | model | runs | " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---|" * (1 + len(COLUMNS)))
    well = True
    processes = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(processes) as pool:
        for row in [row for row in ROWS if only in row.name]:
            chunks = [range(first, min(first + CHUNK, runs)) for first in range(0, runs, CHUNK)]
            found: Counter[str] = Counter()
            worst = 0
            for part in pool.map(_count, [row] * len(chunks), chunks):
                worst = max(worst, part.pop("worst"))
                found += part
            found["worst"] = worst // 100
            well = well and (row.wrong is not Wrong.NONE or not found["violations"])
            cells = [row.name, row.model, runs, *(found[name] for name in COLUMNS)]
            print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
    return well


def town_of(row: Row, seed: int) -> Scenario:
    """A town of a row."""
    return Scenario(
        seed=seed,
        days=1,
        stores=2,
        tills=seed % 2,
        members=3,
        receipts_per_day=40,
        term_hours=4,
        faults=row.faults,
        write_off_hours=row.write_off_hours,
        brisk=True,
        cap_points=100,
        plenty_points=150,
        wrong=row.wrong,
    )


def _count(row: Row, seeds: range) -> Counter[str]:
    found: Counter[str] = Counter(worst=0)
    for seed in seeds:
        outcome = simulate(town_of(row, seed))
        tally = outcome.tally
        found["violations"] += bool(outcome.violations)
        found["overspent"] += bool(tally["members overspent"])
        found["worst"] = max(found["worst"], tally["points overspent"])
        found["shortage"] += bool(tally["points_shortage"])
        found["unrecorded"] += bool(tally["receipts unrecorded"])
        found["spends"] += tally["spends"]
        if outcome.violations and row.wrong is Wrong.NONE:
            print("<!--", row.name, seed, outcome.violations[:2], "-->", flush=True)
    return found

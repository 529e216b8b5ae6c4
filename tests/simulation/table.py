"""Every kind of event by itself, many towns each: what the design's model said, what came out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, Scenario, Wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of event. ``model``: what docs/simulation.md quotes."""

    name: str
    faults: tuple[Fault, ...]
    model: str
    write_off_hours: int = 0
    wrong: Wrong = Wrong.NONE


ROWS: Final = (
    Row(name="(wrong) reclaim by time", faults=(Fault.LONG_OFFLINE,), model="1,044 overspent",
        wrong=Wrong.RECLAIM_BY_TIME),
    Row(name="nothing fails", faults=(), model="0"),
    Row(name="bad network, partitions, crashes", model="0",
        faults=(Fault.WEATHER, Fault.PARTITION, Fault.CRASH)),
    Row(name="death between hold, print, capture", faults=(Fault.TILL_CRASH,), model="0"),
    Row(name="(wrong) wall clock", faults=(Fault.CLOCK,), model="6 overspent",
        write_off_hours=2, wrong=Wrong.WALL_CLOCK),
    Row(name="clock jumps, hold", faults=(Fault.CLOCK, Fault.PARTITION), model="0"),
    Row(name="clock jumps, write-off", faults=(Fault.CLOCK, Fault.PARTITION), model="2 overspent",
        write_off_hours=2),
    Row(name="machine lost, write-off", faults=(Fault.LOST,), model="198 overspent",
        write_off_hours=2),
    Row(name="machine lost, hold", faults=(Fault.LOST,), model="0; its spends unrecorded"),
    Row(name="cloned image", faults=(Fault.CLONE,), model="269 overspent, on shortage"),
    Row(name="put back, no witness", faults=(Fault.RESTORE_BLIND,), model="25 overspent"),
    Row(name="put back, witness", faults=(Fault.RESTORE,), model="0; 102 lost records"),
    Row(name="disk forgot its tail, witness", faults=(Fault.LOST_TAIL,), model="0"),
    Row(name="put back, second journal", faults=(Fault.RESTORE_JOURNAL,), model="0, 0 unrecorded"),
    Row(name="witness lost", faults=(Fault.WIPED_WITNESS,), model="0"),
    Row(name="leases told again", faults=(Fault.REDELIVERY, Fault.RESTORE), model="0 (I9)"),
    Row(name="offline past the lease's end", faults=(Fault.LONG_OFFLINE,), model="0"),
    Row(name="returns", faults=(Fault.RETURNS, Fault.WEATHER), model="0"),
    Row(name="members merged", faults=(Fault.MERGE, Fault.WEATHER), model="0"),
    Row(name="poison records", faults=(Fault.POISON,), model="0"),
    Row(name="central crashes", faults=(Fault.CENTRAL_CRASH,), model="0"),
    Row(name="central as it was yesterday", faults=(Fault.CENTRAL_RESTORED,), model="(fault 46)"),
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


def print_table(runs: int) -> bool:
    """Print the table, ``runs`` towns a row, as Markdown; whether the right rules broke nothing."""
    print(
        "| event | model | runs | violations | overspent | worst | shortage | unrecorded | spends |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    well = True
    for row in ROWS:
        found = _count(row, runs)
        well = well and (row.wrong is not Wrong.NONE or not found["violations"])
        cells = [row.name, row.model, runs]
        cells += [found[name] for name in ("violations", "overspent")]
        cells += [found["worst"] // 100]
        cells += [found[name] for name in ("shortage", "unrecorded", "spends")]
        print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
    return well


def _count(row: Row, runs: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in range(runs):
        outcome = simulate(
            Scenario(
                seed=seed,
                days=1,
                stores=2,
                tills=seed % 2,
                members=3,
                receipts_per_day=14,
                term_hours=6,
                faults=row.faults,
                write_off_hours=row.write_off_hours,
                wrong=row.wrong,
            )
        )
        tally = outcome.tally
        found["violations"] += bool(outcome.violations)
        found["overspent"] += bool(tally["members overspent"])
        found["worst"] = max(found["worst"], tally["points overspent"])
        found["shortage"] += bool(tally["points_shortage"])
        found["unrecorded"] += bool(tally["receipts unrecorded"])
        found["spends"] += tally["spends"]
        if outcome.violations and row.wrong is Wrong.NONE:
            print("<!--", outcome.scenario.seed, outcome.violations[:2], "-->", flush=True)
    return found

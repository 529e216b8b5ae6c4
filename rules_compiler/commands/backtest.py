"""``backtest``: what a programme would have cost on receipts of the past, and whom it reaches."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rules_compiler.commands.documents import load
from rules_compiler.commands.machine import INTERNAL, INTERRUPTED, OK, REFUSED, Machine
from rules_compiler.commands.receipts import read_batches, whole_bytes
from rules_compiler.commands.replay import Replay
from rules_compiler.commands.screen import Column, Screen, Table, complaints, output
from rules_compiler.commands.tally import Counting, Setup, Total
from shared.engine.program import Program
from shared.money import format_centi, format_minor
from shared.quantity import format_quantity

SUMMARY = "what a programme costs and whom it reaches, on receipts of the past"
EXAMPLES = """\
  kopilka-rules backtest autumn.yaml october.jsonl.gz november.jsonl.gz --jobs 4
  kopilka-rules backtest autumn.bundle october.jsonl --json result.json

Receipts are JSON lines, packed by gzip (.gz) or not. Ctrl-C shows the table so far. One receipt in
--trace-every is asked why, which tells who takes goods from whom; asking costs time.

exit code: 0 all receipts were priced, 1 some were refused, 3 our own code broke on some"""

JOBS_MAX: Final = 256
TRACE_EVERY: Final = 500
_CONFLICTS_SHOWN: Final = 30


def whole_number(low: int, high: int) -> Any:
    """The reader of an option that is a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text[:12]) <= high:
            raise ArgumentTypeError(f"a whole number from {low} to {high} is expected")
        return int(text)

    return read


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("programme", type=Path, help="a document (JSON, YAML) or a bundle")
    parser.add_argument("receipts", type=Path, nargs="+", help="JSON lines, .gz or not")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here too")
    parser.add_argument(
        "--jobs",
        type=whole_number(1, JOBS_MAX),
        default=1,
        metavar="N",
        help=f"processes; this machine has {os.cpu_count()} cores (default: 1)",
    )
    parser.add_argument(
        "--trace-every",
        type=whole_number(0, 10**9),
        default=TRACE_EVERY,
        metavar="N",
        help=f"ask one receipt in N who lost to whom; 0 asks none (default: {TRACE_EVERY})",
    )
    parser.add_argument("--all", action="store_true", help="also promotions that did nothing")


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    program = load(options.programme).program
    size = whole_bytes(options.receipts)
    total = Total()
    replay = Replay(
        Counting, Setup(program=program, trace_every=options.trace_every), jobs=options.jobs
    )
    started_ns = machine.clock.mono_ns()
    interrupted = False
    try:
        with complaints().progress("Pricing", size) as tell:
            for tally in replay.run(read_batches(options.receipts, tell)):
                total.add(tally)
    except KeyboardInterrupt:
        interrupted = True
    elapsed_ns = max(machine.clock.mono_ns() - started_ns, 1)
    result = _result(program, total, elapsed_ns, interrupted=interrupted)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    _show(output(), result, everything=options.all)
    _complain(total)
    if total.sums.broken:
        return INTERNAL
    if interrupted:
        return INTERRUPTED
    return REFUSED if total.sums.refused else OK


def _result(
    program: Program, total: Total, elapsed_ns: int, *, interrupted: bool
) -> dict[str, Any]:
    """All figures as JSON: money and points as decimal strings."""
    sums = total.sums
    seen = sums.receipts + sums.refused + sums.broken
    return {
        "programme": program.programme,
        "version": program.version,
        "currency": program.currency,
        "complete": not interrupted,
        "seconds": round(elapsed_ns / 1e9, 3),
        "receipts_per_second": round(seen * 1e9 / elapsed_ns, 1),
        "receipts": sums.receipts,
        "refused": sums.refused,
        "broken": sums.broken,
        "lines": sums.lines,
        "customers": total.customers,
        "anonymous_receipts": sums.anonymous,
        "discounted_receipts": sums.discounted,
        "not_optimal_receipts": sums.not_optimal,
        "list": format_minor(sums.list_minor),
        "discount": format_minor(sums.discount_minor),
        "points_spent": format_minor(sums.points_spent_minor),
        "to_pay": format_minor(sums.to_pay_minor),
        "points_earned": format_centi(sums.points_earned_centi),
        "lines_at_floor": sums.lines_at_floor,
        "traced_receipts": sums.traced,
        "promotions": _promotions(program, total),
        "conflicts": [
            {"lost": lost, "reason": reason, "won": won, "receipts": count}
            for (lost, reason, won), count in sorted(
                total.conflicts.items(), key=lambda item: (-item[1], item[0])
            )
        ],
        "problems": total.problems,
    }


def _promotions(program: Program, total: Total) -> list[dict[str, Any]]:
    """Every promotion, the dearest first; those that did nothing at the end."""
    rows = []
    for group in program.groups:
        for promotion in group.promotions:
            tally = total.promotions.get(promotion.id)
            figures = {} if tally is None else asdict(tally)
            rows.append((promotion, group.id, figures))
    rows.sort(
        key=lambda row: (
            -row[2].get("discount_minor", 0),
            -row[2].get("points_earned_centi", 0),
            -row[2].get("receipts", 0),
            row[0].id,
        )
    )
    return [
        {
            "promotion": promotion.id,
            "name": promotion.name,
            "group": group,
            "receipts": figures.get("receipts", 0),
            "customers": total.reached(promotion.id),
            "discount": format_minor(figures.get("discount_minor", 0)),
            "qty": format_quantity(figures.get("quantity_milli", 0)),
            "points_earned": format_centi(figures.get("points_earned_centi", 0)),
            "points_taken": format_centi(figures.get("points_taken_centi", 0)),
            "chips_earned": figures.get("chips_earned", 0),
            "chips_spent": figures.get("chips_spent", 0),
            "coupons": figures.get("coupons", 0),
            "lines_at_floor": figures.get("lines_at_floor", 0),
            "no_room_in_traced": total.floors[promotion.id],
        }
        for promotion, group, figures in rows
    ]


def _show(screen: Screen, result: dict[str, Any], *, everything: bool) -> None:
    if not result["complete"]:
        screen.line("Interrupted: this is the table so far.", style="yellow")
    screen.table(_all(result))
    acted = [each for each in result["promotions"] if each["receipts"]]
    silent = len(result["promotions"]) - len(acted)
    columns = ("receipts", "customers", "discount", "qty", "points_earned", "points_taken")
    more = ("chips_earned", "coupons", "lines_at_floor", "no_room_in_traced")
    names = (*columns, *(name for name in more if any(each[name] for each in acted)))
    screen.table(
        Table(
            title="Promotions, the dearest first",
            columns=[
                Column("promotion"),
                Column("group"),
                *(Column(name.replace("_", " "), right=True) for name in names),
            ],
            rows=[
                [_named(each), each["group"], *(str(each[name]) for name in names)]
                for each in (result["promotions"] if everything else acted)
            ],
        )
    )
    if silent and not everything:
        screen.line(f"{silent} promotions did nothing (--all shows them).")
        screen.line()
    _show_conflicts(screen, result)


def _named(each: dict[str, Any]) -> str:
    return f"{each['name']} ({each['promotion']})" if each["name"] else each["promotion"]


def _all(result: dict[str, Any]) -> Table:
    left_out = {"programme", "version", "complete", "promotions", "conflicts", "problems"}
    return Table(
        title=f"{result['programme']} version {result['version']}",
        columns=[Column("all receipts"), Column("", right=True)],
        rows=[
            [name.replace("_", " "), str(value)]
            for name, value in result.items()
            if name not in left_out
        ],
    )


def _show_conflicts(screen: Screen, result: dict[str, Any]) -> None:
    found = result["conflicts"]
    if not result["traced_receipts"]:
        return
    if not found:
        screen.line(f"No conflicts in the {result['traced_receipts']} receipts asked why.")
        return
    screen.table(
        Table(
            title=f"Conflicts in the {result['traced_receipts']} receipts asked why",
            columns=[
                Column("lost"),
                Column("reason"),
                Column("acted instead"),
                Column("receipts", right=True),
            ],
            rows=[
                [each["lost"], each["reason"], each["won"], str(each["receipts"])]
                for each in found[:_CONFLICTS_SHOWN]
            ],
        )
    )
    if len(found) > _CONFLICTS_SHOWN:
        screen.line(f"{len(found) - _CONFLICTS_SHOWN} conflicts more (--json has them all).")


def _complain(total: Total) -> None:
    screen = complaints()
    for problem in total.problems:
        screen.line(problem, style="red")
    hidden = total.sums.refused + total.sums.broken - len(total.problems)
    if hidden:
        screen.line(f"{hidden} receipts more were refused.", style="red")
    if total.traceback:
        sys.stderr.write(total.traceback)

"""``diff``: what changes between two programmes, and on receipts of the past, for whom."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Final

from rules_compiler.commands.backtest import JOBS_MAX, whole_number
from rules_compiler.commands.changes import Change, programme_changes
from rules_compiler.commands.comparing import Comparing, Comparison, Pair, PromotionChange
from rules_compiler.commands.documents import load
from rules_compiler.commands.machine import INTERNAL, INTERRUPTED, OK, REFUSED, Machine
from rules_compiler.commands.receipts import read_batches, whole_bytes
from rules_compiler.commands.replay import Replay
from rules_compiler.commands.screen import Column, Screen, Table, complaints, output
from shared.money import format_centi, format_minor

SUMMARY = "what changes between two programmes, and for whom"
EXAMPLES = """\
  kopilka-rules diff old.yaml new.yaml --lang ru
  kopilka-rules diff old.yaml new.yaml --receipts october.jsonl.gz november.jsonl.gz

Without receipts the promotions that differ are told in words. With receipts (JSON lines, .gz or
not) each is priced under both programmes.

exit code: 0 compared (also where nothing differs), 1 a document or a receipt was refused"""

_PROMOTIONS_SHOWN: Final = 30
_STYLES: Final = {"added": "green", "removed": "red", "changed": "yellow"}


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("old", type=Path, help="a programme: JSON, or YAML by its ending")
    parser.add_argument("new", type=Path, help="the programme that is to follow it")
    parser.add_argument("--receipts", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--lang", choices=("en", "ru"), default="en", help="default: en")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here too")
    parser.add_argument("--jobs", type=whole_number(1, JOBS_MAX), default=1, metavar="N")


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    del machine
    old, new = load(options.old, bundles=False), load(options.new, bundles=False)
    screen = output()
    changes = programme_changes(old, new, options.lang)
    _show_changes(screen, changes)
    result: dict[str, Any] = {"changes": [each.told() for each in changes]}
    code = OK
    if options.receipts:
        size = whole_bytes(options.receipts)
        both = Comparison()
        replay = Replay(Comparing, Pair(old.program, new.program), jobs=options.jobs)
        interrupted = False
        try:
            with complaints().progress("Pricing twice", size) as tell:
                for batch in replay.run(read_batches(options.receipts, tell)):
                    both.add(batch)
        except KeyboardInterrupt:
            interrupted = True
            screen.line("Interrupted: these are the figures so far.", style="yellow")
        result["receipts"] = _figures(both, changes) | {"complete": not interrupted}
        _show_figures(screen, result["receipts"])
        code = _complain(both)
        if interrupted and code != INTERNAL:
            code = INTERRUPTED
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return code


def _show_changes(screen: Screen, changes: list[Change]) -> None:
    if not changes:
        screen.line("The programmes say the same.")
    for each in changes:
        screen.line(f"{each.kind} {each.what}", style=_STYLES[each.kind])
        for line in each.gone:
            screen.line(f"  - {line}", style="red")
        for line in each.come:
            screen.line(f"  + {line}", style="green")
    screen.line()


def _figures(both: Comparison, changes: list[Change]) -> dict[str, Any]:
    kinds = {each.promotion: each.kind for each in changes if each.promotion is not None}
    rows = sorted(
        (dict.fromkeys(kinds, PromotionChange()) | both.promotions).items(),
        key=lambda item: (-abs(item[1].discount_after - item[1].discount_before), item[0]),
    )
    return {
        "receipts": both.receipts,
        "refused": both.refused,
        "broken": both.broken,
        "sum_changes": both.cheaper + both.dearer,
        "cheaper": both.cheaper,
        "dearer": both.dearer,
        "anything_changes": both.changed,
        "customers_affected": len(both.customers),
        "to_pay_before": format_minor(both.to_pay_before),
        "to_pay_after": format_minor(both.to_pay_after),
        "discount_before": format_minor(both.discount_before),
        "discount_after": format_minor(both.discount_after),
        "points_before": format_centi(both.points_before),
        "points_after": format_centi(both.points_after),
        "promotions": [
            {
                "promotion": promotion,
                "programme": kinds.get(promotion, "same"),
                "receipts_before": each.receipts_before,
                "receipts_after": each.receipts_after,
                "only_before": each.only_before,
                "only_after": each.only_after,
                "discount_before": format_minor(each.discount_before),
                "discount_after": format_minor(each.discount_after),
                "points_before": format_centi(each.points_before),
                "points_after": format_centi(each.points_after),
            }
            for promotion, each in rows
            if each.differs or promotion in kinds
        ],
        "biggest": [
            {
                "receipt": each.receipt,
                "place": each.place,
                "customer": each.customer,
                "to_pay_before": format_minor(each.before),
                "to_pay_after": format_minor(each.after),
                "change": _signed(each.after - each.before),
                "promotions": each.promotions,
            }
            for each in both.biggest
        ],
    }


def _signed(minor: int) -> str:
    return f"{'+' if minor > 0 else ''}{format_minor(minor)}"


def _show_figures(screen: Screen, figures: dict[str, Any]) -> None:
    screen.table(
        Table(
            title="All receipts",
            columns=[Column("what"), Column("", right=True)],
            rows=[
                [name.replace("_", " "), str(value)]
                for name, value in figures.items()
                if not isinstance(value, list)
            ],
        )
    )
    names = list(figures["promotions"][0]) if figures["promotions"] else []
    screen.table(
        Table(
            title="Promotions that act otherwise, the biggest change first",
            columns=[
                Column(name.replace("_", " "), right=place > 1) for place, name in enumerate(names)
            ],
            rows=[
                [str(each[name]) for name in names]
                for each in figures["promotions"][:_PROMOTIONS_SHOWN]
            ],
        )
    )
    hidden = len(figures["promotions"]) - _PROMOTIONS_SHOWN
    if hidden > 0:
        screen.line(f"{hidden} promotions more act otherwise (--json has them all).")
        screen.line()
    screen.table(
        Table(
            title="Receipts that change most",
            columns=[
                Column("receipt"),
                Column("customer"),
                Column("before", right=True),
                Column("after", right=True),
                Column("change", right=True),
                Column("by"),
            ],
            rows=[
                [
                    each["receipt"] or each["place"],
                    each["customer"] or "–",
                    each["to_pay_before"],
                    each["to_pay_after"],
                    each["change"],
                    ", ".join(each["promotions"]),
                ]
                for each in figures["biggest"]
            ],
        )
    )


def _complain(both: Comparison) -> int:
    screen = complaints()
    for problem in both.problems:
        screen.line(problem, style="red")
    if both.traceback:
        screen.line(both.traceback)
    if both.broken:
        return INTERNAL
    return REFUSED if both.refused else OK

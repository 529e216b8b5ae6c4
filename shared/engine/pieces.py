"""Choosing pieces: open runs of pieces in some order, and what a result wants to do to them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from shared.engine.lots import LineState, Lot, Range, merge_ranges, subtract_ranges
from shared.engine.program import Choose, Per, Promotion


class Rule(enum.IntEnum):
    """How much is wanted off a piece; the value beside it has the unit named here."""

    NOTHING = 0
    PERCENT = 1
    """Millionths of the net."""
    PRICE = 2
    """Minor units that a unit shall cost."""
    EACH = 3
    """Minor units off each unit."""
    SHARED = 4
    """A share of an amount that the whole result gives."""


NO_RULE: Final = int(Rule.NOTHING)
PERCENT: Final = int(Rule.PERCENT)
PRICE: Final = int(Rule.PRICE)
EACH: Final = int(Rule.EACH)
SHARED: Final = int(Rule.SHARED)


class Run:
    """Neighbouring pieces of one lot, ``start`` to before ``end``, under one rule.

    ``chips`` is what one of the pieces takes of them.
    """

    __slots__ = ("chips", "end", "lot", "rule", "start", "value")

    def __init__(
        self, lot: Lot, start: int, end: int, rule: int = NO_RULE, value: int = 0, chips: int = 0
    ) -> None:
        self.lot: Lot = lot
        self.start: int = start
        self.end: int = end
        self.rule: int = rule
        self.value: int = value
        self.chips: int = chips

    def part(self, start: int, end: int) -> Run:
        """Some of its pieces under the same rule."""
        return Run(self.lot, start, end, self.rule, self.value, self.chips)

    def ruled(self, rule: int, value: int) -> Run:
        """The same pieces under this rule."""
        return Run(self.lot, self.start, self.end, rule, value, self.chips)


Used = dict[int, list[Range]]
"""Pieces that are taken, by the index of their line."""


def open_runs(lines: Iterable[LineState], promotion: Promotion, used: Used | None) -> list[Run]:
    """The pieces of these lines that are open to the promotion and not ``used``."""
    runs: list[Run] = []
    for line in lines:
        holes = None if used is None else used.get(line.index)
        for lot in line.lots:
            if lot.closed_by is not None and lot.closed_by is not promotion:
                continue
            ranges = lot.ranges if not holes else subtract_ranges(lot.ranges, holes)
            for start, end in ranges:
                runs.append(Run(lot, start, end))
    return runs


def _by_line(run: Run) -> tuple[int, int]:
    return (run.lot.line.index, run.start)


def _dearest(run: Run) -> tuple[int, int, int]:
    return (-run.lot.price_key, run.lot.line.index, run.start)


def _cheapest(run: Run) -> tuple[int, int, int]:
    return (run.lot.price_key, run.lot.line.index, run.start)


def in_order(runs: list[Run], choose: Choose) -> list[Run]:
    """The runs in the order of choice; ties to the lower line number, then the lower piece."""
    if len(runs) < 2:
        return runs
    if choose is Choose.LINE:
        return sorted(runs, key=_by_line)
    if choose is Choose.DEAREST:
        return sorted(runs, key=_dearest)
    return sorted(runs, key=_cheapest)


def count_of(runs: Iterable[Run]) -> int:
    """How many pieces the runs hold."""
    count = 0
    for run in runs:
        count += run.end - run.start
    return count


def between(runs: list[Run], first: int, last: int | None) -> list[Run]:
    """The pieces at positions ``first`` (from 0) to before ``last`` of the ordered runs."""
    if first <= 0 and last is None:
        return runs
    found: list[Run] = []
    position = 0
    for run in runs:
        size = run.end - run.start
        low = max(first - position, 0)
        high = size if last is None else min(last - position, size)
        if low < high:
            found.append(run.part(run.start + low, run.start + high))
        position += size
        if last is not None and position >= last:
            break
    return found


def grouped(runs: list[Run], per: Per | None) -> list[list[Run]]:
    """The runs by line or SKU, groups in the order in which they first appear."""
    if per is None or per is Per.RECEIPT:
        return [runs]
    if per is Per.LINE:
        by_line: dict[int, list[Run]] = {}
        for run in runs:
            by_line.setdefault(run.lot.line.index, []).append(run)
        return list(by_line.values())
    by_sku: dict[str, list[Run]] = {}
    for run in runs:
        by_sku.setdefault(run.lot.line.line.sku, []).append(run)
    return list(by_sku.values())


class Portion:
    """Pieces of one lot that a result treats alike, in the order in which they were taken."""

    __slots__ = ("chips", "discount_minor", "is_new", "lot", "ranges", "rule", "value")

    def __init__(self, run: Run) -> None:
        self.lot: Lot = run.lot
        self.ranges: list[Range] = [(run.start, run.end)]
        self.rule: int = run.rule
        self.value: int = run.value
        self.chips: int = run.chips
        self.discount_minor: int = 0
        self.is_new: bool = True
        """Whether the promotion discounts these pieces for the first time in this receipt."""

    def merged(self) -> tuple[Range, ...]:
        """Its pieces as ranges."""
        ranges = self.ranges
        return (ranges[0],) if len(ranges) == 1 else merge_ranges(ranges)


def portions_of(runs: list[Run]) -> list[Portion]:
    """The runs lot by lot and rule by rule, in the order in which each was first taken."""
    if len(runs) == 1:
        return [Portion(runs[0])]
    portions: dict[tuple[int, int, int, int], Portion] = {}
    for run in runs:
        key = (id(run.lot), run.rule, run.value, run.chips)
        portion = portions.get(key)
        if portion is None:
            portions[key] = Portion(run)
        else:
            portion.ranges.append((run.start, run.end))
    return list(portions.values())

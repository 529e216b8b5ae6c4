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


# Enumerations are slow to ask for a member.
_LINE: Final = Choose.LINE
_DEAREST: Final = Choose.DEAREST

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


def _are_by_line(runs: list[Run]) -> bool:
    """Whether they stand in the order of lines as they are, as they mostly do."""
    last_index = last_start = -1
    for run in runs:
        index = run.lot.line.index
        if index < last_index or (index == last_index and run.start < last_start):
            return False
        last_index, last_start = index, run.start
    return True


def _dearest(run: Run) -> tuple[int, int, int]:
    return (-run.lot.price_key, run.lot.line.index, run.start)


def _cheapest(run: Run) -> tuple[int, int, int]:
    return (run.lot.price_key, run.lot.line.index, run.start)


def in_order(runs: list[Run], choose: Choose) -> list[Run]:
    """The runs in the order of choice; ties to the lower line number, then the lower piece."""
    if len(runs) < 2:
        return runs
    if choose is _LINE:
        return runs if _are_by_line(runs) else sorted(runs, key=_by_line)
    if choose is _DEAREST:
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
        by_sku.setdefault(run.lot.line.sku, []).append(run)
    return list(by_sku.values())


class Portion:
    """Pieces of one lot that a result treats alike, in the order in which they were taken."""

    __slots__ = (
        "chips",
        "discount_minor",
        "is_alone",
        "is_new",
        "lot",
        "net_minor",
        "piece_count",
        "ranges",
        "rule",
        "value",
        "wanted_minor",
    )

    def __init__(self, run: Run) -> None:
        self.lot: Lot = run.lot
        self.ranges: list[Range] = [(run.start, run.end)]
        self.piece_count: int = run.end - run.start
        self.rule: int = run.rule
        self.value: int = run.value
        self.chips: int = run.chips
        self.is_alone: bool = True
        """Whether no other portion is of the same lot."""
        self.net_minor: int = 0
        """Its net once the portions before it are split off."""
        self.wanted_minor: int = 0
        """The discount that its rule asks for and the floor allows."""
        self.discount_minor: int = 0
        """The discount that was given."""
        self.is_new: bool = True
        """Whether the promotion discounts these pieces for the first time in this receipt."""

    @property
    def quantity_milli(self) -> int:
        """The quantity of all its pieces."""
        return self.piece_count * self.lot.line.piece_milli

    def is_ruled_as(self, run: Run) -> bool:
        """Whether the run has the same rule."""
        return self.rule == run.rule and self.value == run.value and self.chips == run.chips

    def add(self, run: Run) -> None:
        """Take these pieces of the lot too."""
        self.ranges.append((run.start, run.end))
        self.piece_count += run.end - run.start

    def split(self) -> Lot:
        """Its pieces as a lot of their own."""
        lot = self.lot
        if self.piece_count == lot.piece_count:
            return lot
        ranges = self.ranges
        return lot.split((ranges[0],) if len(ranges) == 1 else merge_ranges(ranges))


def portions_of(runs: list[Run]) -> list[Portion]:
    """The runs lot by lot and rule by rule, in the order in which each was first taken."""
    if len(runs) == 1:
        return [Portion(runs[0])]
    portions: list[Portion] = []
    by_lot: dict[int, Portion] = {}
    for run in runs:
        portion = by_lot.get(id(run.lot))
        if portion is None:
            portion = by_lot[id(run.lot)] = Portion(run)
            portions.append(portion)
        elif portion.is_ruled_as(run):
            portion.add(run)
        else:
            return _portions_by_rule(runs)
    return portions


def _portions_by_rule(runs: list[Run]) -> list[Portion]:
    """Where pieces of one lot stand under several rules."""
    portions: dict[tuple[int, int, int, int], Portion] = {}
    for run in runs:
        key = (id(run.lot), run.rule, run.value, run.chips)
        portion = portions.get(key)
        if portion is None:
            portion = portions[key] = Portion(run)
            portion.is_alone = False
        else:
            portion.add(run)
    return list(portions.values())

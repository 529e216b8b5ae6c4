"""Lots: pieces of a line that were treated alike so far, and how they are taken apart.

A countable line is pieces numbered from 1; any other line is one block, a single piece of the
whole quantity. A lot holds ranges of piece numbers, so a line of a million pieces costs as much
as one of two. Section 6 of the language.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from shared.engine.program import Choose, Promotion
from shared.money import PPM, divide_floor, divide_half_up
from shared.wire.receipt import Receipt, ReceiptLine

Range = tuple[int, int]
"""Piece numbers, half-open."""

NO_BENEFIT_FLAGS: Final = frozenset({"tobacco", "gift_card", "no_discount"})
"""No goods, receipt, spend or round result touches a line with one of these."""
NO_EARNING_FLAGS: Final = frozenset({"tobacco", "gift_card"})
_EXCISE: Final = "excise_alcohol"


def amount_of(price_minor: int, quantity_milli: int) -> int:
    """``hu(price x quantity)`` in minor units."""
    return divide_half_up(price_minor * quantity_milli, 1000)


class LineState:
    """One line while it is priced: its lots, and what each promotion took off it so far."""

    __slots__ = ("applied_minor", "line", "list_minor", "lots", "piece_milli", "takes_benefits")

    def __init__(self, line: ReceiptLine) -> None:
        self.line = line
        self.list_minor = amount_of(line.price_minor, line.quantity_milli)
        self.piece_milli = 1000 if line.countable else line.quantity_milli
        self.takes_benefits = NO_BENEFIT_FLAGS.isdisjoint(line.flags)
        self.applied_minor: dict[str, int] = {}
        pieces = line.quantity_milli // self.piece_milli
        self.lots = [Lot(self, ((1, pieces + 1),), self.list_minor)]

    @property
    def net_minor(self) -> int:
        """What is left of the list amount."""
        return sum(lot.net_minor for lot in self.lots)


class Lot:
    """Pieces of one line treated alike. ``touched``: ids of the promotions that discounted it."""

    __slots__ = ("closed", "line", "net_minor", "points_minor", "ranges", "touched")

    def __init__(self, line: LineState, ranges: tuple[Range, ...], net_minor: int) -> None:
        self.line = line
        self.ranges = ranges
        self.net_minor = net_minor
        self.points_minor = 0
        self.touched: tuple[str, ...] = ()
        self.closed = False

    @property
    def piece_count(self) -> int:
        """How many pieces; a block is one."""
        return sum(end - start for start, end in self.ranges)

    @property
    def quantity_milli(self) -> int:
        """The quantity of all pieces."""
        return self.piece_count * self.line.piece_milli

    @property
    def piece_price(self) -> Fraction:
        """Net of one piece, exact."""
        return Fraction(self.net_minor, self.piece_count)

    def share_minor(self, piece_count: int) -> int:
        """The net that ``piece_count`` of the pieces take along: ``hu(net x k / q)``."""
        return divide_half_up(self.net_minor * piece_count, self.piece_count)

    def split(self, taken: tuple[Range, ...]) -> Lot:
        """Take these pieces (all of them lie in this lot) off as a lot of their own.

        The rest stays behind as another lot with what remains of the net. The whole lot taken is
        the lot itself.
        """
        rest = subtract_ranges(self.ranges, taken)
        if not rest:
            return self
        part = Lot(self.line, taken, self.share_minor(sum(end - start for start, end in taken)))
        part.touched, part.closed = self.touched, self.closed
        self.net_minor -= part.net_minor
        self.ranges = rest
        lots = self.line.lots
        lots.append(part)
        lots.sort(key=lambda lot: lot.ranges[0][0])
        return part

    def discount(self, promotion: Promotion, discount_minor: int) -> None:
        """Take the discount off this lot in the promotion's name; a closing promotion closes it."""
        assert 0 < discount_minor <= self.net_minor, (
            "no price is raised and no net falls below zero"
        )
        self.net_minor -= discount_minor
        applied = self.line.applied_minor
        applied[promotion.id] = applied.get(promotion.id, 0) + discount_minor
        if promotion.id not in self.touched:
            self.touched = (*self.touched, promotion.id)
        if promotion.closes:
            self.closed = True


def subtract_ranges(ranges: Iterable[Range], taken: Iterable[Range]) -> tuple[Range, ...]:
    """The pieces of ``ranges`` that are not in ``taken``, in order; one walk over both."""
    holes = merge_ranges(taken)
    if not holes:
        return tuple(ranges)
    rest: list[Range] = []
    index = 0
    for start, end in sorted(ranges):
        while index < len(holes) and holes[index][1] <= start:
            index += 1
        at, position = start, index
        while position < len(holes) and holes[position][0] < end:
            low, high = holes[position]
            if at < low:
                rest.append((at, low))
            at = max(at, high)
            position += 1
        index = max(position - 1, index)
        if at < end:
            rest.append((at, end))
    return tuple(rest)


def floor_minor(
    line: ReceiptLine,
    quantity_milli: int,
    *,
    promotion: Promotion,
    max_discount_ppm: int,
) -> int:
    """The lowest net that ``quantity_milli`` of the line may have for this promotion.

    ``max_discount_ppm`` is the programme's, for lines without their own. Section 2 of the language.
    """
    excise = _EXCISE in line.flags
    list_minor = amount_of(line.price_minor, quantity_milli)
    floor = 0
    if excise or not promotion.ignore_floor:
        own = line.max_discount_ppm
        rate = max_discount_ppm if own is None else own
        floor = max(floor, list_minor - divide_floor(list_minor * rate, PPM))
        if line.min_price_minor is not None:
            floor = max(floor, amount_of(line.min_price_minor, quantity_milli))
    if line.soft is not None and (excise or not promotion.ignore_soft):
        if line.soft.max_discount_ppm is not None:
            allowed = divide_floor(list_minor * line.soft.max_discount_ppm, PPM)
            floor = max(floor, list_minor - allowed)
        if line.soft.min_price_minor is not None:
            floor = max(floor, amount_of(line.soft.min_price_minor, quantity_milli))
    return floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of pieces of one lot, as the unit of choosing."""

    lot: Lot
    start: int
    end: int

    @property
    def piece_count(self) -> int:
        """How many pieces."""
        return self.end - self.start


def segments_of(lots: Iterable[Lot], used: dict[int, list[Range]]) -> list[Segment]:
    """The open pieces of these lots that are not in ``used`` (by line number)."""
    return [
        Segment(lot=lot, start=start, end=end)
        for lot in lots
        if not lot.closed
        for start, end in subtract_ranges(lot.ranges, used.get(lot.line.line.line, ()))
    ]


def in_order(segments: Iterable[Segment], choose: Choose) -> list[Segment]:
    """The segments in the order of choice; ties to the lower line number, then the lower piece."""
    if choose is Choose.LINE:
        return sorted(segments, key=lambda segment: (segment.lot.line.line.line, segment.start))
    sign = -1 if choose is Choose.DEAREST else 1
    return sorted(
        segments,
        key=lambda segment: (
            sign * segment.lot.piece_price,
            segment.lot.line.line.line,
            segment.start,
        ),
    )


def between(segments: list[Segment], first: int, last: int | None) -> list[Segment]:
    """The pieces at positions ``first`` (from 0) to before ``last`` of the ordered segments."""
    found: list[Segment] = []
    position = 0
    for segment in segments:
        low = max(first - position, 0)
        high = segment.piece_count if last is None else min(last - position, segment.piece_count)
        if low < high:
            found.append(
                Segment(lot=segment.lot, start=segment.start + low, end=segment.start + high)
            )
        position += segment.piece_count
    return found


def by_lot(segments: Iterable[Segment]) -> list[tuple[Lot, tuple[Range, ...]]]:
    """The chosen pieces lot by lot, lots in the order of line and first piece."""
    chosen: dict[int, tuple[Lot, list[Range]]] = {}
    for segment in segments:
        chosen.setdefault(id(segment.lot), (segment.lot, []))[1].append(
            (segment.start, segment.end)
        )
    pairs = [(lot, merge_ranges(ranges)) for lot, ranges in chosen.values()]
    return sorted(pairs, key=lambda pair: (pair[0].line.line.line, pair[1][0][0]))


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same pieces as sorted ranges that neither touch nor overlap."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and merged[-1][1] >= start:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(slots=True, kw_only=True)
class State:
    """A receipt while it is priced."""

    receipt: Receipt
    max_discount_ppm: int
    lines: list[LineState]
    acted: dict[str, None] = field(default_factory=dict)
    """Ids of promotions that did something, in the order in which they first did."""

    def lots(self) -> Iterable[Lot]:
        """All lots, line by line."""
        return (lot for line in self.lines for lot in line.lots)

    def room_minor(
        self, lot: Lot, quantity_milli: int, net_minor: int, promotion: Promotion
    ) -> int:
        """How much this promotion may still take off such a part of the lot."""
        floor = floor_minor(
            lot.line.line,
            quantity_milli,
            promotion=promotion,
            max_discount_ppm=self.max_discount_ppm,
        )
        return max(net_minor - floor, 0)

"""Lots: pieces of a line that were treated alike so far, and how they are taken apart.

A countable line is pieces numbered from 1; any other line is one block, a single piece of the
whole quantity. A lot holds ranges of piece numbers, so a line of a million pieces costs as much
as one of two. What a promotion would do alone is tried on the lots themselves and taken back:
``State.begin`` and ``State.rollback`` keep the lines that were touched in between. Section 6 of the
language.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from shared.engine.program import Promotion
from shared.money import PPM, divide_half_up
from shared.wire.receipt import Receipt, ReceiptLine, Soft

Range = tuple[int, int]
"""Piece numbers, half-open."""

NO_BENEFIT_FLAGS: Final = frozenset({"tobacco", "gift_card", "no_discount"})
"""No goods, receipt, spend or round result touches a line with one of these."""
NO_EARNING_FLAGS: Final = frozenset({"tobacco", "gift_card"})
_EXCISE: Final = "excise_alcohol"
_PRICE_SCALE: Final = 10**21
"""Two different nets per quantity differ by more than one part in this (quantities are at most
10^9 thousandths), so rounding down at this scale keeps their order and their equality."""


def amount_of(price_minor: int, quantity_milli: int) -> int:
    """``hu(price x quantity)`` in minor units."""
    return (2 * price_minor * quantity_milli + 1000) // 2000


class LineState:
    """One line while it is priced: its lots, and what each promotion took off it so far.

    What is asked often is copied from the line: machine code reads its own objects several times
    faster.
    """

    __slots__ = (
        "_floor",
        "applied_minor",
        "brand",
        "category",
        "countable",
        "earns",
        "index",
        "line",
        "list_minor",
        "lots",
        "number",
        "piece_milli",
        "quantity_milli",
        "sku",
        "state",
        "takes_benefits",
        "was_discounted",
    )

    def __init__(self, line: ReceiptLine, index: int, state: State) -> None:
        self.line: ReceiptLine = line
        self.index: int = index
        self.state: State = state
        self.number: int = line.line
        self.sku: str = line.sku
        self.brand: str | None = line.brand
        self.category: str | None = line.category
        quantity_milli = line.quantity_milli
        self.quantity_milli: int = quantity_milli
        self.list_minor: int = amount_of(line.price_minor, quantity_milli)
        self.countable: bool = quantity_milli % 1000 == 0 and not line.weighed
        self.piece_milli: int = 1000 if self.countable else quantity_milli
        self.takes_benefits: bool = True
        self.earns: bool = True
        flags = line.flags
        if flags:
            self.takes_benefits = NO_BENEFIT_FLAGS.isdisjoint(flags)
            self.earns = NO_EARNING_FLAGS.isdisjoint(flags)
        self._floor: Floor | None = None
        self.applied_minor: dict[str, int] = {}
        self.was_discounted: bool | None = None
        """What a filter sees as ``discounted`` while a group computes from its start; None: now."""
        pieces = quantity_milli // self.piece_milli
        self.lots: list[Lot] = [Lot(self, ((1, pieces + 1),), pieces, self.list_minor)]

    @property
    def net_minor(self) -> int:
        """What is left of the list amount."""
        lots = self.lots
        if len(lots) == 1:
            return lots[0].net_minor
        return sum([lot.net_minor for lot in lots])

    def floor_minor(self, quantity_milli: int, promotion: Promotion) -> int:
        """The lowest net that so much of the line may have for this promotion."""
        floor = self._floor
        if floor is None:
            floor = self._floor = Floor(self.line, self.state.max_discount_ppm)
        return 0 if floor.is_none else floor.minor(quantity_milli, promotion)

    @property
    def is_discounted(self) -> bool:
        """Whether a filter on discounted goods sees this line as such."""
        if self.was_discounted is None:
            return self.net_minor < self.list_minor
        return self.was_discounted


class Floor:
    """The lowest net that a line may have, read once. Section 2 of the language.

    ``max_discount_ppm`` is the programme's, for lines without their own. ``is_none``: the line may
    be given away.
    """

    __slots__ = (
        "_is_excise",
        "_min_price_minor",
        "_price_minor",
        "_rate_ppm",
        "_soft",
        "is_none",
    )

    def __init__(self, line: ReceiptLine, max_discount_ppm: int) -> None:
        own = line.max_discount_ppm
        self._rate_ppm: int = max_discount_ppm if own is None else own
        self._min_price_minor: int | None = line.min_price_minor
        self._soft: Soft | None = line.soft
        self._price_minor: int = line.price_minor
        self._is_excise: bool = _EXCISE in line.flags
        self.is_none: bool = (
            self._rate_ppm == PPM and self._min_price_minor is None and self._soft is None
        )

    def minor(self, quantity_milli: int, promotion: Promotion) -> int:
        """The floor of so much of the line for this promotion."""
        floor = 0
        if self._is_excise or not promotion.ignore_floor:
            if self._rate_ppm != PPM:
                list_minor = amount_of(self._price_minor, quantity_milli)
                floor = max(0, list_minor - list_minor * self._rate_ppm // PPM)
            least = self._min_price_minor
            if least is not None:
                floor = max(floor, amount_of(least, quantity_milli))
        soft = self._soft
        if soft is not None and (self._is_excise or not promotion.ignore_soft):
            if soft.max_discount_ppm is not None:
                list_minor = amount_of(self._price_minor, quantity_milli)
                floor = max(floor, list_minor - list_minor * soft.max_discount_ppm // PPM)
            if soft.min_price_minor is not None:
                floor = max(floor, amount_of(soft.min_price_minor, quantity_milli))
        return floor


class Lot:
    """Pieces of one line treated alike. ``touched``: the promotions that discounted it."""

    __slots__ = (
        "closed_by",
        "line",
        "net_minor",
        "piece_count",
        "points_minor",
        "ranges",
        "touched",
    )

    def __init__(
        self, line: LineState, ranges: tuple[Range, ...], piece_count: int, net_minor: int
    ) -> None:
        self.line: LineState = line
        self.ranges: tuple[Range, ...] = ranges
        self.piece_count: int = piece_count
        self.net_minor: int = net_minor
        self.points_minor: int = 0
        self.touched: tuple[Promotion, ...] = ()
        self.closed_by: Promotion | None = None
        """The promotion that closed it to every other."""

    @property
    def quantity_milli(self) -> int:
        """The quantity of all pieces."""
        return self.piece_count * self.line.piece_milli

    @property
    def price_key(self) -> int:
        """Orders lots by the price of a unit (net / quantity), exactly."""
        return self.net_minor * _PRICE_SCALE // (self.piece_count * self.line.piece_milli)

    def share_minor(self, piece_count: int) -> int:
        """The net that ``piece_count`` of the pieces take along: ``hu(net x k / q)``."""
        if piece_count == self.piece_count:
            return self.net_minor
        return divide_half_up(self.net_minor * piece_count, self.piece_count)

    def split(self, taken: tuple[Range, ...]) -> Lot:
        """Take these pieces (all of them lie in this lot) off as a lot of their own.

        The rest stays behind as another lot with what remains of the net. The whole lot taken is
        the lot itself.
        """
        if taken == self.ranges:
            return self
        rest = subtract_ranges(self.ranges, taken)
        if not rest:
            return self
        line = self.line
        line.state.save(line)
        count = count_pieces(taken)
        part = Lot(line, taken, count, self.share_minor(count))
        part.touched = self.touched
        part.closed_by = self.closed_by
        self.net_minor -= part.net_minor
        self.piece_count -= count
        self.ranges = rest
        lots = line.lots
        lots.append(part)
        lots.sort(key=first_piece)
        return part

    def discount(self, promotion: Promotion, discount_minor: int) -> None:
        """Take the discount off this lot in the promotion's name; a closing promotion closes it."""
        assert 0 < discount_minor <= self.net_minor, (
            "no price is raised and no net falls below zero"
        )
        line = self.line
        state = line.state
        state.save(line)
        self.net_minor -= discount_minor
        applied = line.applied_minor
        promotion_id = promotion.id
        applied[promotion_id] = applied.get(promotion_id, 0) + discount_minor
        if not self.touched:
            self.touched = (promotion,)
        elif not self.is_touched_by(promotion):
            self.touched = (*self.touched, promotion)
        if promotion.closes:
            self.closed_by = promotion
        if state.events is not None:
            state.events.append(Event(line, self.ranges, discount_minor))

    def is_open_to(self, promotion: Promotion) -> bool:
        """Whether nobody else has closed it."""
        return self.closed_by is None or self.closed_by is promotion

    def is_touched_by(self, promotion: Promotion) -> bool:
        """Whether the promotion has discounted these pieces before."""
        for known in self.touched:
            if known is promotion:
                return True
        return False

    def forbids_accrual(self) -> bool:
        """Whether a promotion that touched it keeps its goods from earning."""
        for promotion in self.touched:
            if promotion.forbid_accrual:
                return True
        return False

    def forbids_spending(self) -> bool:
        """Whether a promotion that touched it keeps points from paying for its goods."""
        for promotion in self.touched:
            if promotion.forbid_spend:
                return True
        return False


class Event:
    """A discount that was given: on which pieces of a line, and how much."""

    __slots__ = ("chips", "discount_minor", "line", "ranges")

    def __init__(self, line: LineState, ranges: tuple[Range, ...], discount_minor: int) -> None:
        self.chips: int = 0
        """What each of the pieces takes of them."""
        self.line: LineState = line
        self.ranges: tuple[Range, ...] = ranges
        self.discount_minor: int = discount_minor


class _Saved:
    """A line as it was: its lots and what was taken off it.

    The lots are put back into themselves, since others may hold on to them.
    """

    __slots__ = ("applied_minor", "copies", "lots")

    def __init__(self, line: LineState) -> None:
        self.lots: list[Lot] = list(line.lots)
        self.copies: list[Lot] = [_copy(lot) for lot in line.lots]
        self.applied_minor: dict[str, int] = dict(line.applied_minor)

    def restore(self, line: LineState) -> None:
        """Make the line what it was."""
        for lot, copy in zip(self.lots, self.copies, strict=True):
            lot.ranges = copy.ranges
            lot.piece_count = copy.piece_count
            lot.net_minor = copy.net_minor
            lot.points_minor = copy.points_minor
            lot.touched = copy.touched
            lot.closed_by = copy.closed_by
        line.lots = self.lots
        line.applied_minor = self.applied_minor


def _copy(lot: Lot) -> Lot:
    copy = Lot(lot.line, lot.ranges, lot.piece_count, lot.net_minor)
    copy.points_minor = lot.points_minor
    copy.touched = lot.touched
    copy.closed_by = lot.closed_by
    return copy


class State:
    """A receipt while it is priced."""

    __slots__ = (
        "_journals",
        "acted",
        "chips_spent",
        "counters",
        "events",
        "lines",
        "max_discount_ppm",
        "receipt",
        "takes_benefits",
    )

    def __init__(self, receipt: Receipt, max_discount_ppm: int) -> None:
        self.receipt: Receipt = receipt
        self.max_discount_ppm: int = max_discount_ppm
        self.lines: list[LineState] = []
        self.takes_benefits: bool = True
        """Whether benefits may touch every line."""
        last = 0
        in_order = True
        for index, line in enumerate(receipt.lines):
            state = LineState(line, index, self)
            in_order = in_order and state.number >= last
            last = state.number
            self.takes_benefits = self.takes_benefits and state.takes_benefits
            self.lines.append(state)
        if not in_order:
            self.lines.sort(key=_line_number)
            for index, state in enumerate(self.lines):
                state.index = index
        self.acted: dict[str, None] = {}
        """Ids of promotions that did something, in the order in which they first did."""
        self.chips_spent: dict[tuple[str, str], int] = {}
        """Chips that pieces took so far, by account and promotion."""
        self.counters: dict[str, int] = {}
        """Counters that this receipt has set."""
        self.events: list[Event] | None = None
        """Discounts given since somebody began to listen."""
        self._journals: list[_Journal] = []

    def lots(self) -> Iterator[Lot]:
        """All lots, line by line."""
        for line in self.lines:
            yield from line.lots

    def net_minor(self) -> int:
        """The net of all lines."""
        return sum([line.net_minor for line in self.lines])

    def release(self) -> None:
        """Let go of lines and lots, which hold one another: nothing is left to a collector."""
        for line in self.lines:
            line.lots.clear()
        self.lines.clear()

    def begin(self) -> None:
        """From here on everything can be taken back."""
        self._journals.append(_Journal(dict(self.chips_spent), dict(self.counters)))

    def save(self, line: LineState) -> None:
        """Keep the line as it is, before it is changed."""
        if self._journals:
            saved = self._journals[-1].lines
            if line.index not in saved:
                saved[line.index] = _Saved(line)

    def rollback(self) -> None:
        """Undo all since the last ``begin``."""
        journal = self._journals.pop()
        for index, saved in journal.lines.items():
            saved.restore(self.lines[index])
        self.chips_spent = journal.chips_spent
        self.counters = journal.counters

    def keep(self) -> None:
        """Let what was done since the last ``begin`` stand."""
        journal = self._journals.pop()
        if self._journals:
            outer = self._journals[-1].lines
            for index, saved in journal.lines.items():
                outer.setdefault(index, saved)

    def room_minor(
        self, line: LineState, quantity_milli: int, net_minor: int, promotion: Promotion
    ) -> int:
        """How much this promotion may still take off such a part of the line."""
        return max(0, net_minor - line.floor_minor(quantity_milli, promotion))


class _Journal:
    __slots__ = ("chips_spent", "counters", "lines")

    def __init__(self, chips_spent: dict[tuple[str, str], int], counters: dict[str, int]) -> None:
        self.lines: dict[int, _Saved] = {}
        self.chips_spent: dict[tuple[str, str], int] = chips_spent
        self.counters: dict[str, int] = counters


def _line_number(line: LineState) -> int:
    return line.number


def first_piece(lot: Lot) -> int:
    """Lots of a line stand in the order of their first piece."""
    return lot.ranges[0][0]


def count_pieces(ranges: Iterable[Range]) -> int:
    """How many pieces the ranges hold."""
    count = 0
    for start, end in ranges:
        count += end - start
    return count


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


def intersect_ranges(ranges: Iterable[Range], other: Iterable[Range]) -> tuple[Range, ...]:
    """The pieces that are in both; both sides are sorted and hold nothing twice."""
    left, right = list(ranges), list(other)
    both: list[Range] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low < high:
            both.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(both)


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same pieces as sorted ranges that neither touch nor overlap."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and merged[-1][1] >= start:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)

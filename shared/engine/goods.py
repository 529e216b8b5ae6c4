"""The goods stage: discounts on pieces (section 6 of the language).

One result computes everything it wants to take before it takes anything, so that caps and shared
amounts see the amounts that the result before left. What discounts nothing is not done at all: no
lot is split for it and it is no application.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from shared.engine.allocate import allocate_with_room
from shared.engine.filters import matches
from shared.engine.lots import (
    Lot,
    Range,
    Segment,
    State,
    amount_of,
    between,
    by_lot,
    in_order,
    segments_of,
)
from shared.engine.program import (
    Choose,
    DiscountGoods,
    Filter,
    Nth,
    Per,
    Promotion,
    SetPrice,
)
from shared.money import PPM, allocate_largest_remainder, divide_half_up

GoodsResult = DiscountGoods | SetPrice | Nth


@dataclass(slots=True, kw_only=True)
class Turn:
    """One promotion's turn in the goods stage.

    ``used``: pieces by line number that others of the group have used (mode ``first``) and, after
    the turn, those this one used too. ``applications_left``: None is without limit.
    """

    promotion: Promotion
    used: dict[int, list[Range]]
    applications_left: int | None
    discount_minor: int = 0
    matched: bool = False
    stopped_by_floor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Pieces of one lot that the result treats alike."""

    lot: Lot
    ranges: tuple[Range, ...]
    quantity_milli: int
    net_minor: int
    room_minor: int


def apply_goods(state: State, turn: Turn, result: GoodsResult) -> int:
    """Run one result; the discount it gave, in minor units."""
    if isinstance(result, Nth):
        chosen, consumed = _choose_nth(state, turn, result)
    else:
        chosen = consumed = _choose_pieces(state, turn, result)
    parts = [_part(state, turn, lot, ranges) for lot, ranges in by_lot(chosen)]
    wanted = _wanted(result, parts)
    given = [min(want, part.room_minor) for want, part in zip(wanted, parts, strict=True)]
    turn.stopped_by_floor |= any(want > gave for want, gave in zip(wanted, given, strict=True))
    if isinstance(result, DiscountGoods):
        if result.amount_minor is not None:
            given = allocate_with_room(
                min(result.amount_minor, sum(part.net_minor for part in parts)),
                [part.net_minor for part in parts],
                [part.room_minor for part in parts],
                again=True,
            )
        if result.cap_minor is not None and sum(given) > result.cap_minor:
            given = allocate_largest_remainder(result.cap_minor, given)
    for part, discount_minor in zip(parts, given, strict=True):
        if discount_minor > 0:
            part.lot.split(part.ranges).discount(turn.promotion, discount_minor)
    total_minor = sum(given)
    if total_minor > 0:
        for segment in consumed:
            number = segment.lot.line.line.line
            turn.used.setdefault(number, []).append((segment.start, segment.end))
    turn.discount_minor += total_minor
    return total_minor


def _candidates(state: State, turn: Turn, wanted: Filter, *, countable: bool) -> list[Segment]:
    customer = state.receipt.customer
    favourites = frozenset(customer.favourites) if customer is not None else frozenset()
    lines = [
        line
        for line in state.lines
        if line.takes_benefits
        and (line.line.countable or not countable)
        and matches(wanted, line, favourites)
    ]
    turn.matched |= bool(lines)
    return segments_of((lot for line in lines for lot in line.lots), turn.used)


def _choose_pieces(state: State, turn: Turn, result: DiscountGoods | SetPrice) -> list[Segment]:
    ordered = in_order(_candidates(state, turn, result.filter, countable=False), result.choose)
    skip = result.skip_count if isinstance(result, DiscountGoods) else 0
    per = result.quantity_max_by if isinstance(result, DiscountGoods) else Per.RECEIPT
    chosen: list[Segment] = []
    for group in _groups(ordered, per):
        last = None if result.quantity_max is None else skip + result.quantity_max
        chosen.extend(between(group, skip, last))
    if per is not Per.RECEIPT:
        chosen = in_order(chosen, result.choose)
    if turn.applications_left is None:
        return chosen
    gaining = [segment for segment in chosen if _gains(state, turn, segment, result)]
    kept = between(gaining, 0, turn.applications_left)
    turn.applications_left -= sum(segment.piece_count for segment in kept)
    return kept


def _groups(ordered: list[Segment], per: Per | None) -> Iterable[list[Segment]]:
    if per is None or per is Per.RECEIPT:
        return [ordered]
    groups: dict[object, list[Segment]] = {}
    for segment in ordered:
        line = segment.lot.line.line
        groups.setdefault(line.line if per is Per.LINE else line.sku, []).append(segment)
    return groups.values()


def _choose_nth(state: State, turn: Turn, result: Nth) -> tuple[list[Segment], list[Segment]]:
    """The pieces to discount, and all pieces that the runs use."""
    candidates = _candidates(state, turn, result.filter, countable=True)
    taken: list[Segment] = []
    consumed: list[Segment] = []
    for group in _groups(in_order(candidates, Choose.DEAREST), result.same):
        runs = sum(segment.piece_count for segment in group) // result.every
        if result.cheapest:
            ordered = in_order(group, Choose.CHEAPEST)
            if turn.applications_left is not None:
                runs = min(runs, turn.applications_left)
                turn.applications_left -= runs
            taken.extend(between(ordered, 0, runs * result.take))
            consumed.extend(between(ordered, 0, runs * result.every))
            continue
        for run in range(runs):
            start = run * result.every
            run_taken = between(group, start + result.every - result.take, start + result.every)
            if not any(_gains(state, turn, segment, result) for segment in run_taken):
                continue
            if turn.applications_left is not None:
                if turn.applications_left == 0:
                    break
                turn.applications_left -= 1
            taken.extend(run_taken)
            consumed.extend(between(group, start, start + result.every))
    return taken, consumed


def _gains(state: State, turn: Turn, segment: Segment, result: GoodsResult) -> bool:
    """Whether one such piece by itself would become cheaper."""
    lot = segment.lot
    if state.room_minor(lot, lot.quantity_milli, lot.net_minor, turn.promotion) == 0:
        return False
    price = lot.piece_price
    if isinstance(result, DiscountGoods):
        return price > 0 and bool(
            result.percent_ppm or result.amount_each_minor or result.amount_minor
        )
    if isinstance(result, Nth) and result.price_minor is None:
        return price > 0 and bool(result.percent_ppm)
    unit = _unit_price(lot, result)
    return unit is not None and price > Fraction(unit * lot.line.piece_milli, 1000)


def _part(state: State, turn: Turn, lot: Lot, ranges: tuple[Range, ...]) -> _Part:
    pieces = sum(end - start for start, end in ranges)
    quantity_milli = pieces * lot.line.piece_milli
    net_minor = lot.share_minor(pieces)
    return _Part(
        lot=lot,
        ranges=ranges,
        quantity_milli=quantity_milli,
        net_minor=net_minor,
        room_minor=state.room_minor(lot, quantity_milli, net_minor, turn.promotion),
    )


def _wanted(result: GoodsResult, parts: list[_Part]) -> list[int]:
    """What the result would take off each part if there were no floors."""
    if isinstance(result, DiscountGoods):
        if result.amount_minor is not None:
            return [0] * len(parts)
        if result.amount_each_minor is not None:
            return [
                min(amount_of(result.amount_each_minor, part.quantity_milli), part.net_minor)
                for part in parts
            ]
        assert result.percent_ppm is not None, "a goods discount says how much"
        return [divide_half_up(part.net_minor * result.percent_ppm, PPM) for part in parts]
    if isinstance(result, Nth) and result.price_minor is None:
        assert result.percent_ppm is not None, "an nth says how much"
        return [divide_half_up(part.net_minor * result.percent_ppm, PPM) for part in parts]
    return [_down_to_price(part, result) for part in parts]


def _down_to_price(part: _Part, result: SetPrice | Nth) -> int:
    unit = _unit_price(part.lot, result)
    if unit is None:
        return 0
    return max(part.net_minor - amount_of(unit, part.quantity_milli), 0)


def _unit_price(lot: Lot, result: SetPrice | Nth | DiscountGoods) -> int | None:
    """The price of one unit that the result sets; None leaves the line alone."""
    if isinstance(result, DiscountGoods):
        return None
    if result.price_minor is not None or isinstance(result, Nth):
        return result.price_minor
    if result.price_type is not None:
        return lot.line.line.prices_minor.get(result.price_type)
    assert result.ending_minor is not None, "a set price says which"
    return _down_to_ending(Fraction(lot.net_minor * 1000, lot.quantity_milli), result.ending_minor)


def _down_to_ending(unit_minor: Fraction, ending_minor: int) -> int | None:
    """The nearest price at or below that has the ending; never zero."""
    step = 100
    while step <= ending_minor:
        step *= 10
    price = (int(unit_minor) - ending_minor) // step * step + ending_minor
    return price if price > 0 else None

"""Kinds of identical pieces, and what a piece of each kind is to every result that competes.

Exact values are fractions of a kopeck. They are written as whole numbers of a unit that divides
them all, so that nothing is rounded and nothing has to be reduced.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm
from typing import Final

from shared.engine.conditions import Situation
from shared.engine.entrants import Result
from shared.engine.lots import LineState, Lot, amount_of
from shared.engine.pieces import EACH, NO_RULE, PERCENT, PRICE, SHARED, Run, open_runs
from shared.engine.program import Filter, GoodsSet, Nth, Per, Promotion
from shared.engine.turn import Offer
from shared.money import PPM

APART_MAX: Final = 24
"""With more kinds than this, identical pieces of lines far apart are one kind."""

_NOTHING: Final = Fraction(0)


class Seat:
    """What a piece is to one result: worth so much alone, or fit for an application.

    ``slot`` is -1 where there are no slots. ``worth`` is what the piece gains where it is
    discounted, ``space`` the most it can, both in units; ``run`` where it was offered; ``group``
    what must be the same in an application.
    """

    __slots__ = ("group", "result", "run", "shared", "slot", "space", "worth")

    def __init__(self, result: int, slot: int, run: Run, group: str = "") -> None:
        self.result: int = result
        self.slot: int = slot
        self.run: Run = run
        self.group: str = group
        self.shared: Fraction = _NOTHING
        """Its share of an amount, where that is its rule."""
        self.worth: int = 0
        self.space: int = 0

    def key(self) -> tuple[object, ...]:
        """What must be equal in identical pieces."""
        run = self.run
        return (
            self.result,
            self.slot,
            self.worth,
            self.space,
            run.rule,
            run.value if run.rule != SHARED else 0,
            run.chips,
            self.group,
        )


class Kind:
    """Identical pieces: where they are, in the order of lines, and their seats.

    ``weight`` is the net of one piece in units.
    """

    __slots__ = ("count", "pieces", "seats", "weight")

    def __init__(self, weight: int, seats: list[Seat]) -> None:
        self.weight: int = weight
        self.seats: list[Seat] = seats
        self.pieces: list[Run] = []
        self.count: int = 0


Member = tuple[int, Seat]
"""The index of a kind, and its seat."""


class Kinds:
    """All kinds; ``of`` each result those that it may use, with their seats.

    ``unit``: how many units of value a kopeck is.
    """

    __slots__ = ("all", "of", "unit")

    def __init__(self, kinds: list[Kind], unit: int, results: int) -> None:
        self.all: list[Kind] = kinds
        self.unit: int = unit
        self.of: list[list[Member]] = [[] for _ in range(results)]
        for index, kind in enumerate(kinds):
            for seat in kind.seats:
                self.of[seat.result].append((index, seat))

    def in_groups(self, result: int, *, lower_first: bool) -> list[list[Member]]:
        """The members of an ``nth`` that may go together, dearest first.

        ``lower_first``: of equal prices those of lower lines; otherwise those of later ones. The
        last of an application are the taken ones.
        """
        groups: dict[str, list[Member]] = {}
        for member in self.of[result]:
            groups.setdefault(member[1].group, []).append(member)
        way = 1 if lower_first else -1
        for members in groups.values():
            members.sort(key=lambda member: (-self.all[member[0]].weight, way * member[0]))
        return list(groups.values())

    def by_slot(self, result: int, slots: int) -> list[list[Member]]:
        """The members of a set, slot by slot."""
        found: list[list[Member]] = [[] for _ in range(slots)]
        for member in self.of[result]:
            found[member[1].slot].append(member)
        return found


def find_kinds(at: Situation, results: list[Result]) -> Kinds:
    """Cut the lots where any offer begins or ends, and put identical pieces together."""
    floors = _Floors(at.state.max_discount_ppm)
    seats: list[Seat] = []
    for number, result in enumerate(results):
        seats.extend(_seats(at, number, result, floors))
    unit = _unit(seats, results, floors)
    marks: dict[int, set[int]] = {}
    by_lot: dict[int, list[Seat]] = {}
    lots: dict[int, Lot] = {}
    for seat in seats:
        _price(seat, unit, floors.of(seat.run.lot, results[seat.result].promotion))
        if seat.worth <= 0 and not isinstance(results[seat.result].spec, (Nth, GoodsSet)):
            continue
        key = id(seat.run.lot)
        lots[key] = seat.run.lot
        marks.setdefault(key, set()).update((seat.run.start, seat.run.end))
        by_lot.setdefault(key, []).append(seat)
    stretches: list[_Stretch] = []
    for key, lot in lots.items():
        for start, end in pairwise(sorted(marks[key])):
            here = [seat for seat in by_lot[key] if seat.run.start <= start and end <= seat.run.end]
            if here:
                stretches.append(_Stretch(Run(lot, start, end), _weight(lot, unit), here))
    stretches.sort(key=_where)
    kinds = _together(stretches, apart=True)
    if len(kinds) > APART_MAX:
        kinds = _together(stretches, apart=False)
    return Kinds(kinds, unit, len(results))


class _Stretch:
    """Neighbouring pieces of one lot that are the same to every result."""

    __slots__ = ("run", "seats", "signature", "weight")

    def __init__(self, run: Run, weight: int, seats: list[Seat]) -> None:
        self.run: Run = run
        self.weight: int = weight
        self.seats: list[Seat] = seats
        self.signature: tuple[object, ...] = (weight, *[seat.key() for seat in seats])


def _where(stretch: _Stretch) -> tuple[int, int]:
    return (stretch.run.lot.line.index, stretch.run.start)


def _together(stretches: list[_Stretch], *, apart: bool) -> list[Kind]:
    """Identical pieces together, in the order of lines.

    ``apart``: only those that stand beside each other, so that kinds are in the order of lines.
    Otherwise also over others of a different price; not over others of the same price, because of
    equal pieces an ``nth`` takes those of the later lines.
    """
    kinds: list[Kind] = []
    latest: dict[int, _Stretch] = {}
    kind_of: dict[int, Kind] = {}
    before: _Stretch | None = None
    for stretch in stretches:
        like = before if apart else latest.get(stretch.weight)
        if like is not None and like.signature == stretch.signature:
            kind = kind_of[id(like)]
        else:
            kind = Kind(stretch.weight, stretch.seats)
            kinds.append(kind)
        kind_of[id(stretch)] = kind
        kind.pieces.append(stretch.run)
        kind.count += stretch.run.end - stretch.run.start
        before = latest[stretch.weight] = stretch
    return kinds


# --- seats


def _seats(at: Situation, number: int, result: Result, floors: _Floors) -> list[Seat]:
    promotion = result.promotion
    spec = result.spec
    found: list[Seat] = []
    if isinstance(spec, Nth):
        rule, value = nth_rule(spec)
        for run in open_runs(_countable(at, spec.filter), promotion, None):
            group = ""
            if spec.same is Per.SKU:
                group = run.lot.line.sku
            elif spec.same is Per.LINE:
                group = str(run.lot.line.index)
            found.append(Seat(number, -1, run.ruled(rule, value), group))
    elif isinstance(spec, GoodsSet):
        for place, slot in enumerate(spec.slots):
            rule, value = slot_rule(spec, place)
            if spec.percent_ppm is not None:
                rule, value = PERCENT, spec.percent_ppm
            found.extend(
                Seat(number, place, run.ruled(rule, value))
                for run in open_runs(_countable(at, slot.filter), promotion, None)
            )
    else:
        shares = _exact_shares(promotion, result.offer, floors)
        for run in result.offer.runs:
            seat = Seat(number, -1, run)
            if run.rule == SHARED:
                seat.shared = shares.get(id(run.lot), _NOTHING)
            found.append(seat)
    return found


def nth_rule(spec: Nth) -> tuple[int, int]:
    """What the taken pieces get."""
    if spec.price_minor is not None:
        return PRICE, spec.price_minor
    return PERCENT, spec.percent_ppm or 0


def slot_rule(spec: GoodsSet, place: int) -> tuple[int, int]:
    """What the pieces of the slot get for themselves."""
    slot = spec.slots[place]
    if slot.percent_ppm is not None:
        return PERCENT, slot.percent_ppm
    if slot.price_minor is not None:
        return PRICE, slot.price_minor
    return NO_RULE, 0


def _countable(at: Situation, wanted: Filter) -> list[LineState]:
    return [line for line in at.lines(wanted) if line.takes_benefits and line.countable]


# --- exact values


def _unit(seats: list[Seat], results: list[Result], floors: _Floors) -> int:
    """A kopeck in units such that every exact value is whole."""
    pieces = {1}
    rates = {1}
    others = {1}
    for seat in seats:
        run = seat.run
        lot = run.lot
        pieces.add(lot.piece_count)
        if run.rule == PERCENT:
            rates.add(PPM // gcd(run.value, PPM))
        elif run.rule in (PRICE, EACH):
            others.add(1000 // gcd(run.value * lot.line.piece_milli, 1000))
        elif run.rule == SHARED:
            others.add(seat.shared.denominator)
        floor = floors.of(lot, results[seat.result].promotion)
        if floor is not None:
            others.add(floor.denominator)
    return lcm(lcm(*pieces) * lcm(*rates), *others)


def _weight(lot: Lot, unit: int) -> int:
    """The net of one piece in units."""
    return lot.net_minor * unit // lot.piece_count


def _price(seat: Seat, unit: int, floor: Fraction | None) -> None:
    run = seat.run
    net = _weight(run.lot, unit)
    seat.space = net if floor is None else max(net - _units(floor, unit), 0)
    milli = run.lot.line.piece_milli
    worth = 0
    if run.rule == PERCENT:
        worth = net * run.value // PPM
    elif run.rule == PRICE and run.value >= 0:
        worth = net - run.value * milli * unit // 1000
    elif run.rule == EACH:
        worth = min(run.value * milli * unit // 1000, net)
    elif run.rule == SHARED:
        worth = _units(seat.shared, unit)
    seat.worth = max(min(worth, seat.space), 0)


def _units(value: Fraction, unit: int) -> int:
    return value.numerator * (unit // value.denominator)


class _Floors:
    """The floors of single pieces before any rounding, each reckoned once."""

    __slots__ = ("known", "max_discount_ppm")

    def __init__(self, max_discount_ppm: int) -> None:
        self.max_discount_ppm: int = max_discount_ppm
        self.known: dict[tuple[int, bool, bool], Fraction | None] = {}

    def of(self, lot: Lot, promotion: Promotion) -> Fraction | None:
        """The least that a piece of the lot may cost; None: it may be given away."""
        key = (lot.line.index, promotion.ignore_floor, promotion.ignore_soft)
        if key not in self.known:
            self.known[key] = self._exact(lot.line, promotion)
        return self.known[key]

    def _exact(self, line: LineState, promotion: Promotion) -> Fraction | None:
        bought = line.line
        soft = bought.soft
        rate = self.max_discount_ppm if bought.max_discount_ppm is None else bought.max_discount_ppm
        if rate == PPM and bought.min_price_minor is None and soft is None:
            return None
        milli = line.piece_milli
        excise = "excise_alcohol" in bought.flags
        # The list amount of a block is rounded by its definition; that of a piece is its price.
        price = Fraction(amount_of(bought.price_minor, milli))
        floor = Fraction(0)
        if excise or not promotion.ignore_floor:
            floor = max(floor, price * Fraction(PPM - rate, PPM))
            if bought.min_price_minor is not None:
                floor = max(floor, Fraction(bought.min_price_minor * milli, 1000))
        if soft is not None and (excise or not promotion.ignore_soft):
            if soft.max_discount_ppm is not None:
                floor = max(floor, price * Fraction(PPM - soft.max_discount_ppm, PPM))
            if soft.min_price_minor is not None:
                floor = max(floor, Fraction(soft.min_price_minor * milli, 1000))
        return floor


def _exact_shares(promotion: Promotion, offer: Offer, floors: _Floors) -> dict[int, Fraction]:
    """What one piece of each lot gets of a shared amount alone, exactly.

    Allocated by net; what a floor takes is allocated again over those with room.
    """
    runs = [run for run in offer.runs if run.rule == SHARED and run.lot.net_minor]
    if not runs:
        return {}
    pieces: dict[int, int] = {}
    lots: dict[int, Lot] = {}
    for run in runs:
        lots[id(run.lot)] = run.lot
        pieces[id(run.lot)] = pieces.get(id(run.lot), 0) + run.end - run.start
    nets: dict[int, Fraction] = {}
    rooms: dict[int, Fraction] = {}
    for key, lot in lots.items():
        share = Fraction(lot.net_minor, lot.piece_count)
        floor = floors.of(lot, promotion)
        nets[key] = share * pieces[key]
        rooms[key] = nets[key] if floor is None else max(share - floor, _NOTHING) * pieces[key]
    given = dict.fromkeys(lots, Fraction(0))
    left = min(Fraction(runs[0].value), sum(nets.values(), Fraction(0)))
    open_keys = [key for key in lots if rooms[key] > 0]
    while left > 0 and open_keys:
        weight = sum([nets[key] for key in open_keys], Fraction(0))
        spread = left
        for key in open_keys:
            share = min(spread * Fraction(nets[key], weight), rooms[key] - given[key])
            given[key] += share
            left -= share
        open_keys = [key for key in open_keys if rooms[key] > given[key]]
    return {key: Fraction(given[key], pieces[key]) for key in lots}

"""The mode ``best``: which disjoint applications together save most (section 6).

Two pulling examples. A set of A and B beats ten percent on each, but not thirty percent: sets
compete with what their pieces could get alone. And "the second at half price" over prices 90, 80,
50, 40 pairs them 90+80 and 50+40, unless the 50 is worth more elsewhere: which pieces go together
is part of the choice. So every promotion says which applications it has (the pieces it would take
alone, any n pieces for an ``nth``, any pieces that fill the slots of a set), each at its exact
value on the amounts at the start of the group, and ``packing`` finds the best disjoint choice.
Identical pieces are one kind. Limits and caps bind the choice.

For equal sums: fewer applications, then more of the first promotion, of the second, …: these
stand below the value in one number, so that the search needs no second look.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import comb, lcm
from typing import Final

from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.lots import LineState, Lot, amount_of
from shared.engine.offers import chips_left
from shared.engine.packing import Column, pack
from shared.engine.pieces import EACH, NO_RULE, PERCENT, PRICE, SHARED, Run, open_runs
from shared.engine.program import Filter, GoodsSet, Nth, Per, Promotion
from shared.engine.ready import GOODS, Work
from shared.engine.turn import Bundle, Offer, Taking
from shared.money import PPM, divide_half_up
from shared.wire.receipt import ReceiptLine

COLUMNS_MAX: Final = 20_000
"""Ways to make an application; where there are more the optimum is not proven."""

KINDS_APART_MAX: Final = 24
"""With more kinds than this, identical pieces of lines far apart are one kind."""

OFFSETS_MAX: Final = 16
"""From how many offsets neighbours are run together, where not all ways can be tried."""
TIE_BITS_MAX: Final = 2_048
"""Digits for the preference of lower lines: beyond this it would cost more than it decides."""


class Entrant:
    """A promotion that competes: what it offers result by result, and what its limits leave."""

    __slots__ = ("allowance", "offers", "work")

    def __init__(self, work: Work, allowance: Allowance, offers: list[Offer]) -> None:
        self.work: Work = work
        self.allowance: Allowance = allowance
        self.offers: list[Offer] = offers


class Choice:
    """What each entrant takes, result by result."""

    __slots__ = ("optimal", "takings")

    def __init__(self, takings: list[list[Taking]], *, optimal: bool) -> None:
        self.takings: list[list[Taking]] = takings
        self.optimal: bool = optimal


class _Seat:
    """What a piece is to one result: worth so much alone, or fit for an application.

    ``slot`` is -1 where there are no slots. ``value`` is what the piece gains where it is
    discounted, ``room`` the most it can, ``run`` where it was offered.
    """

    __slots__ = ("group", "result", "room", "run", "slot", "space", "value", "worth")

    def __init__(
        self, result: int, slot: int, value: Fraction, room: Fraction, run: Run, group: str
    ) -> None:
        self.result: int = result
        self.slot: int = slot
        self.value: Fraction = value
        self.room: Fraction = room
        self.worth: int = 0
        """The value in whole units of value, once that unit is known; ``space`` is the room."""
        self.space: int = 0
        self.run: Run = run
        self.group: str = group

    def key(self) -> tuple[object, ...]:
        """What must be equal in identical pieces."""
        run = self.run
        return (
            self.result,
            self.slot,
            self.value,
            self.room,
            run.rule,
            run.value if run.rule != SHARED else 0,
            run.chips,
            self.group,
        )


class _Kind:
    """Identical pieces: where they are, in the order of lines, and their seats."""

    __slots__ = ("count", "pieces", "seats", "share", "weight")

    def __init__(self, share: Fraction, seats: list[_Seat]) -> None:
        self.share: Fraction = share
        self.weight: int = 0
        """The share in whole units of value."""
        self.seats: list[_Seat] = seats
        self.pieces: list[Run] = []
        self.count: int = 0


class _Stretch:
    """Neighbouring pieces of one lot that are the same to every result."""

    __slots__ = ("run", "seats", "share", "signature")

    def __init__(self, run: Run, share: Fraction, seats: list[_Seat]) -> None:
        self.run: Run = run
        self.share: Fraction = share
        self.seats: list[_Seat] = seats
        self.signature: tuple[object, ...] = (share, *[seat.key() for seat in seats])


def _kinds_of(stretches: list[_Stretch], *, apart: bool) -> list[_Kind]:
    """Identical pieces together, in the order of lines.

    ``apart``: only those that stand beside each other, so that kinds are in the order of lines.
    Otherwise also over others of a different price; not over others of the same price, because of
    equal pieces an ``nth`` takes those of the later lines.
    """
    kinds: list[_Kind] = []
    latest: dict[Fraction, _Stretch] = {}
    kind_of: dict[int, _Kind] = {}
    before: _Stretch | None = None
    for stretch in stretches:
        like = before if apart else latest.get(stretch.share)
        if like is not None and like.signature == stretch.signature:
            kind = kind_of[id(like)]
        else:
            kind = _Kind(stretch.share, stretch.seats)
            kinds.append(kind)
        kind_of[id(stretch)] = kind
        kind.pieces.append(stretch.run)
        kind.count += stretch.run.end - stretch.run.start
        before = latest[stretch.share] = stretch
    return kinds


class _Plan:
    """How a column is turned back into pieces: kinds in the order in which they are taken."""

    __slots__ = ("entrant", "paid", "result", "seat", "taken")

    def __init__(self, entrant: int, result: int) -> None:
        self.entrant: int = entrant
        self.result: int = result
        self.seat: _Seat | None = None
        """Of a single piece."""
        self.taken: list[tuple[int, int, int]] = []
        """Kind, count, slot."""
        self.paid: list[tuple[int, int, int]] = []


class _Result:
    """One result of an entrant, numbered through."""

    __slots__ = ("cap", "draws_application", "entrant", "index", "offer", "pieces_resource", "spec")

    def __init__(self, entrant: int, index: int, offer: Offer, spec: object) -> None:
        self.entrant: int = entrant
        self.index: int = index
        self.offer: Offer = offer
        self.spec: object = spec
        self.cap: int = -1
        self.draws_application: list[int] = []
        self.pieces_resource: int = -1


def choose_best(at: Situation, entrants: list[Entrant]) -> Choice:
    """The choice of greatest exact sum, and whether that is proven."""
    return _Chooser(at, entrants).choose()


class _Chooser:
    __slots__ = (
        "at",
        "caps",
        "columns",
        "complete",
        "entrants",
        "kinds",
        "line_base",
        "plans",
        "results",
        "supplies",
        "unit",
        "worth_of",
    )

    def __init__(self, at: Situation, entrants: list[Entrant]) -> None:
        self.at: Situation = at
        self.entrants: list[Entrant] = entrants
        self.results: list[_Result] = []
        self.kinds: list[_Kind] = []
        self.supplies: list[int] = []
        self.caps: list[int] = []
        self.columns: list[Column] = []
        self.plans: list[_Plan] = []
        self.complete: bool = True
        self.line_base: int = 0
        """Of the digits that prefer lower lines; 0 where there are too many to write down."""
        self.unit: int = 1
        self.worth_of: list[int] = []
        """What one application of each entrant adds below the value."""
        for number, entrant in enumerate(entrants):
            for index, (step, offer) in enumerate(
                zip(entrant.work.stages[GOODS], entrant.offers, strict=True)
            ):
                self.results.append(_Result(number, index, offer, step.result))

    def choose(self) -> Choice:
        self._find_kinds()
        nothing = [[Taking([], []) for _ in entrant.offers] for entrant in self.entrants]
        if not self.kinds:
            return Choice(nothing, optimal=True)
        self._weigh()
        self._bound()
        for number, result in enumerate(self.results):
            spec = result.spec
            if isinstance(spec, Nth):
                self._nth_columns(number, result, spec)
            elif isinstance(spec, GoodsSet):
                self._set_columns(number, result, spec)
            else:
                self._single_columns(number, result)
        counts = [kind.count for kind in self.kinds]
        scale = self.worth_of[-1]
        packing = pack(
            counts, self.columns, self.supplies, self.caps, scale, complete=self.complete
        )
        return Choice(self._deal(packing.chosen, nothing), optimal=packing.optimal)

    # --- kinds of pieces

    def _find_kinds(self) -> None:
        """Cut the lots where any offer begins or ends, and put identical pieces together."""
        marks: dict[int, set[int]] = {}
        seats: dict[int, list[_Seat]] = {}
        lots: dict[int, Lot] = {}
        for number, result in enumerate(self.results):
            for seat in self._seats(number, result):
                key = id(seat.run.lot)
                lots[key] = seat.run.lot
                marks.setdefault(key, set()).update((seat.run.start, seat.run.end))
                seats.setdefault(key, []).append(seat)
        stretches: list[_Stretch] = []
        for key, lot in lots.items():
            share = Fraction(lot.net_minor, lot.piece_count)
            for start, end in pairwise(sorted(marks[key])):
                here = [
                    seat for seat in seats[key] if seat.run.start <= start and end <= seat.run.end
                ]
                if here:
                    stretches.append(_Stretch(Run(lot, start, end), share, here))
        stretches.sort(key=_where)
        self.kinds = _kinds_of(stretches, apart=True)
        if len(self.kinds) > KINDS_APART_MAX:
            self.kinds = _kinds_of(stretches, apart=False)

    def _seats(self, number: int, result: _Result) -> list[_Seat]:
        promotion = self.entrants[result.entrant].work.promotion
        spec = result.spec
        found: list[_Seat] = []
        if isinstance(spec, Nth):
            rule = PRICE if spec.price_minor is not None else PERCENT
            value = spec.price_minor if spec.price_minor is not None else spec.percent_ppm or 0
            for run in open_runs(self._lines(spec.filter, countable=True), promotion, None):
                group = ""
                if spec.same is Per.SKU:
                    group = run.lot.line.line.sku
                elif spec.same is Per.LINE:
                    group = str(run.lot.line.index)
                seat = self._seat(number, -1, run.ruled(rule, value), promotion, group)
                found.append(seat)
        elif isinstance(spec, GoodsSet):
            for place, slot in enumerate(spec.slots):
                rule, value = NO_RULE, 0
                if spec.percent_ppm is not None:
                    rule, value = PERCENT, spec.percent_ppm
                elif slot.percent_ppm is not None:
                    rule, value = PERCENT, slot.percent_ppm
                elif slot.price_minor is not None:
                    rule, value = PRICE, slot.price_minor
                found.extend(
                    self._seat(number, place, run.ruled(rule, value), promotion, "")
                    for run in open_runs(self._lines(slot.filter, countable=True), promotion, None)
                )
        else:
            shares = _exact_shares(self.at, promotion, result.offer)
            for run in result.offer.runs:
                seat = self._seat(number, -1, run, promotion, "")
                if run.rule == SHARED:
                    seat.value = shares.get(id(run.lot), Fraction(0))
                if seat.value > 0:
                    found.append(seat)
        return found

    def _lines(self, wanted: Filter, *, countable: bool) -> list[LineState]:
        return [
            line
            for line in self.at.lines(wanted)
            if line.takes_benefits and (line.countable or not countable)
        ]

    def _seat(self, number: int, slot: int, run: Run, promotion: Promotion, group: str) -> _Seat:
        lot = run.lot
        share = Fraction(lot.net_minor, lot.piece_count)
        room = _exact_room(self.at, promotion, lot, share)
        units = lot.line.piece_milli
        value = Fraction(0)
        if run.rule == PERCENT:
            value = share * Fraction(run.value, PPM)
        elif run.rule == PRICE and run.value >= 0:
            value = share - Fraction(run.value * units, 1000)
        elif run.rule == EACH:
            value = min(Fraction(run.value * units, 1000), share)
        return _Seat(number, slot, max(min(value, room), Fraction(0)), room, run, group)

    # --- weights and limits

    def _weigh(self) -> None:
        """One unit of value for all exact shares, and the rules for equal sums below it."""
        denominators = [1]
        for kind in self.kinds:
            denominators.append(kind.share.denominator)
            for seat in kind.seats:
                denominators.append(seat.value.denominator)
                denominators.append(seat.room.denominator)
        self.unit = lcm(*denominators)
        for kind in self.kinds:
            kind.weight = _scaled(kind.share, self.unit)
            for seat in kind.seats:
                seat.worth = _scaled(seat.value, self.unit)
                seat.space = _scaled(seat.room, self.unit)
        base = sum([kind.count for kind in self.kinds]) + 1
        entrants = len(self.entrants)
        # Fewer applications weigh most, then applications of the first entrant, of the second, …,
        # then lower lines for the first entrant, for the second, …: digits of one number.
        places = len(self.kinds) * entrants
        self.line_base = base if places * base.bit_length() <= TIE_BITS_MAX else 0
        below = base**places if self.line_base else 1
        top = below * base ** (entrants + 1)
        self.worth_of = [below * base ** (entrants - number) - top for number in range(entrants)]
        self.worth_of.append(top * base * 2)

    def _bound(self) -> None:
        """Limits as resources that columns draw on, and caps on what results give."""
        chips: dict[str, int] = {}
        for result in self.results:
            allowance = self.entrants[result.entrant].allowance
            if result.index == 0:
                applications = pieces = claimed = shared = -1
                if allowance.applications_left is not None:
                    applications = self._supply(allowance.applications_left)
                if allowance.pieces_left is not None:
                    pieces = self._supply(allowance.pieces_left)
                if allowance.claimed_left is not None:
                    claimed = self._supply(allowance.claimed_left)
            result.pieces_resource = pieces
            if applications >= 0:
                result.draws_application.append(applications)
            if claimed >= 0 and isinstance(result.spec, (Nth, GoodsSet)):
                result.draws_application.append(claimed)
            own, left = result.offer.cap_minor, allowance.discount_left_minor
            if left is not None and len(self.entrants[result.entrant].offers) > 1:
                # One limit of money for several results. A cap of their own is then looked at
                # only when the discount is given, so the optimum is not proven.
                if shared < 0:
                    shared = self._cap(left)
                result.cap = shared
                self.complete = self.complete and own is None
            elif own is not None or left is not None:
                result.cap = self._cap(min([cap for cap in (own, left) if cap is not None]))
            account = result.offer.chips_account
            if account and account not in chips:
                chips[account] = self._supply(max(chips_left(self.at, account), 0))
        self._chips(chips)

    def _chips(self, chips: dict[str, int]) -> None:
        for result in self.results:
            if result.offer.chips_account:
                result.draws_application.append(-1 - chips[result.offer.chips_account])

    def _cap(self, amount_minor: int) -> int:
        self.caps.append(amount_minor * self.unit)
        return len(self.caps) - 1

    def _supply(self, amount: int) -> int:
        self.supplies.append(amount)
        return len(self.supplies) - 1

    def _add(
        self, result: _Result, uses: dict[int, int], value: int, discounted: int, plan: _Plan
    ) -> bool:
        """Add a column of so many whole units of value; false where there are too many."""
        if value <= 0:
            return True
        if len(self.columns) >= COLUMNS_MAX:
            self.complete = False
            return False
        draws: list[tuple[int, int]] = []
        for resource in result.draws_application:
            if resource >= 0:
                draws.append((resource, 1))
            elif plan.seat is not None and plan.seat.run.chips:
                draws.append((-1 - resource, plan.seat.run.chips))
        if result.pieces_resource >= 0:
            draws.append((result.pieces_resource, discounted))
        worth = value * self.worth_of[-1] + self.worth_of[result.entrant]
        if self.line_base:
            first = (len(self.entrants) - 1 - result.entrant) * len(self.kinds)
            for kind, count in uses.items():
                worth += count * self.line_base ** (first + len(self.kinds) - 1 - kind)
        mark = len(self.plans)
        self.plans.append(plan)
        self.columns.append(Column(sorted(uses.items()), value, worth, draws, result.cap, mark))
        return True

    # --- columns

    def _seats_of(self, number: int) -> list[tuple[int, _Seat]]:
        return [
            (index, seat)
            for index, kind in enumerate(self.kinds)
            for seat in kind.seats
            if seat.result == number
        ]

    def _single_columns(self, number: int, result: _Result) -> None:
        for index, seat in self._seats_of(number):
            plan = _Plan(result.entrant, result.index)
            plan.seat = seat
            plan.taken.append((index, 1, -1))
            if not self._add(result, {index: 1}, seat.worth, 1, plan):
                return

    def _nth_columns(self, number: int, result: _Result, spec: Nth) -> None:
        groups: dict[str, list[tuple[int, _Seat]]] = {}
        for index, seat in self._seats_of(number):
            groups.setdefault(seat.group, []).append((index, seat))
        # Dearest first; of equal prices ``chunks`` takes the later lines, ``cheapest`` the lower.
        way = -1 if spec.cheapest else 1
        for members in groups.values():
            members.sort(key=lambda member: (-self.kinds[member[0]].share, way * member[0]))
            total = sum([self.kinds[index].count for index, _ in members])
            if total >= spec.every and not self._nth_group(result, spec, members):
                return

    def _nth_group(self, result: _Result, spec: Nth, members: list[tuple[int, _Seat]]) -> bool:
        """All ways to choose n pieces; where there are too many, runs of neighbours."""
        every = spec.every
        if comb(len(members) + every - 1, every) > COLUMNS_MAX:
            self.complete = False
            return self._nth_neighbours(result, spec, members)
        after = [0] * (len(members) + 1)
        for place in range(len(members) - 1, -1, -1):
            after[place] = after[place + 1] + self.kinds[members[place][0]].count
        picks: list[tuple[int, int]] = []

        def extend(at: int, size: int) -> bool:
            if size == every:
                return self._add_nth(result, spec, members, picks)
            for place in range(at, len(members)):
                if after[place] < every - size:
                    return True
                most = min(self.kinds[members[place][0]].count, every - size)
                for count in range(most, 0, -1):
                    picks.append((place, count))
                    going = extend(place + 1, size + count)
                    picks.pop()
                    if not going:
                        return False
            return True

        return extend(0, 0)

    def _nth_neighbours(self, result: _Result, spec: Nth, members: list[tuple[int, _Seat]]) -> bool:
        """Runs of pieces that stand beside one another, dearest first, from every offset."""
        for offset in range(min(spec.every, OFFSETS_MAX)):
            picks: list[tuple[int, int]] = []
            size = 0
            skip = offset
            for place, (index, _) in enumerate(members):
                count = self.kinds[index].count
                passed = min(skip, count)
                skip -= passed
                count -= passed
                while count:
                    part = min(count, spec.every - size)
                    picks.append((place, part))
                    size += part
                    count -= part
                    if size == spec.every:
                        if not self._add_nth(result, spec, members, picks):
                            return False
                        picks, size = [], 0
                        # Further runs of this kind alone are the same column.
                        if count > 2 * spec.every:
                            count = count % spec.every + spec.every
        return True

    def _add_nth(
        self,
        result: _Result,
        spec: Nth,
        members: list[tuple[int, _Seat]],
        picks: list[tuple[int, int]],
    ) -> bool:
        """One run: dearest first, the last m of it are the taken ones."""
        paid = spec.every - spec.take
        uses: dict[int, int] = {}
        plan = _Plan(result.entrant, result.index)
        value = position = discounted = 0
        for place, count in picks:
            index, seat = members[place]
            uses[index] = uses.get(index, 0) + count
            free = max(min(paid - position, count), 0)
            if free:
                plan.paid.append((index, free, -1))
            if count > free:
                # Pieces that gain nothing are only used.
                gains = seat.worth > 0
                (plan.taken if gains else plan.paid).append((index, count - free, -1))
                value += seat.worth * (count - free)
                discounted += count - free if gains else 0
            position += count
        return self._add(result, uses, value, discounted, plan)

    def _set_columns(self, number: int, result: _Result, spec: GoodsSet) -> None:
        slots: list[list[tuple[int, _Seat]]] = [[] for _ in spec.slots]
        for index, seat in self._seats_of(number):
            slots[seat.slot].append((index, seat))
        if not all(slots):
            return
        best: dict[tuple[tuple[int, int], ...], tuple[int, int, _Plan]] = {}
        ways = 1
        for place, slot in enumerate(spec.slots):
            ways *= comb(len(slots[place]) + slot.quantity - 1, slot.quantity)
        if ways > COLUMNS_MAX * 4:
            self.complete = False
            self._sets_in_turn(result, spec, slots, best)
        else:
            self._all_sets(result, spec, slots, best)
        for items, (value, discounted, plan) in best.items():
            if not self._add(result, dict(items), value, discounted, plan):
                return

    def _sets_in_turn(
        self,
        result: _Result,
        spec: GoodsSet,
        slots: list[list[tuple[int, _Seat]]],
        best: dict[tuple[tuple[int, int], ...], tuple[int, int, _Plan]],
    ) -> None:
        """Sets one after another, each slot taking its dearest free pieces."""
        left = [kind.count for kind in self.kinds]
        ordered = [
            sorted(slot, key=lambda member: (-self.kinds[member[0]].share, member[0]))
            for slot in slots
        ]
        starts = [0] * len(slots)
        for _ in range(COLUMNS_MAX):
            uses: dict[int, int] = {}
            picks: list[tuple[int, int, int, _Seat]] = []
            for place, slot in enumerate(spec.slots):
                need = slot.quantity
                members = ordered[place]
                while starts[place] < len(members) and not left[members[starts[place]][0]]:
                    starts[place] += 1
                for index, seat in members[starts[place] :]:
                    count = min(left[index] - uses.get(index, 0), need)
                    if count > 0:
                        uses[index] = uses.get(index, 0) + count
                        picks.append((index, count, place, seat))
                        need -= count
                    if not need:
                        break
                if need:
                    return
            self._keep_set(result, spec, uses, picks, best)
            times = min([left[index] // count for index, count in uses.items()])
            for index, count in uses.items():
                left[index] -= count * times

    def _all_sets(
        self,
        result: _Result,
        spec: GoodsSet,
        slots: list[list[tuple[int, _Seat]]],
        best: dict[tuple[tuple[int, int], ...], tuple[int, int, _Plan]],
    ) -> None:
        uses: dict[int, int] = {}
        picks: list[tuple[int, int, int, _Seat]] = []

        def fill(slot: int, at: int, need: int) -> None:
            if need == 0:
                if slot + 1 < len(slots):
                    fill(slot + 1, 0, spec.slots[slot + 1].quantity)
                else:
                    self._keep_set(result, spec, uses, picks, best)
                return
            for place in range(at, len(slots[slot])):
                index, seat = slots[slot][place]
                free = self.kinds[index].count - uses.get(index, 0)
                for count in range(min(free, need), 0, -1):
                    uses[index] = uses.get(index, 0) + count
                    picks.append((index, count, slot, seat))
                    fill(slot, place + 1, need - count)
                    picks.pop()
                    uses[index] -= count
                    if not uses[index]:
                        del uses[index]

        fill(0, 0, spec.slots[0].quantity)

    def _keep_set(
        self,
        result: _Result,
        spec: GoodsSet,
        uses: dict[int, int],
        picks: list[tuple[int, int, int, _Seat]],
        best: dict[tuple[tuple[int, int], ...], tuple[int, int, _Plan]],
    ) -> None:
        """The value of one set; of two with the same pieces the better is kept."""
        key = tuple(sorted(uses.items()))
        known = best.get(key)
        value = room = net = discounted = 0
        whole = (
            spec.price_minor is not None
            or spec.percent_ppm is not None
            or spec.amount_minor is not None
        )
        if whole and known is not None:
            return
        for index, count, _, seat in picks:
            value += seat.worth * count
            room += seat.space * count
            net += self.kinds[index].weight * count
            if whole or seat.worth > 0:
                discounted += count
        if spec.price_minor is not None:
            value = min(max(net - spec.price_minor * self.unit, 0), room)
        elif spec.amount_minor is not None:
            value = min(spec.amount_minor * self.unit, net, room)
        if value <= 0 or (known is not None and known[0] >= value):
            return
        plan = _Plan(result.entrant, result.index)
        for index, count, slot, seat in picks:
            taken = whole or seat.worth > 0
            (plan.taken if taken else plan.paid).append((index, count, slot))
        best[key] = (value, discounted, plan)

    # --- back to pieces

    def _deal(self, chosen: dict[int, int], takings: list[list[Taking]]) -> list[list[Taking]]:
        """Give the pieces out: earlier promotions get the lower lines."""
        pools = [_Pool(kind.pieces) for kind in self.kinds]
        single: dict[tuple[int, int], list[tuple[_Seat, Run]]] = {}
        order = sorted(chosen, key=lambda mark: (self.plans[mark].entrant, mark))
        for mark in order:
            plan = self.plans[mark]
            taking = takings[plan.entrant][plan.result]
            if plan.seat is not None:
                where = (plan.entrant, plan.result)
                seat = plan.seat
                found = pools[plan.taken[0][0]].take(chosen[mark])
                single.setdefault(where, []).extend([(seat, run) for run in found])
                continue
            spec = self.entrants[plan.entrant].work.stages[GOODS][plan.result].result
            for _ in range(chosen[mark]):
                taking.bundles.append(_bundle(spec, plan, pools))
        for (entrant, index), pieces in single.items():
            takings[entrant][index].runs = _ruled(pieces, self.entrants[entrant].offers[index])
        return takings


class _Pool:
    """Pieces of one kind, handed out from the front."""

    __slots__ = ("at", "index", "pieces")

    def __init__(self, pieces: list[Run]) -> None:
        self.pieces: list[Run] = pieces
        self.index: int = 0
        self.at: int = pieces[0].start

    def take(self, count: int) -> list[Run]:
        """The next pieces."""
        found: list[Run] = []
        while count > 0:
            run = self.pieces[self.index]
            end = min(self.at + count, run.end)
            if end > self.at:
                found.append(Run(run.lot, self.at, end))
                count -= end - self.at
                self.at = end
            if self.at >= run.end:
                self.index += 1
                if self.index == len(self.pieces):
                    break
                self.at = self.pieces[self.index].start
        assert count == 0, "no more pieces are chosen than there are"
        return found


def _bundle(spec: object, plan: _Plan, pools: list[_Pool]) -> Bundle:
    paid: list[Run] = []
    paid_first = not isinstance(spec, Nth) or not spec.cheapest
    if paid_first:
        paid = [run for kind, count, _ in plan.paid for run in pools[kind].take(count)]
    taken: list[Run] = []
    whole, whole_value = NO_RULE, 0
    for kind, count, slot in plan.taken:
        rule, value = NO_RULE, 0
        if isinstance(spec, Nth):
            rule = PRICE if spec.price_minor is not None else PERCENT
            value = spec.price_minor if spec.price_minor is not None else spec.percent_ppm or 0
        elif isinstance(spec, GoodsSet):
            place = spec.slots[slot]
            if place.percent_ppm is not None:
                rule, value = PERCENT, place.percent_ppm
            elif place.price_minor is not None:
                rule, value = PRICE, place.price_minor
        taken.extend([run.ruled(rule, value) for run in pools[kind].take(count)])
    if not paid_first:
        paid = [run for kind, count, _ in plan.paid for run in pools[kind].take(count)]
    if isinstance(spec, GoodsSet):
        if spec.price_minor is not None:
            whole, whole_value = PRICE, spec.price_minor
        elif spec.percent_ppm is not None:
            whole, whole_value = PERCENT, spec.percent_ppm
        elif spec.amount_minor is not None:
            whole, whole_value = SHARED, spec.amount_minor
    return Bundle(taken, paid, whole, whole_value)


def _ruled(pieces: list[tuple[_Seat, Run]], offer: Offer) -> list[Run]:
    """Chosen single pieces under their rules, in the order in which they were offered.

    A shared amount is what the exact shares of the chosen pieces come to.
    """
    rank = {(id(run.lot), run.start): place for place, run in enumerate(offer.runs)}

    def offered(item: tuple[_Seat, Run]) -> tuple[int, int]:
        run = item[1]
        best = len(rank)
        for candidate in offer.runs:
            if candidate.lot is run.lot and candidate.start <= run.start < candidate.end:
                best = rank[(id(candidate.lot), candidate.start)]
                break
        return (best, run.start)

    ordered = sorted(pieces, key=offered)
    shared = Fraction(0)
    for seat, run in ordered:
        if seat.run.rule == SHARED:
            shared += seat.value * (run.end - run.start)
    amount = divide_half_up(shared.numerator, shared.denominator)
    runs: list[Run] = []
    for seat, run in ordered:
        part = run.ruled(seat.run.rule, amount if seat.run.rule == SHARED else seat.run.value)
        part.chips = seat.run.chips
        runs.append(part)
    return runs


def _where(stretch: _Stretch) -> tuple[int, int]:
    return (stretch.run.lot.line.index, stretch.run.start)


def _scaled(value: Fraction, unit: int) -> int:
    return value.numerator * (unit // value.denominator)


def _exact_floor(line: ReceiptLine, lot: Lot, promotion: Promotion, ppm_max: int) -> Fraction:
    """The floor of one piece before any rounding."""
    milli = lot.line.piece_milli
    excise = "excise_alcohol" in line.flags
    # The list amount of a block is rounded by its definition; that of a piece is its price.
    price = Fraction(amount_of(line.price_minor, milli))
    floor = Fraction(0)
    if excise or not promotion.ignore_floor:
        rate = ppm_max if line.max_discount_ppm is None else line.max_discount_ppm
        floor = max(floor, price * Fraction(PPM - rate, PPM))
        if line.min_price_minor is not None:
            floor = max(floor, Fraction(line.min_price_minor * milli, 1000))
    soft = line.soft
    if soft is not None and (excise or not promotion.ignore_soft):
        if soft.max_discount_ppm is not None:
            floor = max(floor, price * Fraction(PPM - soft.max_discount_ppm, PPM))
        if soft.min_price_minor is not None:
            floor = max(floor, Fraction(soft.min_price_minor * milli, 1000))
    return floor


def _exact_room(at: Situation, promotion: Promotion, lot: Lot, share: Fraction) -> Fraction:
    floor = _exact_floor(lot.line.line, lot, promotion, at.state.max_discount_ppm)
    return max(share - floor, Fraction(0))


def _exact_shares(at: Situation, promotion: Promotion, offer: Offer) -> dict[int, Fraction]:
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
    nets = {
        key: Fraction(lot.net_minor, lot.piece_count) * pieces[key] for key, lot in lots.items()
    }
    rooms = {
        key: _exact_room(at, promotion, lot, Fraction(lot.net_minor, lot.piece_count)) * pieces[key]
        for key, lot in lots.items()
    }
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

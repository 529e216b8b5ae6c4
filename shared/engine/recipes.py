"""The applications of every result as recipes: what ``seating`` chooses from.

A recipe stands for thousands of applications at once, because what they gain adds up over pieces:

- a set at a percent, or with rewards by slot: each piece its own gain;
- a set at a price: the nets of its pieces less the price. Where that is below zero the set is not
  made, and leaving it out is a choice that the search has too;
- a set with an amount off: the amount. Where few pieces are so cheap that a set of them could cost
  less than that, a set has a dear piece in its first slot, or the first dear one in its second, …,
  or it has none: one recipe for each. Those without a dear piece are named but for the last one;
- an ``nth``: a recipe for each piece that may be the dearest taken one. Paid are pieces that stand
  before it, dearest first, and further taken ones stand behind it: so the m cheapest are taken.

Where limits count pieces, chips or money, or floors may end what a set at a price gains, nothing
adds up, and ``columns`` names all applications one by one.
"""

from __future__ import annotations

from typing import Final

from shared.engine.bounds import Bounds
from shared.engine.dealing import Chosen, Pick, Plan, nth_plan, set_plan
from shared.engine.entrants import Result
from shared.engine.kinds import Kinds, Member, Seat
from shared.engine.program import GoodsSet, Nth
from shared.engine.seating import Recipe, Seating, Slot, seat_pieces
from shared.engine.worths import Worths

ROWS_MAX: Final = 160
"""Slots of all recipes: a step of the search grows with their square."""
CHEAP_MAX: Final = 40
"""Recipes for the sets without a dear piece, of one result."""


class _Row:
    """A slot of a recipe: so many seats, and what each member gains in one of them."""

    __slots__ = ("gains", "members", "quantity")

    def __init__(self, quantity: int, members: list[Member], gains: list[int]) -> None:
        self.quantity: int = quantity
        self.members: list[Member] = members
        self.gains: list[int] = gains


class _Form:
    """What a recipe is an application of; ``order`` ranks the members of an ``nth``."""

    __slots__ = ("order", "result", "rows")

    def __init__(self, result: int, rows: list[_Row], order: dict[int, int]) -> None:
        self.result: int = result
        self.rows: list[_Row] = rows
        self.order: dict[int, int] = order


class _Bundle:
    """A chosen application, and its place in the order of dealing."""

    __slots__ = ("picks", "place")

    def __init__(self, picks: list[Pick], place: list[int]) -> None:
        self.picks: list[Pick] = picks
        self.place: list[int] = place


class Recipes:
    """All recipes, and the forms behind them; ``complete`` where they say all there is."""

    __slots__ = (
        "_alone",
        "_bounds",
        "_forms",
        "_kinds",
        "_recipes",
        "_results",
        "_rows",
        "_singles",
        "_worths",
        "complete",
        "optimal",
    )

    def __init__(self, kinds: Kinds, worths: Worths, bounds: Bounds, results: list[Result]) -> None:
        self._kinds: Kinds = kinds
        self._worths: Worths = worths
        self._bounds: Bounds = bounds
        self._results: list[Result] = results
        self._recipes: list[Recipe] = []
        self._forms: list[_Form] = []
        self._rows: int = 0
        self._alone: list[int] = [0] * len(kinds.all)
        self._singles: list[Plan | None] = [None] * len(kinds.all)
        """By kind what one of its pieces does best alone, and what that is worth."""
        self.optimal: bool = False
        self.complete: bool = not bounds.caps and all(
            [draws.pieces < 0 and draws.chips < 0 for draws in bounds.draws]
        )
        for number, result in enumerate(results):
            spec = result.spec
            if not self.complete:
                return
            if isinstance(spec, Nth):
                for members in kinds.in_groups(number, lower_first=not spec.cheapest):
                    self._add_nth(number, spec, members)
            elif isinstance(spec, GoodsSet):
                self._add_set(number, spec)
            else:
                self._add_singles(number)

    # --- what the results have to offer

    def _add(self, number: int, value: int, rows: list[_Row], order: dict[int, int]) -> None:
        """A recipe that gains ``value`` beside what its pieces do, if there are the pieces."""
        entrant = self._results[number].entrant
        slots: list[Slot] = []
        for row in rows:
            if self._count(row.members) < row.quantity:
                return
            seats: list[tuple[int, int]] = []
            for (index, _), gain in zip(row.members, row.gains, strict=True):
                seats.append((index, self._worths.piece(entrant, index, gain)))
            slots.append(Slot(row.quantity, seats))
        self._rows += len(rows)
        if self._rows > ROWS_MAX:
            self.complete = False
        worth = self._worths.application(entrant, value)
        self._recipes.append(Recipe(worth, slots, self._bounds.draws[number].applications))
        self._forms.append(_Form(number, rows, order))

    def _count(self, members: list[Member]) -> int:
        return sum([self._kinds.all[index].count for index, _ in members])

    def _add_singles(self, number: int) -> None:
        members = self._kinds.of[number]
        if self._bounds.draws[number].applications and members:
            self._add(number, 0, [_gaining(1, members)], {})
            return
        entrant = self._results[number].entrant
        for index, seat in members:
            worth = self._worths.application(entrant)
            worth += self._worths.piece(entrant, index, seat.worth)
            if worth > self._alone[index]:
                self._alone[index] = worth
                self._singles[index] = _single_plan(number, index, seat)

    def _add_nth(self, number: int, spec: Nth, members: list[Member]) -> None:
        order = {index: place for place, (index, _) in enumerate(members)}
        paid = spec.every - spec.take
        for place, member in enumerate(members):
            rows = [_gaining(1, [member])]
            if spec.take > 1:
                rows.append(_gaining(spec.take - 1, members[place:]))
            if paid:
                before = members[: place + 1]
                rows.append(_Row(paid, before, [0] * len(before)))
            if member[1].worth > 0 or spec.take > 1:
                self._add(number, 0, rows, order)

    def _add_set(self, number: int, spec: GoodsSet) -> None:
        slots = self._kinds.by_slot(number, len(spec.slots))
        if not all(slots):
            return
        if spec.amount_minor is not None:
            self._add_amount(number, spec, slots, spec.amount_minor * self._kinds.unit)
            return
        if spec.price_minor is None:
            rows = [
                _gaining(slot.quantity, members)
                for slot, members in zip(spec.slots, slots, strict=True)
            ]
            self._add(number, 0, rows, {})
            return
        price = spec.price_minor * self._kinds.unit
        kinds = self._kinds.all
        kept = 0
        rows = []
        for slot, members in zip(spec.slots, slots, strict=True):
            kept += slot.quantity * max(
                [kinds[index].weight - seat.space for index, seat in members]
            )
            rows.append(_Row(slot.quantity, members, [kinds[index].weight for index, _ in members]))
        # The floors of all its pieces together stay below the price of any set.
        self.complete = kept <= price
        self._add(number, -price, rows, {})

    def _add_amount(
        self, number: int, spec: GoodsSet, slots: list[list[Member]], amount: int
    ) -> None:
        """A set gains the amount, or all the space of its pieces where that is less."""
        least = [min([seat.space for _, seat in members]) for members in slots]
        low = sum([slot.quantity * each for slot, each in zip(spec.slots, least, strict=True)])
        rows = [
            _free(slot.quantity, members) for slot, members in zip(spec.slots, slots, strict=True)
        ]
        if low >= amount:
            self._add(number, amount, rows, {})
            return
        before: list[_Row] = []
        cheap: list[list[Member]] = []
        for place, slot in enumerate(spec.slots):
            # With one piece of so much space even the cheapest others make up the amount.
            enough = amount - low + least[place]
            dear = [member for member in slots[place] if member[1].space >= enough]
            split = [_free(1, dear)]
            if slot.quantity > 1:
                split.append(_free(slot.quantity - 1, slots[place]))
            self._add(number, amount, [*before, *split, *rows[place + 1 :]], {})
            cheap.append([member for member in slots[place] if member[1].space < enough])
            before.append(_free(slot.quantity, cheap[place]))
        self._add_cheap(number, spec, cheap, amount)

    def _add_cheap(
        self, number: int, spec: GoodsSet, slots: list[list[Member]], amount: int
    ) -> None:
        """Sets without a dear piece: all but the last piece are named, for it any that may follow.

        So the space of the others is known, and what the last one adds to it.
        """
        last = len(slots) - 1
        named: list[_Row] = []
        made = 0

        def fill(slot: int, at: int, need: int, space: int) -> None:
            nonlocal made
            if slot == last and need == 1:
                made += 1
                if made > CHEAP_MAX:
                    self.complete = False
                else:
                    members = slots[slot][at:]
                    gains = [min(amount, space + seat.space) for _, seat in members]
                    self._add(number, 0, [*named, _Row(1, members, gains)], {})
                return
            if need == 0:
                fill(slot + 1, 0, spec.slots[slot + 1].quantity, space)
                return
            for place in range(at, len(slots[slot])):
                member = slots[slot][place]
                if self.complete:
                    named.append(_free(1, [member]))
                    fill(slot, place, need - 1, space + member[1].space)
                    named.pop()

        fill(0, 0, spec.slots[0].quantity, 0)

    # --- back to applications

    def choose(self) -> list[Chosen]:
        """The best choice found, in the order in which pieces are dealt."""
        seating = seat_pieces(
            [kind.count for kind in self._kinds.all],
            self._alone,
            self._recipes,
            self._bounds.supplies,
            self._worths.scale,
        )
        self.optimal = seating.optimal
        chosen: list[list[Chosen]] = [[] for _ in self._results]
        bundles: list[list[_Bundle]] = [[] for _ in self._results]
        groups: dict[int, list[int]] = {}
        for number, form in enumerate(self._forms):
            spec = self._results[form.result].spec
            if not seating.times[number]:
                continue
            if isinstance(spec, Nth):
                groups.setdefault(id(form.order), []).append(number)
            elif isinstance(spec, GoodsSet):
                bundles[form.result].extend(self._bundles(seating, number))
            else:
                seats = dict(form.rows[0].members)
                for index, count in seating.seated[number][0]:
                    plan = _single_plan(form.result, index, seats[index])
                    chosen[form.result].append(Chosen(plan, count))
        for numbers in groups.values():
            bundles[self._forms[numbers[0]].result].extend(self._runs(seating, numbers))
        for number, found in enumerate(bundles):
            spec = self._results[number].spec
            for bundle in sorted(found, key=_place):
                if isinstance(spec, Nth):
                    plan = nth_plan(number, spec, bundle.picks)
                else:
                    assert isinstance(spec, GoodsSet), "only an nth or a set has bundles"
                    plan = set_plan(number, spec, bundle.picks)
                chosen[number].append(Chosen(plan, 1))
        for single, count in zip(self._singles, seating.alone, strict=True):
            if single is not None and count:
                chosen[single.result].append(Chosen(single, count))
        return [each for found in chosen for each in found]

    def _bundles(self, seating: Seating, number: int) -> list[_Bundle]:
        """The applications of a recipe: the dearest pieces of each slot together."""
        form = self._forms[number]
        kinds = self._kinds.all
        held: list[list[Pick]] = [[] for _ in range(seating.times[number])]
        for row, found in zip(form.rows, seating.seated[number], strict=True):
            seats = dict(row.members)
            pieces = [index for index, count in found for _ in range(count)]
            if form.order:
                pieces.sort(key=lambda index: form.order[index])
            else:
                pieces.sort(key=lambda index: (-kinds[index].weight, index))
            for at, index in enumerate(pieces):
                held[at // row.quantity].append(Pick(index, 1, seats[index]))
        return [self._bundle(form, picks) for picks in held]

    def _bundle(self, form: _Form, picks: list[Pick]) -> _Bundle:
        if form.order:
            picks.sort(key=lambda pick: form.order[pick.kind])
            place = [form.order[pick.kind] for pick in picks]
        else:
            picks.sort(key=lambda pick: (pick.seat.slot, pick.kind))
            place = [pick.kind for pick in picks]
        together: list[Pick] = []
        for pick in picks:
            last = together[-1] if together else None
            # A seat may be that of several kinds, and a kind may have seats in several slots.
            if last is not None and last.kind == pick.kind and last.seat is pick.seat:
                last.count += 1
            else:
                together.append(pick)
        return _Bundle(together, place)

    def _runs(self, seating: Seating, numbers: list[int]) -> list[_Bundle]:
        """The applications of an ``nth`` in one group: cut into runs, dearest first, if they can.

        Where floors let a dear piece gain less than a cheap one, other runs may gain more.
        """
        form = self._forms[numbers[0]]
        spec = self._results[form.result].spec
        assert isinstance(spec, Nth), "only an nth has an order"
        found = [bundle for number in numbers for bundle in self._bundles(seating, number)]
        pieces = [
            Pick(pick.kind, 1, pick.seat)
            for bundle in found
            for pick in bundle.picks
            for _ in range(pick.count)
        ]
        pieces.sort(key=lambda pick: form.order[pick.kind])
        runs = [
            self._bundle(form, pieces[at : at + spec.every])
            for at in range(0, len(pieces), spec.every)
        ]
        cut = sum([_gain(form.result, spec, bundle) for bundle in runs])
        return runs if cut >= sum([_gain(form.result, spec, each) for each in found]) else found


def _gaining(quantity: int, members: list[Member]) -> _Row:
    """Seats in which each member gains what it is worth."""
    return _Row(quantity, members, [seat.worth for _, seat in members])


def _free(quantity: int, members: list[Member]) -> _Row:
    """Seats that any member may take, and that gain nothing by themselves."""
    return _Row(quantity, members, [0] * len(members))


def _single_plan(result: int, index: int, seat: Seat) -> Plan:
    return Plan(result, [Pick(index, 1, seat)], [], alone=True)


def _gain(result: int, spec: Nth, bundle: _Bundle) -> int:
    plan = nth_plan(result, spec, bundle.picks)
    return sum([pick.count * pick.seat.worth for pick in plan.taken])


def _place(bundle: _Bundle) -> list[int]:
    return bundle.place

"""The applications of every result as recipes: what ``seating`` chooses from.

A recipe stands for thousands of applications at once, because what they gain adds up over pieces:

- a set at a percent, or with rewards by slot: each piece its own gain;
- a set at a price: the nets of its pieces less the price. Where that is below zero the set is not
  made, and leaving it out is a choice that the search has too;
- a set with an amount off: the amount. Where few pieces are so cheap that a set of them could cost
  less than that, a set has a dear piece in its first slot, or the first dear one in its second, …,
  or it has none: one recipe for each. Those without a dear piece are named but for the last one;
- an ``nth``: pieces stand in a row, dearest first, and each may be paid or taken. Up to every piece
  so many runs may have begun that m taken ones and n - m paid ones each cover what was taken so
  far: so the m cheapest of each run are the taken ones.

Where limits count pieces, chips or money, or floors may end what a set at a price gains, nothing
adds up, and ``columns`` names all applications one by one.
"""

from __future__ import annotations

from typing import Final

from shared.engine.bounds import Bounds
from shared.engine.dealing import Chosen, Pick, Plan, nth_plan, set_plan
from shared.engine.entrants import Result
from shared.engine.first_choice import first_choice
from shared.engine.forms import Ladder, Recipe, Row, free, gaining
from shared.engine.kinds import Kinds, Member, Seat
from shared.engine.program import GoodsSet, Nth
from shared.engine.seat_prices import Table
from shared.engine.seating import Seating, seat_pieces
from shared.engine.worths import Worths

SLOTS_MAX: Final = 160
"""Slots of all recipes: a step of the search grows with their square."""
CHEAP_MAX: Final = 40
"""Recipes for the sets without a dear piece, of one result."""


class _Bundle:
    """A chosen application, and its place in the order of dealing."""

    __slots__ = ("picks", "place")

    def __init__(self, picks: list[Pick], place: list[int]) -> None:
        self.picks: list[Pick] = picks
        self.place: list[int] = place


class Recipes:
    """All recipes as one table.

    ``possible``: every choice of the table is one that the limits allow. ``exact``: the table has
    every choice, at what it is worth. ``named`` counts recipes for sets of named pieces.
    """

    __slots__ = (
        "_bounds",
        "_kinds",
        "_ladders",
        "_recipes",
        "_resources",
        "_results",
        "_singles",
        "_table",
        "_worths",
        "exact",
        "named",
        "optimal",
        "possible",
    )

    def __init__(self, kinds: Kinds, worths: Worths, bounds: Bounds, results: list[Result]) -> None:
        self._kinds: Kinds = kinds
        self._worths: Worths = worths
        self._bounds: Bounds = bounds
        self._results: list[Result] = results
        self._recipes: list[Recipe] = []
        self._ladders: list[Ladder] = []
        self._singles: list[Plan | None] = [None] * len(kinds.all)
        """By kind what one of its pieces does best alone."""
        self._resources: dict[int, int] = {}
        """The slots that stand for resources."""
        self._table: Table = Table()
        for kind in kinds.all:
            self._table.add_kind(kind.count, 0)
        self.optimal: bool = False
        self.possible: bool = not bounds.caps and all(
            [draws.pieces < 0 and draws.chips < 0 for draws in bounds.draws]
        )
        self.exact: bool = self.possible
        self.named: int = 0
        for number, result in enumerate(results):
            spec = result.spec
            if not self.possible:
                return
            if isinstance(spec, Nth):
                for members in kinds.in_groups(number, lower_first=not spec.cheapest):
                    self._add_nth(number, spec, members)
            elif isinstance(spec, GoodsSet):
                self._add_set(number, spec)
            else:
                self._add_singles(number)
        self.exact = self.exact and len(self._table.fixed) <= SLOTS_MAX

    # --- what the results have to offer

    def _add(self, number: int, value: int, rows: list[Row]) -> None:
        """A recipe that gains ``value`` beside what its pieces do, if there are the pieces."""
        most = size = 0
        together: dict[int, int] = {}
        for row in rows:
            counts = {index: self._kinds.all[index].count for index, _ in row.members}
            times = sum(counts.values()) // row.quantity
            most = min(most, times) if size else times
            size += row.quantity
            together.update(counts)
        most = min(most, sum(together.values()) // size)
        if not most:
            return
        entrant = self._results[number].entrant
        slots: list[int] = []
        for row in rows:
            slots.append(self._table.add_slot())
            for (index, _), gain in zip(row.members, row.gains, strict=True):
                self._table.add_seat(index, slots[-1], self._worths.piece(entrant, index, gain))
        drawn = self._drawn(number)
        amounts = [row.quantity for row in rows] + [1] * len(drawn)
        worth = self._worths.application(entrant, value)
        tally = self._table.add_tally(worth, most, slots + drawn, amounts, counted=True)
        self._recipes.append(Recipe(number, rows, slots, tally))

    def _drawn(self, number: int) -> list[int]:
        """The slots of the resources that an application draws on."""
        slots: list[int] = []
        for resource in self._bounds.draws[number].applications:
            if resource not in self._resources:
                supply = self._bounds.supplies[resource]
                slot = self._table.add_slot(-supply)
                # What is left over of it.
                self._table.add_tally(0, supply, [slot], [1], counted=False)
                self._resources[resource] = slot
            slots.append(self._resources[resource])
        return slots

    def _add_singles(self, number: int) -> None:
        members = self._kinds.of[number]
        if self._bounds.draws[number].applications and members:
            self._add(number, 0, [gaining(1, members)])
            return
        entrant = self._results[number].entrant
        for index, seat in members:
            worth = self._worths.application(entrant)
            worth += self._worths.piece(entrant, index, seat.worth)
            if worth > self._table.worths[index][0]:
                self._table.worths[index][0] = worth
                self._singles[index] = _single_plan(number, index, seat)

    def _add_nth(self, number: int, spec: Nth, members: list[Member]) -> None:
        """A tally for each piece that may be taken: how many runs have begun up to there.

        A run that has begun owes m taken ones, here or later, and n - m paid ones, here or before.
        """
        entrant = self._results[number].entrant
        table = self._table
        ladder = Ladder(number, members)
        paid = spec.every - spec.take
        total = sum([self._kinds.all[index].count for index, _ in members])
        most_begun: list[int] = []
        before = 0
        waiting: list[int] = []
        for index, seat in members:
            before += self._kinds.all[index].count
            waiting.append(index)
            most = min(before // (paid + 1), total // spec.every)
            if not most:
                continue
            taken_slot = table.add_slot()
            worth = self._worths.piece(entrant, index, seat.worth)
            table.add_seat(index, taken_slot, worth)
            ladder.taken.append(taken_slot)
            paid_slot = table.add_slot()
            for each in waiting:
                table.add_seat(each, paid_slot, self._worths.piece(entrant, each))
            waiting = []
            ladder.paid.append(paid_slot)
            most_begun.append(most)
        if not most_begun:
            return
        self._ladders.append(ladder)
        last = len(most_begun) - 1
        for place, most in enumerate(most_begun):
            # What a run owes here it owes no more where the next piece may be taken.
            here = [ladder.taken[place], ladder.paid[place]]
            slots, amounts = list(here), [spec.take, paid]
            if place == last:
                slots += self._drawn(number)
                amounts += [1] * (len(slots) - 2)
                worth = self._worths.application(entrant)
                ladder.tally = table.add_tally(worth, most, slots, amounts, counted=True)
                return
            later = [ladder.taken[place + 1], ladder.paid[place + 1]]
            table.add_tally(0, most, here + later, [*amounts, -spec.take, -paid], counted=True)
            # Paid pieces that wait for a run, and taken ones that a run still waits for.
            table.add_tally(0, total, [here[1], later[1]], [1, -1], counted=False)
            if spec.take > 1:
                table.add_tally(0, total, [here[0], later[0]], [-1, 1], counted=False)

    def _add_set(self, number: int, spec: GoodsSet) -> None:
        slots = self._kinds.by_slot(number, len(spec.slots))
        if not all(slots):
            return
        if spec.amount_minor is not None:
            self._add_amount(number, spec, slots, spec.amount_minor * self._kinds.unit)
            return
        if spec.price_minor is None:
            rows = [
                gaining(slot.quantity, members)
                for slot, members in zip(spec.slots, slots, strict=True)
            ]
            self._add(number, 0, rows)
            return
        self._add_priced(number, spec, slots, spec.price_minor * self._kinds.unit)

    def _add_priced(
        self, number: int, spec: GoodsSet, slots: list[list[Member]], price: int
    ) -> None:
        """A set gains what its pieces cost more than the price, as far as they have the space."""
        kinds = self._kinds.all
        size = sum([slot.quantity for slot in spec.slots])
        if size == 1:
            gains = [min(kinds[index].weight - price, seat.space) for index, seat in slots[0]]
            self._add(number, 0, [Row(1, slots[0], gains)])
            return
        kept = 0
        for slot, members in zip(spec.slots, slots, strict=True):
            kept += slot.quantity * max([self._kept(member) for member in members])
        # The floors of all its pieces together must stay below the price of any set. If not, those
        # pieces take part of which that is sure.
        if kept > price:
            self.exact = False
            slots = [
                [member for member in members if self._kept(member) * size <= price]
                for members in slots
            ]
        rows = [
            Row(slot.quantity, members, [kinds[index].weight for index, _ in members])
            for slot, members in zip(spec.slots, slots, strict=True)
        ]
        self._add(number, -price, rows)

    def _kept(self, member: Member) -> int:
        """What a piece keeps of its net whatever the set gains: its floor."""
        return self._kinds.all[member[0]].weight - member[1].space

    def _add_amount(
        self, number: int, spec: GoodsSet, slots: list[list[Member]], amount: int
    ) -> None:
        """A set gains the amount, or all the space of its pieces where that is less."""
        least = [min([seat.space for _, seat in members]) for members in slots]
        low = sum([slot.quantity * each for slot, each in zip(spec.slots, least, strict=True)])
        rows = [
            free(slot.quantity, members) for slot, members in zip(spec.slots, slots, strict=True)
        ]
        if low >= amount:
            self._add(number, amount, rows)
            return
        before: list[Row] = []
        cheap: list[list[Member]] = []
        for place, slot in enumerate(spec.slots):
            # With one piece of so much space even the cheapest others make up the amount.
            enough = amount - low + least[place]
            dear = [member for member in slots[place] if member[1].space >= enough]
            split = [free(1, dear)]
            if slot.quantity > 1:
                split.append(free(slot.quantity - 1, slots[place]))
            self._add(number, amount, [*before, *split, *rows[place + 1 :]])
            cheap.append([member for member in slots[place] if member[1].space < enough])
            before.append(free(slot.quantity, cheap[place]))
        self._add_cheap(number, spec, cheap, amount)

    def _add_cheap(
        self, number: int, spec: GoodsSet, slots: list[list[Member]], amount: int
    ) -> None:
        """Sets without a dear piece: all but the last piece are named, for it any that may follow.

        So the space of the others is known, and what the last one adds to it.
        """
        last = len(slots) - 1
        named: list[Row] = []
        made = 0

        def fill(slot: int, at: int, need: int, space: int) -> None:
            nonlocal made
            if slot == last and need == 1:
                made += 1
                if made > CHEAP_MAX:
                    self.exact = False
                else:
                    members = slots[slot][at:]
                    gains = [min(amount, space + seat.space) for _, seat in members]
                    self._add(number, 0, [*named, Row(1, members, gains)])
                    self.named += 1
                return
            if need == 0:
                fill(slot + 1, 0, spec.slots[slot + 1].quantity, space)
                return
            for place in range(at, len(slots[slot])):
                member = slots[slot][place]
                if made <= CHEAP_MAX:
                    named.append(free(1, [member]))
                    fill(slot, place, need - 1, space + member[1].space)
                    named.pop()

        fill(0, 0, spec.slots[0].quantity, 0)

    # --- back to applications

    def choose(self) -> list[Chosen]:
        """The best choice found, in the order in which pieces are dealt."""
        seating = seat_pieces(self._table, self._worths.scale)
        self.optimal = seating.optimal and self.exact
        if not seating.optimal:
            takes = [self._nth(ladder).take for ladder in self._ladders]
            first = first_choice(self._table, self._recipes, self._ladders, takes)
            if first.worth > seating.worth:
                seating = first
        chosen: list[list[Chosen]] = [[] for _ in self._results]
        bundles: list[list[_Bundle]] = [[] for _ in self._results]
        for recipe in self._recipes:
            if isinstance(self._results[recipe.result].spec, GoodsSet):
                bundles[recipe.result].extend(self._sets(seating, recipe))
                continue
            seats = dict(recipe.rows[0].members)
            for index, count in seating.seated[recipe.slots[0]]:
                plan = _single_plan(recipe.result, index, seats[index])
                chosen[recipe.result].append(Chosen(plan, count))
        for ladder in self._ladders:
            bundles[ladder.result].extend(self._runs(seating, ladder))
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

    def _nth(self, ladder: Ladder) -> Nth:
        spec = self._results[ladder.result].spec
        assert isinstance(spec, Nth), "only an nth has a ladder"
        return spec

    def _sets(self, seating: Seating, recipe: Recipe) -> list[_Bundle]:
        """The sets of a recipe: the dearest pieces of each slot together."""
        kinds = self._kinds.all
        held: list[list[Pick]] = [[] for _ in range(seating.tallies[recipe.tally])]
        for row, slot in zip(recipe.rows, recipe.slots, strict=True):
            seats = dict(row.members)
            pieces = _singly(seating.seated[slot])
            pieces.sort(key=lambda index: (-kinds[index].weight, index))
            for at, index in enumerate(pieces):
                held[at // row.quantity].append(Pick(index, 1, seats[index]))
        found: list[_Bundle] = []
        for picks in held:
            picks.sort(key=lambda pick: (pick.seat.slot, pick.kind))
            found.append(_Bundle(_together(picks), [pick.kind for pick in picks]))
        return found

    def _runs(self, seating: Seating, ladder: Ladder) -> list[_Bundle]:
        """The runs of an ``nth`` in one group: cut from the pieces, dearest first, if they can be.

        Where floors let a dear piece gain less than a cheap one, other runs may gain more: the
        taken ones as the table has them, each with the first paid ones that are left.
        """
        spec = self._nth(ladder)
        taken = [index for slot in ladder.taken for index in _singly(seating.seated[slot])]
        paid = [index for slot in ladder.paid for index in _singly(seating.seated[slot])]
        order = ladder.order
        seats = dict(ladder.members)
        taken.sort(key=lambda index: order[index])
        paid.sort(key=lambda index: order[index])
        mixed = sorted(taken + paid, key=lambda index: order[index])
        owed = spec.every - spec.take
        cut: list[_Bundle] = []
        as_found: list[_Bundle] = []
        for at in range(len(mixed) // spec.every):
            run = mixed[at * spec.every : (at + 1) * spec.every]
            cut.append(_run(run, order, seats))
            run = taken[at * spec.take : (at + 1) * spec.take] + paid[at * owed : (at + 1) * owed]
            as_found.append(_run(run, order, seats))
        return cut if _gain(spec, cut) >= _gain(spec, as_found) else as_found


def _singly(seated: list[tuple[int, int]]) -> list[int]:
    """Kinds, one by one as often as they are."""
    return [index for index, count in seated for _ in range(count)]


def _run(pieces: list[int], order: dict[int, int], seats: dict[int, Seat]) -> _Bundle:
    pieces.sort(key=lambda index: order[index])
    picks = [Pick(index, 1, seats[index]) for index in pieces]
    return _Bundle(_together(picks), [order[index] for index in pieces])


def _together(picks: list[Pick]) -> list[Pick]:
    """Neighbouring picks of one kind in one slot as one."""
    found: list[Pick] = []
    for pick in picks:
        last = found[-1] if found else None
        # A seat may be that of several kinds, and a kind may have seats in several slots.
        if last is not None and last.kind == pick.kind and last.seat is pick.seat:
            last.count += 1
        else:
            found.append(pick)
    return found


def _single_plan(result: int, index: int, seat: Seat) -> Plan:
    return Plan(result, [Pick(index, 1, seat)], [], alone=True)


def _gain(spec: Nth, runs: list[_Bundle]) -> int:
    """What the taken pieces of the runs gain."""
    gained = 0
    for run in runs:
        for pick in nth_plan(0, spec, run.picks).taken:
            gained += pick.count * pick.seat.worth
    return gained


def _place(bundle: _Bundle) -> list[int]:
    return bundle.place

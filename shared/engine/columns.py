"""The applications of every result, one column each: what ``packing`` chooses from.

For what ``recipes`` cannot say: limits on pieces, chips and money, or floors that end what a set
gains. Where there are too many applications, those of neighbours or of sets taken in turn are made,
and the optimum is not proven.
"""

from __future__ import annotations

from math import comb
from typing import Final

from shared.engine.bounds import Bounds
from shared.engine.dealing import Chosen, Pick, Plan, is_whole, nth_plan, set_plan
from shared.engine.entrants import Result
from shared.engine.kinds import Kinds, Member
from shared.engine.packing import Column, pack
from shared.engine.program import GoodsSet, Nth
from shared.engine.worths import Worths

COLUMNS_MAX: Final = 20_000
"""Ways to make an application; where there are more the optimum is not proven."""
OFFSETS_MAX: Final = 16
"""From how many offsets neighbours are run together, where not all ways can be tried."""


def ways(kinds: Kinds, results: list[Result]) -> int:
    """How many applications there are at most; sets that want more pieces than there are, none."""
    found = 0
    for number, result in enumerate(results):
        spec = result.spec
        if isinstance(spec, Nth):
            for members in kinds.in_groups(number, lower_first=not spec.cheapest):
                found += comb(len(members) + spec.every - 1, spec.every)
        elif isinstance(spec, GoodsSet):
            found += _set_ways(kinds, spec, kinds.by_slot(number, len(spec.slots)))
        else:
            found += len(kinds.of[number])
    return found


def _set_ways(kinds: Kinds, spec: GoodsSet, slots: list[list[Member]]) -> int:
    found = 1
    size = 0
    together: dict[int, int] = {}
    for members, slot in zip(slots, spec.slots, strict=True):
        counts = {index: kinds.all[index].count for index, _ in members}
        together.update(counts)
        size += slot.quantity
        found *= min(
            comb(len(members) + slot.quantity - 1, slot.quantity),
            comb(sum(counts.values()), slot.quantity),
        )
    return found if size <= sum(together.values()) else 0


class Columns:
    """All columns, and the plans behind them."""

    __slots__ = (
        "_bounds",
        "_columns",
        "_complete",
        "_kinds",
        "_plans",
        "_results",
        "_worths",
        "optimal",
    )

    def __init__(self, kinds: Kinds, worths: Worths, bounds: Bounds, results: list[Result]) -> None:
        self._kinds: Kinds = kinds
        self._worths: Worths = worths
        self._bounds: Bounds = bounds
        self._results: list[Result] = results
        self._columns: list[Column] = []
        self._plans: list[Plan] = []
        self._complete: bool = bounds.complete
        self.optimal: bool = False
        for number, result in enumerate(results):
            spec = result.spec
            if isinstance(spec, Nth):
                self._add_nths(number, spec)
            elif isinstance(spec, GoodsSet):
                self._add_sets(number, spec)
            else:
                self._add_singles(number)

    def choose(self) -> list[Chosen]:
        """The best choice found, in the order in which pieces are dealt."""
        packing = pack(
            [kind.count for kind in self._kinds.all],
            self._columns,
            self._bounds.supplies,
            self._bounds.caps,
            self._worths.scale,
            complete=self._complete,
        )
        self.optimal = packing.optimal
        results, plans = self._results, self._plans
        order = sorted(packing.chosen, key=lambda mark: (results[plans[mark].result].entrant, mark))
        return [Chosen(plans[mark], packing.chosen[mark]) for mark in order]

    def _add(self, plan: Plan, value: int) -> bool:
        """Add a column of so many units of value; false where there are too many."""
        if value <= 0:
            return True
        if len(self._columns) >= COLUMNS_MAX:
            self._complete = False
            return False
        bound = self._bounds.draws[plan.result]
        draws = [(resource, 1) for resource in bound.applications]
        if bound.chips >= 0 and plan.alone and plan.taken[0].seat.run.chips:
            draws.append((bound.chips, plan.taken[0].seat.run.chips))
        if bound.pieces >= 0:
            draws.append((bound.pieces, sum([pick.count for pick in plan.taken])))
        entrant = self._results[plan.result].entrant
        uses: dict[int, int] = {}
        for picks in (plan.taken, plan.paid):
            for pick in picks:
                uses[pick.kind] = uses.get(pick.kind, 0) + pick.count
        worth = self._worths.application(entrant, value)
        for kind, count in uses.items():
            worth += count * self._worths.piece(entrant, kind)
        mark = len(self._plans)
        self._plans.append(plan)
        self._columns.append(Column(sorted(uses.items()), value, worth, draws, bound.cap, mark))
        return True

    def _add_singles(self, number: int) -> None:
        for index, seat in self._kinds.of[number]:
            plan = Plan(number, [Pick(index, 1, seat)], [], alone=True)
            if not self._add(plan, seat.worth):
                return

    # --- nth

    def _add_nths(self, number: int, spec: Nth) -> None:
        for members in self._kinds.in_groups(number, lower_first=not spec.cheapest):
            total = sum([self._kinds.all[index].count for index, _ in members])
            if total >= spec.every and not self._nth_group(number, spec, members):
                return

    def _nth_group(self, number: int, spec: Nth, members: list[Member]) -> bool:
        """All ways to choose n pieces; where there are too many, runs of neighbours."""
        every = spec.every
        if comb(len(members) + every - 1, every) > COLUMNS_MAX:
            self._complete = False
            return self._nth_neighbours(number, spec, members)
        counts = [self._kinds.all[index].count for index, _ in members]
        after = [0] * (len(members) + 1)
        for place in range(len(members) - 1, -1, -1):
            after[place] = after[place + 1] + counts[place]
        picks: list[Pick] = []

        def extend(at: int, size: int) -> bool:
            if size == every:
                return self._add_nth(number, spec, picks)
            for place in range(at, len(members)):
                if after[place] < every - size:
                    return True
                index, seat = members[place]
                for count in range(min(counts[place], every - size), 0, -1):
                    picks.append(Pick(index, count, seat))
                    going = extend(place + 1, size + count)
                    picks.pop()
                    if not going:
                        return False
            return True

        return extend(0, 0)

    def _nth_neighbours(self, number: int, spec: Nth, members: list[Member]) -> bool:
        """Runs of pieces that stand beside one another, dearest first, from every offset."""
        for offset in range(min(spec.every, OFFSETS_MAX)):
            picks: list[Pick] = []
            size = 0
            skip = offset
            for index, seat in members:
                count = self._kinds.all[index].count
                passed = min(skip, count)
                skip -= passed
                count -= passed
                while count:
                    part = min(count, spec.every - size)
                    picks.append(Pick(index, part, seat))
                    size += part
                    count -= part
                    if size == spec.every:
                        if not self._add_nth(number, spec, picks):
                            return False
                        picks, size = [], 0
                        # Further runs of this kind alone are the same column.
                        if count > 2 * spec.every:
                            count = count % spec.every + spec.every
        return True

    def _add_nth(self, number: int, spec: Nth, picks: list[Pick]) -> bool:
        plan = nth_plan(number, spec, picks)
        return self._add(plan, sum([pick.count * pick.seat.worth for pick in plan.taken]))

    # --- sets

    def _add_sets(self, number: int, spec: GoodsSet) -> None:
        slots = self._kinds.by_slot(number, len(spec.slots))
        if not all(slots):
            return
        found: dict[tuple[tuple[int, int], ...], _Set] = {}
        if _set_ways(self._kinds, spec, slots) > COLUMNS_MAX * 4:
            self._complete = False
            self._sets_in_turn(number, spec, slots, found)
        else:
            self._all_sets(number, spec, slots, found)
        for each in found.values():
            if not self._add(each.plan, each.value):
                return

    def _sets_in_turn(
        self,
        number: int,
        spec: GoodsSet,
        slots: list[list[Member]],
        found: dict[tuple[tuple[int, int], ...], _Set],
    ) -> None:
        """Sets one after another, each slot taking its dearest free pieces."""
        kinds = self._kinds.all
        left = [kind.count for kind in kinds]
        ordered = [
            sorted(members, key=lambda member: (-kinds[member[0]].weight, member[0]))
            for members in slots
        ]
        starts = [0] * len(slots)
        for _ in range(COLUMNS_MAX):
            uses: dict[int, int] = {}
            picks: list[Pick] = []
            for place, slot in enumerate(spec.slots):
                need = slot.quantity
                members = ordered[place]
                while starts[place] < len(members) and not left[members[starts[place]][0]]:
                    starts[place] += 1
                for index, seat in members[starts[place] :]:
                    count = min(left[index] - uses.get(index, 0), need)
                    if count > 0:
                        uses[index] = uses.get(index, 0) + count
                        picks.append(Pick(index, count, seat))
                        need -= count
                    if not need:
                        break
                if need:
                    return
            self._keep_set(number, spec, uses, picks, found)
            times = min([left[index] // count for index, count in uses.items()])
            for index, count in uses.items():
                left[index] -= count * times

    def _all_sets(
        self,
        number: int,
        spec: GoodsSet,
        slots: list[list[Member]],
        found: dict[tuple[tuple[int, int], ...], _Set],
    ) -> None:
        uses: dict[int, int] = {}
        picks: list[Pick] = []

        def fill(slot: int, at: int, need: int) -> None:
            if need == 0:
                if slot + 1 < len(slots):
                    fill(slot + 1, 0, spec.slots[slot + 1].quantity)
                else:
                    self._keep_set(number, spec, uses, picks, found)
                return
            for place in range(at, len(slots[slot])):
                index, seat = slots[slot][place]
                free = self._kinds.all[index].count - uses.get(index, 0)
                for count in range(min(free, need), 0, -1):
                    uses[index] = uses.get(index, 0) + count
                    picks.append(Pick(index, count, seat))
                    fill(slot, place + 1, need - count)
                    picks.pop()
                    uses[index] -= count
                    if not uses[index]:
                        del uses[index]

        fill(0, 0, spec.slots[0].quantity)

    def _keep_set(
        self,
        number: int,
        spec: GoodsSet,
        uses: dict[int, int],
        picks: list[Pick],
        found: dict[tuple[tuple[int, int], ...], _Set],
    ) -> None:
        """The value of one set; of two with the same pieces the better is kept."""
        key = tuple(sorted(uses.items()))
        known = found.get(key)
        if known is not None and is_whole(spec):
            return
        unit = self._kinds.unit
        value = space = net = 0
        for pick in picks:
            value += pick.seat.worth * pick.count
            space += pick.seat.space * pick.count
            net += self._kinds.all[pick.kind].weight * pick.count
        if spec.price_minor is not None:
            value = min(max(net - spec.price_minor * unit, 0), space)
        elif spec.amount_minor is not None:
            value = min(spec.amount_minor * unit, space)
        if value > 0 and (known is None or known.value < value):
            found[key] = _Set(value, set_plan(number, spec, list(picks)))


class _Set:
    """One set and its value."""

    __slots__ = ("plan", "value")

    def __init__(self, value: int, plan: Plan) -> None:
        self.value: int = value
        self.plan: Plan = plan

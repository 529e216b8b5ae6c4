"""A choice at once, for where the search by seats comes to no end.

One recipe after another is followed for as long as that gains, those first whose first application
gains most a piece; each slot takes what gains most in it. The runs of an ``nth`` are cut from the
pieces that are left, dearest first.
"""

from __future__ import annotations

from shared.engine.forms import Ladder, Recipe
from shared.engine.seat_prices import GROUND, Table
from shared.engine.seating import Seating


class _Application:
    """Kinds in slots, and what that is worth more than leaving the pieces alone."""

    __slots__ = ("gain", "kinds", "slots")

    def __init__(self, gain: int) -> None:
        self.gain: int = gain
        self.kinds: list[int] = []
        self.slots: list[int] = []

    def add(self, kind: int, slot: int, gain: int) -> None:
        self.kinds.append(kind)
        self.slots.append(slot)
        self.gain += gain


def first_choice(
    table: Table, recipes: list[Recipe], ladders: list[Ladder], takes: list[int]
) -> Seating:
    """``takes``: how many pieces of a run each ladder takes."""
    return _Chooser(table).follow(recipes, ladders, takes)


class _Chooser:
    __slots__ = ("by_slot", "seating", "supplies", "table")

    def __init__(self, table: Table) -> None:
        self.table: Table = table
        self.seating: Seating = Seating(table)
        self.supplies: list[int] = [-each for each in table.fixed]
        self.by_slot: list[list[tuple[int, int]]] = [[] for _ in table.fixed]
        """Of each slot what a piece gains there and its kind, the most first."""
        for kind, seats in enumerate(table.seats):
            for slot, worth in zip(seats, table.worths[kind], strict=True):
                if slot != GROUND:
                    self.by_slot[slot].append((worth - table.worths[kind][0], kind))
        for seats_there in self.by_slot:
            seats_there.sort(key=lambda seat: (-seat[0], seat[1]))

    def follow(self, recipes: list[Recipe], ladders: list[Ladder], takes: list[int]) -> Seating:
        ranked: list[tuple[int, int]] = []
        for number in range(len(recipes) + len(ladders)):
            first = self._next(number, recipes, ladders, takes)
            if first is not None:
                ranked.append((-(first.gain // len(first.kinds)), number))
        for _, number in sorted(ranked):
            application = self._next(number, recipes, ladders, takes)
            while application is not None:
                self._make(application, self._tally(number, recipes, ladders))
                application = self._next(number, recipes, ladders, takes)
        return self.seating

    def _tally(self, number: int, recipes: list[Recipe], ladders: list[Ladder]) -> int:
        if number < len(recipes):
            return recipes[number].tally
        return ladders[number - len(recipes)].tally

    def _next(
        self, number: int, recipes: list[Recipe], ladders: list[Ladder], takes: list[int]
    ) -> _Application | None:
        """One more application, if there is one that gains something."""
        tally = self._tally(number, recipes, ladders)
        for slot in self.table.owes[tally]:
            if self.table.fixed[slot] and self.supplies[slot] <= 0:
                return None
        found = _Application(self.table.yields[tally])
        if number < len(recipes):
            complete = self._fill(found, recipes[number])
        else:
            at = number - len(recipes)
            complete = self._cut(found, ladders[at], takes[at])
        return found if complete and found.gain > 0 else None

    def _fill(self, found: _Application, recipe: Recipe) -> bool:
        used: dict[int, int] = {}
        for row, slot in zip(recipe.rows, recipe.slots, strict=True):
            need = row.quantity
            for gain, kind in self.by_slot[slot]:
                while need and self.seating.alone[kind] > used.get(kind, 0):
                    used[kind] = used.get(kind, 0) + 1
                    found.add(kind, slot, gain)
                    need -= 1
                if not need:
                    break
            if need:
                return False
        return True

    def _cut(self, found: _Application, ladder: Ladder, take: int) -> bool:
        run: list[int] = []
        every = self.table.amounts[ladder.tally][0] + self.table.amounts[ladder.tally][1]
        for index, _ in ladder.members:
            count = min(self.seating.alone[index], every - len(run))
            run.extend([index] * count)
        if len(run) < every:
            return False
        for at, kind in enumerate(run):
            slots = ladder.taken if at >= every - take else ladder.paid
            for slot in slots:
                gains = [gain for gain, other in self.by_slot[slot] if other == kind]
                if gains:
                    found.add(kind, slot, gains[0])
                    break
        return len(found.kinds) == every

    def _make(self, application: _Application, tally: int) -> None:
        seating = self.seating
        seating.tallies[tally] += 1
        seating.worth += application.gain
        for slot in self.table.owes[tally]:
            self.supplies[slot] -= 1
        for kind, slot in zip(application.kinds, application.slots, strict=True):
            seating.alone[kind] -= 1
            seating.seated[slot].append((kind, 1))

"""Choose how often each recipe is applied and which pieces take its seats: the search by seats.

A recipe is a form of application whose worth adds up: so much by itself, so much for each piece by
the slot where it sits. Pieces that sit nowhere are worth something alone. Recipes may also draw on
resources that run short.

Example: pieces 90, 80, 50; a recipe of two seats that saves 100 and makes half of each piece's
price; each piece alone saves a tenth. The 90 and the 80 sit, 100 + 85, and the 50 saves 5.

For given numbers of applications the pieces are seated best by a transport of whole pieces, so
only these numbers, a handful, have to be searched: where the relaxation (``seat_prices``) applies a
recipe two and a half times, it is at most two or at least three (A. Land and A. Doig, 1960). What
cannot be worth more than the best known is not followed. The rules for equal sums are part of the
worth. The budget is counted in steps, not in seconds, so that every machine gives the same answer.
"""

from __future__ import annotations

from typing import Final

from shared.engine.seat_prices import BEST, GROUND, IMPOSSIBLE, SeatPrices, Table

STEPS_MAX: Final = 400_000
"""Of the size of what a step of the relaxation looks at; thirty pieces need some ten thousand."""


class Slot:
    """So many seats in each application, and what a piece of each kind is worth in one."""

    __slots__ = ("quantity", "seats")

    def __init__(self, quantity: int, seats: list[tuple[int, int]]) -> None:
        self.quantity: int = quantity
        self.seats: list[tuple[int, int]] = seats
        """Kind and worth; a kind stands once."""


class Recipe:
    """A form of application: its own worth, its slots and the resources it draws on, one each."""

    __slots__ = ("draws", "slots", "worth")

    def __init__(self, worth: int, slots: list[Slot], draws: list[int]) -> None:
        self.worth: int = worth
        self.slots: list[Slot] = slots
        self.draws: list[int] = draws


class Seating:
    """The best choice: how often each recipe, and who sits in its slots (kind and count).

    ``alone`` counts the pieces of each kind that sit nowhere.
    """

    __slots__ = ("alone", "optimal", "seated", "times")

    def __init__(self, counts: list[int], recipes: list[Recipe]) -> None:
        self.times: list[int] = [0] * len(recipes)
        self.seated: list[list[list[tuple[int, int]]]] = [
            [[] for _ in recipe.slots] for recipe in recipes
        ]
        self.alone: list[int] = list(counts)
        self.optimal: bool = True


def seat_pieces(
    counts: list[int], alone: list[int], recipes: list[Recipe], supplies: list[int], scale: int
) -> Seating:
    """The choice of greatest worth.

    ``alone``: what a piece of each kind is worth that sits nowhere. ``scale`` is what a unit of
    value is in worth; all that stands below it decides between equal values only.
    """
    seating = Seating(counts, recipes)
    steps_left = STEPS_MAX
    for part in _parts(len(counts), recipes, len(supplies)):
        search = _Search(part, counts, alone, recipes, supplies)
        search.steps_left = steps_left
        search.run()
        steps_left = search.steps_left
        search.tell(seating)
        if _value(search.open_bound, scale) > _value(search.best, scale):
            seating.optimal = False
    return seating


def _value(worth: int, scale: int) -> int:
    """The value of a worth: what decides between equal values is never above zero."""
    return -(-worth // scale)


def _parts(kinds: int, recipes: list[Recipe], supplies: int) -> list[list[int]]:
    """The recipes apart where no kind and no resource holds them together."""
    parents = list(range(kinds + supplies + len(recipes)))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for number, recipe in enumerate(recipes):
        own = root(kinds + supplies + number)
        for slot in recipe.slots:
            for kind, _ in slot.seats:
                parents[root(kind)] = own
        for resource in recipe.draws:
            parents[root(kinds + resource)] = own
    parts: dict[int, list[int]] = {}
    for number in range(len(recipes)):
        parts.setdefault(root(kinds + supplies + number), []).append(number)
    return list(parts.values())


class _Search:
    __slots__ = (
        "best",
        "kinds",
        "open_bound",
        "places",
        "recipes",
        "seats",
        "slot_of",
        "step_size",
        "steps_left",
        "table",
        "times",
    )

    def __init__(
        self,
        part: list[int],
        counts: list[int],
        alone: list[int],
        recipes: list[Recipe],
        supplies: list[int],
    ) -> None:
        self.recipes: list[int] = part
        """The recipes of this part, by the caller's numbers; further ones are what is left over."""
        self.kinds: list[int] = []
        self.slot_of: dict[int, tuple[int, int]] = {}
        """By the table's slot: the recipe, and the slot in it."""
        self.table: Table = Table()
        self._lay(counts, alone, recipes, supplies)
        self.step_size: int = len(self.table.counts) + len(self.table.quantities)
        self.steps_left: int = 0
        self.times: list[int] = [0] * len(part)
        self.seats: list[list[tuple[int, int]]] = [[(GROUND, counts[kind])] for kind in self.kinds]
        """Of each kind in the best choice: slots and counts."""
        self.best: int = sum([counts[kind] * alone[kind] for kind in self.kinds])
        self.open_bound: int = self.best
        """No choice that was not looked at is worth more."""

    def _lay(
        self, counts: list[int], alone: list[int], recipes: list[Recipe], supplies: list[int]
    ) -> None:
        table = self.table
        numbers: dict[int, int] = {}
        resources: dict[int, int] = {}
        for place, number in enumerate(self.recipes):
            recipe = recipes[number]
            needs: list[int] = []
            size = 0
            together: set[int] = set()
            most = sum(counts)
            for at, slot in enumerate(recipe.slots):
                row = table.add_slot(slot.quantity)
                needs.append(row)
                self.slot_of[row] = (place, at)
                pieces = 0
                for kind, worth in slot.seats:
                    if kind not in numbers:
                        numbers[kind] = table.add_kind(counts[kind], alone[kind])
                        self.kinds.append(kind)
                    table.seats[numbers[kind]].append(row)
                    table.worths[numbers[kind]].append(worth)
                    pieces += counts[kind]
                    together.add(kind)
                most = min(most, pieces // slot.quantity)
                size += slot.quantity
            most = min(most, sum([counts[kind] for kind in together]) // size)
            for resource in recipe.draws:
                if resource not in resources:
                    resources[resource] = table.add_slot(1, -supplies[resource])
                needs.append(resources[resource])
                most = min(most, supplies[resource])
            table.add_recipe(recipe.worth, needs, most)
        for resource, row in resources.items():
            # What is left over of a resource balances its row.
            table.add_recipe(0, [row], supplies[resource])

    def run(self) -> None:
        """Look until nothing that is open can be better, or the budget is used up."""
        prices = SeatPrices(self.table)
        prices.start()
        self._descend(prices)

    def _descend(self, prices: SeatPrices) -> None:
        """The best choice within these bounds, if it is better than the best known."""
        while True:
            bound = prices.bound()
            if bound <= self.best:
                return
            if self.steps_left <= 0:
                self.open_bound = max(self.open_bound, bound)
                return
            self.steps_left -= self.step_size
            outcome = prices.improve()
            if outcome == IMPOSSIBLE:
                return
            if outcome == BEST:
                break
        split = self._split(prices)
        if split < 0:
            self.best = bound
            self._keep(prices)
            return
        determinant = prices.determinant
        level = prices.times(split)
        floor = level // determinant
        other = prices.copy()
        if 2 * (level - floor * determinant) > determinant:
            prices.low[split] = floor + 1
            other.high[split] = floor
        else:
            prices.high[split] = floor
            other.low[split] = floor + 1
        self._descend(prices)
        self._descend(other)

    def _split(self, prices: SeatPrices) -> int:
        """The recipe that is furthest from being applied a whole number of times; -1: none is."""
        determinant = prices.determinant
        found = -1
        furthest = 0
        for recipe in range(len(self.recipes)):
            part = prices.times(recipe) % determinant
            part = min(part, determinant - part)
            if part > furthest:
                found, furthest = recipe, part
        return found

    def _keep(self, prices: SeatPrices) -> None:
        self.times = [
            prices.times(recipe) // prices.determinant for recipe in range(len(self.recipes))
        ]
        self.seats = [prices.seated(kind) for kind in range(len(self.kinds))]

    def tell(self, seating: Seating) -> None:
        """Write the best choice down in the caller's numbers."""
        for place, times in enumerate(self.times):
            seating.times[self.recipes[place]] = times
        for kind, found in zip(self.kinds, self.seats, strict=True):
            for row, count in found:
                if row != GROUND:
                    place, at = self.slot_of[row]
                    seating.seated[self.recipes[place]][at].append((kind, count))
                    seating.alone[kind] -= count

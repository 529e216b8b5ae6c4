"""Choose the tallies and which pieces take the seats they owe: the search by seats.

What applications gain adds up here: so much by the tally of how many are made, so much for each
piece by the slot where it sits. Pieces that sit nowhere are worth something alone.

Example: pieces 90, 80, 50; a set of two seats that saves 100 and half the price of each piece; each
piece alone saves a tenth. The 90 and the 80 sit, 100 + 85, and the 50 saves 5.

For given tallies the pieces are seated best by a transport of whole pieces, so only the tallies, a
handful, have to be searched: where the relaxation (``seat_prices``) makes two and a half of a set,
there are at most two or at least three (A. Land and A. Doig, 1960). What cannot be worth more than
the best known is not followed. The rules for equal sums are part of the worth. The budget is
counted in steps, not in seconds, so that every machine gives the same answer.
"""

from __future__ import annotations

from typing import Final

from shared.engine.seat_prices import BEST, GROUND, IMPOSSIBLE, SeatPrices, Table

STEPS_MAX: Final = 200_000
"""Kinds and slots looked at; thirty pieces and six sets need some thousands."""
SHADES: Final = 4_093
"""Shades by which equal worths are told apart within a step, a prime: else steps might circle (A.
Charnes, 1952). All shades of a choice together are less than one of worth."""
SHADE_STEP: Final = 1_597
SLOTS_SQUARED_IN_STEP: Final = 16
"""A step goes over all kinds, and over a part of the square of the slots."""


class Seating:
    """The best choice: every tally, and who sits in which slot (kind and count).

    ``alone`` counts the pieces of each kind that sit nowhere; ``worth`` is what the choice is worth
    more than nobody sitting at all.
    """

    __slots__ = ("alone", "optimal", "seated", "tallies", "worth")

    def __init__(self, table: Table) -> None:
        self.tallies: list[int] = [0] * len(table.most)
        self.seated: list[list[tuple[int, int]]] = [[] for _ in table.fixed]
        self.alone: list[int] = list(table.counts)
        self.worth: int = 0
        self.optimal: bool = True


def seat_pieces(table: Table, scale: int) -> Seating:
    """The choice of greatest worth.

    Nobody sitting and nothing tallied must be a choice. ``scale`` is what a unit of value is in
    worth; what stands below it decides between equal values only, and is never above zero.
    """
    seating = Seating(table)
    steps_left = STEPS_MAX
    for tallies in _parts(table):
        search = _Search(table, tallies, steps_left)
        seating.worth -= search.best
        search.run()
        seating.worth += search.best
        search.tell(seating)
        steps_left = search.steps_left
        if -(-search.open_bound // scale) > -(-search.best // scale):
            seating.optimal = False
    return seating


def _parts(table: Table) -> list[list[int]]:
    """The tallies apart where no slot and no kind holds them together."""
    slots = len(table.fixed)
    parents = list(range(slots + len(table.counts)))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for kind, seats in enumerate(table.seats):
        for slot in seats:
            if slot != GROUND:
                parents[root(slot)] = root(slots + kind)
    for owes in table.owes:
        for slot in owes:
            parents[root(slot)] = root(owes[0])
    parts: dict[int, list[int]] = {}
    for tally, owes in enumerate(table.owes):
        parts.setdefault(root(owes[0]), []).append(tally)
    return list(parts.values())


class _Search:
    __slots__ = (
        "best",
        "choice",
        "kinds",
        "open_bound",
        "seats",
        "shaded",
        "slots",
        "steps_left",
        "table",
        "tallies",
    )

    def __init__(self, whole: Table, tallies: list[int], steps_left: int) -> None:
        self.tallies: list[int] = tallies
        """Of the whole table, in the order in which they stand in that of this part."""
        self.slots: list[int] = [GROUND]
        self.kinds: list[int] = []
        self.table: Table = Table()
        self.steps_left: int = steps_left
        self.shaded: int = 1
        """What one of worth is in the worths of this table."""
        self._lay(whole)
        self.choice: list[int] = [0] * len(tallies)
        """The tallies of the best choice known; of each kind the slots and counts."""
        self.seats: list[list[tuple[int, int]]] = [[(GROUND, count)] for count in self.table.counts]
        self.best: int = 0
        for count, worths in zip(self.table.counts, self.table.worths, strict=True):
            self.best += count * worths[0] // self.shaded
        self.open_bound: int = self.best
        """No choice that was not looked at is worth more."""

    def _lay(self, whole: Table) -> None:
        """The rows of the table that these tallies reach."""
        numbers: dict[int, int] = {}
        most = [whole.most[tally] for tally in self.tallies]
        self.shaded = SHADES * (sum(most) + sum(whole.counts) + 1)
        shade = 0
        for tally in self.tallies:
            owes: list[int] = []
            for slot in whole.owes[tally]:
                if slot not in numbers:
                    numbers[slot] = self.table.add_slot(whole.fixed[slot])
                    self.slots.append(slot)
                owes.append(numbers[slot])
            shade = (shade + SHADE_STEP) % SHADES
            self.table.add_tally(
                whole.yields[tally] * self.shaded + shade,
                whole.most[tally],
                owes,
                whole.amounts[tally],
                counted=whole.counted[tally],
            )
        for kind, seats in enumerate(whole.seats):
            if len(seats) < 2 or seats[1] not in numbers:
                continue
            worths = whole.worths[kind]
            number = self.table.add_kind(whole.counts[kind], worths[0] * self.shaded)
            self.kinds.append(kind)
            for place in range(1, len(seats)):
                shade = (shade + SHADE_STEP) % SHADES
                self.table.add_seat(
                    number, numbers[seats[place]], worths[place] * self.shaded + shade
                )

    def run(self) -> None:
        """Look until nothing that is open can be better, or the budget is used up."""
        prices = SeatPrices(self.table)
        prices.start()
        self._descend(prices)

    def _descend(self, prices: SeatPrices) -> None:
        """The best choice within these bounds, if it is better than the best known."""
        slots = len(self.table.fixed)
        size = len(self.table.counts) + slots * slots // SLOTS_SQUARED_IN_STEP
        while True:
            bound = prices.bound // (prices.unit * self.shaded)
            if bound <= self.best:
                return
            if self.steps_left <= 0:
                self.open_bound = max(self.open_bound, bound)
                return
            self.steps_left -= size
            outcome = prices.improve()
            if outcome == IMPOSSIBLE:
                return
            if outcome == BEST:
                break
        split = self._split(prices)
        if split < 0:
            self.best = bound
            self.choice = [
                prices.level(tally) // prices.level_unit(tally)
                for tally in range(len(self.tallies))
            ]
            self.seats = [prices.seated(kind) for kind in range(len(self.kinds))]
            return
        level, unit = prices.level(split), prices.level_unit(split)
        floor = level // unit
        other = prices.copy()
        if 2 * (level - floor * unit) > unit:
            prices.low[split] = floor + 1
            other.high[split] = floor
        else:
            prices.high[split] = floor
            other.low[split] = floor + 1
        self._descend(prices)
        self._descend(other)

    def _split(self, prices: SeatPrices) -> int:
        """The tally to be made whole next, -1 where all are.

        Those that are worth something themselves come first: how many applications there are
        decides more than where they begin. Of these the one on whose fraction most seats hang.
        """
        table = self.table
        found = -1
        most, over = 0, 1
        is_worth = False
        for tally, counted in enumerate(table.counted):
            if not counted or (is_worth and not table.yields[tally]):
                continue
            unit = prices.level_unit(tally)
            part = prices.level(tally) % unit
            if part:
                weight = min(part, unit - part) * sum(table.amounts[tally])
                first = bool(table.yields[tally]) and not is_worth
                if found < 0 or first or weight * over > most * unit:
                    found, most, over = tally, weight, unit
                    is_worth = bool(table.yields[tally])
        return found

    def tell(self, seating: Seating) -> None:
        """Write the best choice down in the numbers of the whole table."""
        for tally, level in zip(self.tallies, self.choice, strict=True):
            seating.tallies[tally] = level
        for kind, found in zip(self.kinds, self.seats, strict=True):
            for slot, count in found:
                if slot != GROUND:
                    seating.seated[self.slots[slot]].append((kind, count))
                    seating.alone[kind] -= count

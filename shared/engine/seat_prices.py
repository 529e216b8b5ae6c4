"""Prices on seats that bound every choice from above: the relaxation behind ``seating``.

Pieces of some kinds sit in slots of recipes or stay alone; a recipe applied n times has n times its
quantity of seats in each of its slots. Let n be any number between its bounds, and the problem is a
linear programme. Its dual is small: one price per slot. At prices p a piece of a kind is worth the
most that any seat leaves of its worth, max(worth - p), and a recipe its own worth and what its
seats fetch. The sum of what all pieces and recipes come to, each recipe as often as pays, is more
than any choice can be worth, whatever the prices; the search lowers it.

It is lowered by the dual simplex (C. E. Lemke, 1954). Each kind has one row "its pieces are so
many", which never enters the basis matrix: one of its seats is its key and takes what the others
leave (G. B. Dantzig and R. M. Van Slyke, 1967). So the matrix has a row per slot, a dozen, not a
row per kind. A step passes over seats and bounds that merely change sides while the bound goes on
falling (E. Kostina, 2002; I. Maros, 2003). The matrix is kept as an adjugate over one determinant,
so everything stays whole (J. Edmonds, 1967). After the bounds of a recipe are moved, the prices are
still sound, and a few steps make them the best again.

Example: two pieces worth 3 and 2 in the only slot of a recipe that wants both and costs 4. At a
price of 2 a seat they keep 1 and 0 and the recipe comes to 0: no choice is worth more than 1.
"""

from __future__ import annotations

from typing import Final

GROUND: Final = 0
"""The slot where pieces are that sit nowhere: it has no price."""
BEST: Final = 0
IMPROVED: Final = 1
IMPOSSIBLE: Final = 2
_NONE: Final = -1


class Table:
    """What may sit where, in numbers.

    The seats of a kind are pairs of a slot and what the piece is worth there; the first is the
    ground. ``needs`` of a recipe are its slots; ``fixed`` is what a slot is owed beyond that.
    """

    __slots__ = ("counts", "fixed", "most", "needs", "quantities", "seats", "worth_of", "worths")

    def __init__(self) -> None:
        self.counts: list[int] = []
        """Pieces of each kind."""
        self.seats: list[list[int]] = []
        self.worths: list[list[int]] = []
        self.quantities: list[int] = [0]
        """Seats of each slot in one application."""
        self.fixed: list[int] = [0]
        self.worth_of: list[int] = []
        """What one application of each recipe is worth beside its pieces."""
        self.needs: list[list[int]] = []
        self.most: list[int] = []

    def add_slot(self, quantity: int, fixed: int = 0) -> int:
        """A slot with so many seats in an application; its number."""
        self.quantities.append(quantity)
        self.fixed.append(fixed)
        return len(self.quantities) - 1

    def add_recipe(self, worth: int, needs: list[int], most: int) -> int:
        """A recipe that is applied ``most`` times at most; its number."""
        self.worth_of.append(worth)
        self.needs.append(needs)
        self.most.append(most)
        return len(self.most) - 1

    def add_kind(self, count: int, alone: int) -> int:
        """So many pieces, worth ``alone`` each where they sit nowhere; its number."""
        self.counts.append(count)
        self.seats.append([GROUND])
        self.worths.append([alone])
        return len(self.counts) - 1


class SeatPrices:
    """A basis of the relaxation: prices, and how the pieces sit at them.

    Rows are those of the basis matrix: each holds a seat that is not the key of its kind, a recipe,
    or nothing yet (what its slot has too little or too much). ``levels`` is how much of it there
    is; levels, prices and the rows of the adjugate are over ``determinant``.
    """

    __slots__ = (
        "adjugate",
        "at",
        "determinant",
        "held_recipe",
        "held_seat",
        "high",
        "keys",
        "kind_rows",
        "levels",
        "low",
        "prices",
        "recipe_rows",
        "row_kind",
        "table",
    )

    def __init__(self, table: Table) -> None:
        self.table: Table = table
        self.determinant: int = 1
        self.adjugate: list[list[int]] = []
        self.levels: list[int] = []
        self.prices: list[int] = []
        self.keys: list[int] = []
        """Of each kind the place of its key among its seats."""
        self.kind_rows: list[list[int]] = []
        """Rows that hold other seats of the kind."""
        self.row_kind: list[int] = []
        self.held_seat: list[int] = []
        self.held_recipe: list[int] = []
        self.recipe_rows: list[int] = []
        self.at: list[int] = []
        """How often a recipe is applied that no row holds: one of its bounds."""
        self.low: list[int] = []
        self.high: list[int] = []

    def start(self) -> None:
        """At prices of nothing: every piece where it is worth most, every recipe if it pays."""
        table = self.table
        width = len(table.quantities)
        rows = width - 1
        owed = list(table.fixed)
        for kind, worths in enumerate(table.worths):
            key = 0
            for place in range(1, len(worths)):
                if worths[place] > worths[key]:
                    key = place
            self.keys.append(key)
            self.kind_rows.append([])
            owed[table.seats[kind][key]] -= table.counts[kind]
        for recipe, most in enumerate(table.most):
            times = most if table.worth_of[recipe] > 0 else 0
            self.low.append(0)
            self.high.append(most)
            self.at.append(times)
            self.recipe_rows.append(_NONE)
            for slot in table.needs[recipe]:
                owed[slot] += table.quantities[slot] * times
        self.prices = [0] * width
        self.levels = owed[1:]
        self.adjugate = [
            [1 if slot == row + 1 else 0 for slot in range(width)] for row in range(rows)
        ]
        self.row_kind = [_NONE] * rows
        self.held_seat = [_NONE] * rows
        self.held_recipe = [_NONE] * rows

    def copy(self) -> SeatPrices:
        """The same basis, apart."""
        other = SeatPrices(self.table)
        other.determinant = self.determinant
        other.adjugate = [row.copy() for row in self.adjugate]
        other.levels = self.levels.copy()
        other.prices = self.prices.copy()
        other.keys = self.keys.copy()
        other.kind_rows = [rows.copy() for rows in self.kind_rows]
        other.row_kind = self.row_kind.copy()
        other.held_seat = self.held_seat.copy()
        other.held_recipe = self.held_recipe.copy()
        other.recipe_rows = self.recipe_rows.copy()
        other.at = self.at.copy()
        other.low = self.low.copy()
        other.high = self.high.copy()
        return other

    # --- what it says

    def bound(self) -> int:
        """No choice within the bounds of the recipes is worth more."""
        table = self.table
        determinant = self.determinant
        prices = self.prices
        total = 0
        for kind, count in enumerate(table.counts):
            key = self.keys[kind]
            left = table.worths[kind][key] * determinant - prices[table.seats[kind][key]]
            total += count * left
        for recipe, times in enumerate(self.at):
            if times and self.recipe_rows[recipe] < 0:
                total += times * self._comes_to(recipe)
        for slot, fixed in enumerate(table.fixed):
            if fixed:
                total += fixed * prices[slot]
        return total // determinant

    def times(self, recipe: int) -> int:
        """How often the recipe is applied, over the determinant."""
        row = self.recipe_rows[recipe]
        return self.at[recipe] * self.determinant if row < 0 else self.levels[row]

    def seated(self, kind: int) -> list[tuple[int, int]]:
        """Slots and how many pieces of the kind sit there, where all that is whole."""
        seats = self.table.seats[kind]
        left = self.table.counts[kind]
        found: list[tuple[int, int]] = []
        for row in self.kind_rows[kind]:
            count, part = divmod(self.levels[row], self.determinant)
            assert part == 0, "with whole recipes the pieces are whole"
            left -= count
            if count:
                found.append((seats[self.held_seat[row]], count))
        if left:
            found.append((seats[self.keys[kind]], left))
        return found

    def _comes_to(self, recipe: int) -> int:
        """An application's own worth and what its seats fetch, over the determinant."""
        table = self.table
        total = table.worth_of[recipe] * self.determinant
        for slot in table.needs[recipe]:
            total += table.quantities[slot] * self.prices[slot]
        return total

    # --- steps

    def improve(self) -> int:
        """One step towards better prices: ``IMPROVED``, or ``BEST`` where they are that already.

        ``IMPOSSIBLE``: no choice keeps to the bounds of the recipes.
        """
        determinant = self.determinant
        levels = self.levels
        most = 0
        leaving = _NONE
        target = 0
        turned = _NONE
        rises = True
        for row, level in enumerate(levels):
            recipe = self.held_recipe[row]
            if recipe >= 0:
                short = self.low[recipe] * determinant - level
                over = level - self.high[recipe] * determinant
                if short > most:
                    most, leaving, target, rises = short, row, self.low[recipe], True
                elif over > most:
                    most, leaving, target, rises = over, row, self.high[recipe], False
            elif -level > most:
                most, leaving, target, rises = -level, row, 0, True
            elif level > most and self.row_kind[row] < 0:
                most, leaving, target, rises = level, row, 0, False
        for kind, rows in enumerate(self.kind_rows):
            if rows:
                over = -self.table.counts[kind] * determinant
                for row in rows:
                    over += levels[row]
                if over > most:
                    most, turned, target, rises = over, kind, 0, True
        if not most:
            return BEST
        if turned >= 0:
            leaving = self._turn_key(turned)
        return IMPROVED if self._exchange(leaving, target, most, rises=rises) else IMPOSSIBLE

    def _turn_key(self, kind: int) -> int:
        """Another seat becomes the key of the kind; the row that now holds the old one."""
        rows = self.kind_rows[kind]
        first = rows[0]
        total = self.adjugate[first]
        level = self.table.counts[kind] * self.determinant
        for row in rows:
            level -= self.levels[row]
            if row != first:
                total = [one + other for one, other in zip(total, self.adjugate[row], strict=True)]
        self.adjugate[first] = [-each for each in total]
        self.levels[first] = level
        self.keys[kind], self.held_seat[first] = self.held_seat[first], self.keys[kind]
        return first

    def _exchange(self, leaving: int, target: int, violation: int, *, rises: bool) -> bool:
        """What the row holds goes to its bound; what first stops the prices comes in.

        False where nothing stops them.
        """
        direction = self.adjugate[leaving]
        if not rises:
            direction = [-each for each in direction]
        stops = _Stops()
        for kind in range(len(self.keys)):
            self._seat_stop(stops, kind, direction)
        for recipe in range(len(self.at)):
            self._recipe_stop(stops, recipe, direction)
        table = self.table
        moved = [0] * len(direction)
        slope = -violation
        stop = stops.first()
        while stop >= 0:
            owner = stops.owners[stop]
            rate = stops.rates[stop]
            if owner >= 0:
                slope += table.counts[owner] * rate
                if slope >= 0 or self.kind_rows[owner]:
                    break
                seats = table.seats[owner]
                moved[seats[self.keys[owner]]] += table.counts[owner]
                self.keys[owner] = stops.places[stop]
                moved[seats[self.keys[owner]]] -= table.counts[owner]
                stops.drop(stop)
                self._seat_stop(stops, owner, direction)
            else:
                recipe = -1 - owner
                low, high = self.low[recipe], self.high[recipe]
                slope += (high - low) * rate
                if slope >= 0:
                    break
                times = high if self.at[recipe] == low else low
                for slot in table.needs[recipe]:
                    moved[slot] += table.quantities[slot] * (times - self.at[recipe])
                self.at[recipe] = times
                stops.drop(stop)
            stop = stops.first()
        if stop < 0:
            return False
        self._move(moved)
        self._enter(leaving, target, stops.owners[stop], stops.places[stop])
        return True

    def _seat_stop(self, stops: _Stops, kind: int, direction: list[int]) -> None:
        """Where another seat becomes worth as much to the kind as its key."""
        seats = self.table.seats[kind]
        key = self.keys[kind]
        own = direction[seats[key]]
        found = _NONE
        distance = most = 0
        kept = 0
        for place, slot in enumerate(seats):
            rate = own - direction[slot]
            if rate > 0:
                worths = self.table.worths[kind]
                if found < 0:
                    kept = worths[key] * self.determinant - self.prices[seats[key]]
                gap = kept - worths[place] * self.determinant + self.prices[slot]
                if found < 0 or gap * most < distance * rate:
                    found, distance, most = place, gap, rate
        if found >= 0:
            stops.add(distance, most, kind, found)

    def _recipe_stop(self, stops: _Stops, recipe: int, direction: list[int]) -> None:
        """Where the recipe begins to pay, or pays no longer."""
        low, high = self.low[recipe], self.high[recipe]
        if self.recipe_rows[recipe] >= 0 or low == high:
            return
        table = self.table
        rate = 0
        for slot in table.needs[recipe]:
            rate += table.quantities[slot] * direction[slot]
        if rate > 0 and self.at[recipe] == low:
            stops.add(-self._comes_to(recipe), rate, -1 - recipe, _NONE)
        elif rate < 0 and self.at[recipe] == high:
            stops.add(self._comes_to(recipe), -rate, -1 - recipe, _NONE)

    def _move(self, moved: list[int]) -> None:
        """So much more is owed to the slots."""
        for slot, more in enumerate(moved):
            if more and slot != GROUND:
                for row, held in enumerate(self.adjugate):
                    if held[slot]:
                        self.levels[row] += held[slot] * more

    def _enter(self, leaving: int, target: int, owner: int, place: int) -> None:
        """Pivot: the row gives up what it holds for this seat or recipe."""
        table = self.table
        before = self.determinant
        prices = self.prices
        slots: list[int] = []
        amounts: list[int] = []
        start = 0
        if owner >= 0:
            seats, worths = table.seats[owner], table.worths[owner]
            key = self.keys[owner]
            gain = (worths[place] - worths[key]) * before - prices[seats[place]]
            gain += prices[seats[key]]
            if seats[place] != GROUND:
                slots.append(seats[place])
                amounts.append(1)
            if seats[key] != GROUND:
                slots.append(seats[key])
                amounts.append(-1)
        else:
            recipe = -1 - owner
            gain = self._comes_to(recipe)
            start = self.at[recipe]
            for slot in table.needs[recipe]:
                slots.append(slot)
                amounts.append(-table.quantities[slot])
        pivot_row = self.adjugate[leaving]
        turn = 0
        for slot, amount in zip(slots, amounts, strict=True):
            turn += pivot_row[slot] * amount
        sign = 1 if turn > 0 else -1
        size = turn * sign
        over = self.levels[leaving] - target * before
        filled = [slot for slot, each in enumerate(pivot_row) if each]
        for row, held in enumerate(self.adjugate):
            if row == leaving:
                continue
            step = 0
            for slot, amount in zip(slots, amounts, strict=True):
                step += held[slot] * amount
            if size != before:
                for slot, each in enumerate(held):
                    if each:
                        held[slot] = each * size
                self.levels[row] *= size
                if step:
                    step *= sign
                    for slot in filled:
                        held[slot] -= step * pivot_row[slot]
                    self.levels[row] -= step * over
                if before != 1:
                    for slot, each in enumerate(held):
                        if each:
                            held[slot] = each // before
                    self.levels[row] //= before
            elif step:
                # The determinant stays, so that only what the pivot row touches changes.
                step *= sign
                for slot in filled:
                    held[slot] -= step * pivot_row[slot] // before
                self.levels[row] -= step * over // before
        gain *= sign
        for slot in range(1, len(prices)):
            prices[slot] = (prices[slot] * size + gain * pivot_row[slot]) // before
        if sign < 0:
            self.adjugate[leaving] = [-each for each in pivot_row]
        self.levels[leaving] = start * size + sign * over
        self.determinant = size
        self._hold(leaving, target, owner, place)

    def _hold(self, row: int, target: int, owner: int, place: int) -> None:
        kind, recipe = self.row_kind[row], self.held_recipe[row]
        if kind >= 0:
            self.kind_rows[kind].remove(row)
        if recipe >= 0:
            self.recipe_rows[recipe] = _NONE
            self.at[recipe] = target
        self.row_kind[row] = self.held_seat[row] = self.held_recipe[row] = _NONE
        if owner >= 0:
            self.row_kind[row] = owner
            self.held_seat[row] = place
            self.kind_rows[owner].append(row)
        else:
            self.held_recipe[row] = -1 - owner
            self.recipe_rows[-1 - owner] = row


class _Stops:
    """Where the prices, on their way, would change who sits where: distances over rates.

    ``owners`` are kinds, or recipes counted down from -1; ``places`` the seat of a kind.
    """

    __slots__ = ("distances", "owners", "places", "rates")

    def __init__(self) -> None:
        self.distances: list[int] = []
        self.rates: list[int] = []
        self.owners: list[int] = []
        self.places: list[int] = []

    def add(self, distance: int, rate: int, owner: int, place: int) -> None:
        self.distances.append(distance)
        self.rates.append(rate)
        self.owners.append(owner)
        self.places.append(place)

    def drop(self, stop: int) -> None:
        self.rates[stop] = 0

    def first(self) -> int:
        """The nearest; -1 where there is none."""
        found = _NONE
        distance, rate = 0, 1
        for stop, each in enumerate(self.rates):
            if each and (found < 0 or self.distances[stop] * rate < distance * each):
                found, distance, rate = stop, self.distances[stop], each
        return found

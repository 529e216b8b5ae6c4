"""Prices on seats that bound every choice from above: the relaxation behind ``seating``.

Pieces of some kinds sit in slots or stay alone. How many seats a slot has depends on tallies: a
set that is made n times has n times its quantity of seats in each of its slots. Let a tally be any
number between its bounds, and the problem is a linear programme. Its dual is small: one price per
slot. At prices p a piece of a kind is worth the most that any seat leaves of its worth,
max(worth - p), and a unit of a tally its own worth and what its seats fetch. The sum of what all
pieces and tallies come to, each tally as high as pays, is more than any choice can be worth,
whatever the prices; the search lowers it.

It is lowered by the dual simplex (C. E. Lemke, 1954). Each kind has one row "its pieces are so
many", which never enters the basis matrix: one of its seats is its key and takes what the others
leave (G. B. Dantzig and R. M. Van Slyke, 1967). So the matrix has a row per slot, a dozen, not a
row per kind. A step passes over seats and bounds that merely change sides while the bound goes on
falling (E. Kostina, 2002; I. Maros, 2003). The inverse of the matrix is kept in whole numbers, each
row over its own denominator, which mostly is one. After the bounds of a tally are moved, the prices
are still sound, and a few steps make them the best again.

Example: two pieces worth 3 and 2 in the only slot of a set that wants both and costs 4. At a price
of 2 a seat they keep 1 and 0 and the set comes to 0: no choice is worth more than 1.
"""

from __future__ import annotations

from math import gcd
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
    ground. In every slot the pieces are as many as the tallies and ``fixed`` owe it.
    """

    __slots__ = (
        "amounts",
        "counted",
        "counts",
        "fixed",
        "most",
        "owes",
        "seats",
        "worths",
        "yields",
    )

    def __init__(self) -> None:
        self.counts: list[int] = []
        """Pieces of each kind."""
        self.seats: list[list[int]] = []
        self.worths: list[list[int]] = []
        self.fixed: list[int] = [0]
        self.yields: list[int] = []
        """What one unit of each tally is worth beside the pieces."""
        self.owes: list[list[int]] = []
        """Slots in which a unit of the tally owes seats, and how many; below zero it takes some."""
        self.amounts: list[list[int]] = []
        self.most: list[int] = []
        self.counted: list[bool] = []
        """Whether it must be made whole; the others are whole where these are."""

    def add_kind(self, count: int, alone: int) -> int:
        """So many pieces, worth ``alone`` each where they sit nowhere; its number."""
        self.counts.append(count)
        self.seats.append([GROUND])
        self.worths.append([alone])
        return len(self.counts) - 1

    def add_slot(self, fixed: int = 0) -> int:
        """A slot; its number."""
        self.fixed.append(fixed)
        return len(self.fixed) - 1

    def add_seat(self, kind: int, slot: int, worth: int) -> None:
        """Pieces of the kind may sit there."""
        self.seats[kind].append(slot)
        self.worths[kind].append(worth)

    def add_tally(
        self, worth: int, most: int, owes: list[int], amounts: list[int], *, counted: bool
    ) -> int:
        """A number from 0 to ``most``; its number among the tallies."""
        self.yields.append(worth)
        self.most.append(most)
        self.owes.append(owes)
        self.amounts.append(amounts)
        self.counted.append(counted)
        return len(self.most) - 1


class SeatPrices:
    """A basis of the relaxation: prices, and how the pieces sit at them.

    Rows are those of the basis matrix: each holds a seat that is not the key of its kind, a tally,
    or nothing yet (what its slot has too little or too much). ``inverse`` has a row of the inverse
    for each, and ``levels`` how much of it there is, both over the row's own ``denominators``;
    prices and the bound are over ``unit``.
    """

    __slots__ = (
        "at",
        "bound",
        "denominators",
        "held_seat",
        "held_tally",
        "high",
        "inverse",
        "keys",
        "kind_rows",
        "levels",
        "low",
        "prices",
        "row_kind",
        "table",
        "tally_rows",
        "unit",
    )

    def __init__(self, table: Table) -> None:
        self.table: Table = table
        self.inverse: list[list[int]] = []
        self.denominators: list[int] = []
        self.levels: list[int] = []
        self.prices: list[int] = []
        self.unit: int = 1
        self.bound: int = 0
        """No choice within the bounds of the tallies is worth more, over the unit."""
        self.keys: list[int] = []
        """Of each kind the place of its key among its seats."""
        self.kind_rows: list[list[int]] = []
        """Rows that hold other seats of the kind."""
        self.row_kind: list[int] = []
        self.held_seat: list[int] = []
        self.held_tally: list[int] = []
        self.tally_rows: list[int] = []
        self.at: list[int] = []
        """How high a tally is that no row holds: one of its bounds."""
        self.low: list[int] = []
        self.high: list[int] = []

    def start(self) -> None:
        """At prices of nothing: every piece where it is worth most, every tally high if it pays."""
        table = self.table
        width = len(table.fixed)
        owed = list(table.fixed)
        for kind, worths in enumerate(table.worths):
            key = 0
            for place in range(1, len(worths)):
                if worths[place] > worths[key]:
                    key = place
            self.keys.append(key)
            self.kind_rows.append([])
            owed[table.seats[kind][key]] -= table.counts[kind]
            self.bound += table.counts[kind] * worths[key]
        for tally, most in enumerate(table.most):
            height = most if table.yields[tally] > 0 else 0
            self.low.append(0)
            self.high.append(most)
            self.at.append(height)
            self.tally_rows.append(_NONE)
            self.bound += height * table.yields[tally]
            for slot, amount in zip(table.owes[tally], table.amounts[tally], strict=True):
                owed[slot] += amount * height
        rows = width - 1
        self.prices = [0] * width
        self.levels = owed[1:]
        self.denominators = [1] * rows
        self.inverse = [
            [1 if slot == row + 1 else 0 for slot in range(width)] for row in range(rows)
        ]
        self.row_kind = [_NONE] * rows
        self.held_seat = [_NONE] * rows
        self.held_tally = [_NONE] * rows

    def copy(self) -> SeatPrices:
        """The same basis, apart."""
        other = SeatPrices(self.table)
        other.inverse = [row.copy() for row in self.inverse]
        other.denominators = self.denominators.copy()
        other.levels = self.levels.copy()
        other.prices = self.prices.copy()
        other.unit = self.unit
        other.bound = self.bound
        other.keys = self.keys.copy()
        other.kind_rows = [rows.copy() for rows in self.kind_rows]
        other.row_kind = self.row_kind.copy()
        other.held_seat = self.held_seat.copy()
        other.held_tally = self.held_tally.copy()
        other.tally_rows = self.tally_rows.copy()
        other.at = self.at.copy()
        other.low = self.low.copy()
        other.high = self.high.copy()
        return other

    # --- what it says

    def level(self, tally: int) -> int:
        """How high the tally is, over ``level_unit``."""
        row = self.tally_rows[tally]
        return self.at[tally] if row < 0 else self.levels[row]

    def level_unit(self, tally: int) -> int:
        """What the level of the tally is over."""
        row = self.tally_rows[tally]
        return 1 if row < 0 else self.denominators[row]

    def seated(self, kind: int) -> list[tuple[int, int]]:
        """Slots and how many pieces of the kind sit there, where all that is whole."""
        seats = self.table.seats[kind]
        left = self.table.counts[kind]
        found: list[tuple[int, int]] = []
        for row in self.kind_rows[kind]:
            count, part = divmod(self.levels[row], self.denominators[row])
            assert part == 0, "with whole tallies the pieces are whole"
            left -= count
            if count:
                found.append((seats[self.held_seat[row]], count))
        if left:
            found.append((seats[self.keys[kind]], left))
        return found

    def _comes_to(self, tally: int) -> int:
        """What a unit of the tally is worth and what its seats fetch, over the unit."""
        owes, amounts = self.table.owes[tally], self.table.amounts[tally]
        prices = self.prices
        total = self.table.yields[tally] * self.unit
        for at in range(len(owes)):
            total += amounts[at] * prices[owes[at]]
        return total

    # --- steps

    def improve(self) -> int:
        """One step towards better prices: ``IMPROVED``, or ``BEST`` where they are that already.

        ``IMPOSSIBLE``: no choice keeps to the bounds of the tallies.
        """
        levels, denominators = self.levels, self.denominators
        held_tally, row_kind = self.held_tally, self.row_kind
        most = 0
        over = 1
        leaving = _NONE
        target = 0
        turned = _NONE
        rises = True
        for row in range(len(levels)):
            level = levels[row]
            below = denominators[row]
            tally = held_tally[row]
            if tally >= 0:
                short = self.low[tally] * below - level
                excess = level - self.high[tally] * below
                if short > 0 and short * over > most * below:
                    most, over, leaving, target, rises = short, below, row, self.low[tally], True
                elif excess > 0 and excess * over > most * below:
                    most, over, leaving, target, rises = excess, below, row, self.high[tally], False
            elif level < 0:
                if -level * over > most * below:
                    most, over, leaving, target, rises = -level, below, row, 0, True
            elif level and row_kind[row] < 0 and level * over > most * below:
                most, over, leaving, target, rises = level, below, row, 0, False
        for kind in range(len(self.kind_rows)):
            rows = self.kind_rows[kind]
            if rows:
                below = 1
                level = self.table.counts[kind]
                for row in rows:
                    level = level * denominators[row] - levels[row] * below
                    below *= denominators[row]
                if level < 0 and -level * over > most * below:
                    most, over, turned = -level, below, kind
        if not most:
            return BEST
        if turned >= 0:
            leaving = self._turn_key(turned)
            most, target, rises = -levels[leaving], 0, True
        return IMPROVED if self._exchange(leaving, target, most, rises=rises) else IMPOSSIBLE

    def _turn_key(self, kind: int) -> int:
        """Another seat becomes the key of the kind; the row that now holds the old one."""
        rows = self.kind_rows[kind]
        first = rows[0]
        total = [-each for each in self.inverse[first]]
        below = self.denominators[first]
        level = self.table.counts[kind] * below - self.levels[first]
        for row in rows:
            if row != first:
                other = self.inverse[row]
                size = self.denominators[row]
                for slot in range(len(total)):
                    total[slot] = total[slot] * size - other[slot] * below
                level = level * size - self.levels[row] * below
                below *= size
        self.inverse[first] = total
        self.levels[first] = level
        self.denominators[first] = below
        self._reduce(first)
        self.keys[kind], self.held_seat[first] = self.held_seat[first], self.keys[kind]
        return first

    def _exchange(self, leaving: int, target: int, violation: int, *, rises: bool) -> bool:
        """What the row holds goes to its bound; what first stops the prices comes in.

        False where nothing stops them.
        """
        direction = self.inverse[leaving]
        if not rises:
            direction = [-each for each in direction]
        stops = _Stops()
        for kind in range(len(self.keys)):
            self._seat_stop(stops, kind, direction)
        for tally in range(len(self.at)):
            self._tally_stop(stops, tally, direction)
        table = self.table
        moved = [0] * len(direction)
        slope = -violation
        passed = 0
        stop = stops.first()
        while stop >= 0:
            owner = stops.owners[stop]
            rate = stops.rates[stop]
            if owner >= 0:
                count = table.counts[owner]
                if slope + count * rate >= 0 or self.kind_rows[owner]:
                    break
                seats = table.seats[owner]
                moved[seats[self.keys[owner]]] += count
                self.keys[owner] = stops.places[stop]
                moved[seats[self.keys[owner]]] -= count
            else:
                tally = -1 - owner
                low, count = self.low[tally], self.high[tally] - self.low[tally]
                if slope + count * rate >= 0:
                    break
                more = count if self.at[tally] == low else -count
                owes, amounts = table.owes[tally], table.amounts[tally]
                for at in range(len(owes)):
                    moved[owes[at]] += amounts[at] * more
                self.at[tally] += more
            slope += count * rate
            passed += count * stops.distances[stop]
            stops.drop(stop)
            if owner >= 0:
                self._seat_stop(stops, owner, direction)
            stop = stops.first()
        if stop < 0:
            return False
        self._move(moved)
        # The bound falls with the slope, which at each stop that was passed grew less steep.
        rate = stops.rates[stop]
        bound = (self.bound - passed) * rate + slope * stops.distances[stop]
        below = self.unit * rate
        self._enter(leaving, target, stops.owners[stop], stops.places[stop])
        self.bound = bound * self.unit // below
        return True

    def _seat_stop(self, stops: _Stops, kind: int, direction: list[int]) -> None:
        """Where another seat becomes worth as much to the kind as its key."""
        seats = self.table.seats[kind]
        key = self.keys[kind]
        own = direction[seats[key]]
        found = _NONE
        distance = most = 0
        kept = 0
        for place in range(len(seats)):
            slot = seats[place]
            rate = own - direction[slot]
            if rate > 0:
                worths = self.table.worths[kind]
                if found < 0:
                    kept = worths[key] * self.unit - self.prices[seats[key]]
                gap = kept - worths[place] * self.unit + self.prices[slot]
                # Worths are long numbers; rates are mostly alike.
                if found < 0 or (gap < distance if rate == most else gap * most < distance * rate):
                    found, distance, most = place, gap, rate
        if found >= 0:
            stops.add(distance, most, kind, found)

    def _tally_stop(self, stops: _Stops, tally: int, direction: list[int]) -> None:
        """Where the tally begins to pay, or pays no longer."""
        low, high = self.low[tally], self.high[tally]
        if self.tally_rows[tally] >= 0 or low == high:
            return
        owes, amounts = self.table.owes[tally], self.table.amounts[tally]
        rate = 0
        for at in range(len(owes)):
            rate += amounts[at] * direction[owes[at]]
        if rate > 0 and self.at[tally] == low:
            stops.add(-self._comes_to(tally), rate, -1 - tally, _NONE)
        elif rate < 0 and self.at[tally] == high:
            stops.add(self._comes_to(tally), -rate, -1 - tally, _NONE)

    def _move(self, moved: list[int]) -> None:
        """So much more is owed to the slots."""
        levels = self.levels
        for slot in range(1, len(moved)):
            more = moved[slot]
            if more:
                for row in range(len(levels)):
                    each = self.inverse[row][slot]
                    if each:
                        levels[row] += each * more

    def _enter(self, leaving: int, target: int, owner: int, place: int) -> None:
        """Pivot: the row gives up what it holds for this seat or tally."""
        table = self.table
        slots: list[int] = []
        amounts: list[int] = []
        start = 0
        if owner >= 0:
            seats, worths = table.seats[owner], table.worths[owner]
            key = self.keys[owner]
            gain = (worths[place] - worths[key]) * self.unit
            gain += self.prices[seats[key]] - self.prices[seats[place]]
            if seats[place] != GROUND:
                slots.append(seats[place])
                amounts.append(1)
            if seats[key] != GROUND:
                slots.append(seats[key])
                amounts.append(-1)
        else:
            tally = -1 - owner
            gain = self._comes_to(tally)
            start = self.at[tally]
            slots = table.owes[tally]
            amounts = [-amount for amount in table.amounts[tally]]
        pivot_row = self.inverse[leaving]
        turn = 0
        for at in range(len(slots)):
            turn += pivot_row[slots[at]] * amounts[at]
        over = self.levels[leaving] - target * self.denominators[leaving]
        if turn < 0:
            # The pivot row is turned round, so that denominators stay above zero.
            turn, over = -turn, -over
            pivot_row = [-each for each in pivot_row]
            self.inverse[leaving] = pivot_row
        filled = [slot for slot in range(len(pivot_row)) if pivot_row[slot]]
        self._reprice(gain, turn, pivot_row, filled)
        for row in range(len(self.levels)):
            if row == leaving:
                continue
            held = self.inverse[row]
            step = 0
            for at in range(len(slots)):
                step += held[slots[at]] * amounts[at]
            if not step:
                continue
            size = turn
            if size != 1:
                common = gcd(step, size)
                if common != 1:
                    step //= common
                    size //= common
            if size != 1:
                for slot in range(len(held)):
                    each = held[slot]
                    if each:
                        held[slot] = each * size
                self.levels[row] *= size
                self.denominators[row] *= size
            for slot in filled:
                held[slot] -= step * pivot_row[slot]
            self.levels[row] -= step * over
            if self.denominators[row] != 1:
                self._reduce(row)
        self.levels[leaving] = start * turn + over
        self.denominators[leaving] = turn
        if turn != 1:
            self._reduce(leaving)
        self._hold(leaving, target, owner, place)

    def _reduce(self, row: int) -> None:
        """The row in lowest terms."""
        held = self.inverse[row]
        common = self.denominators[row]
        for each in held:
            if each:
                if common == 1:
                    return
                common = gcd(common, each)
        if common != 1:
            for slot in range(len(held)):
                if held[slot]:
                    held[slot] //= common
            self.levels[row] //= common
            self.denominators[row] //= common

    def _reprice(self, gain: int, turn: int, pivot_row: list[int], filled: list[int]) -> None:
        """Prices at which what comes in neither gains nor loses."""
        prices = self.prices
        if turn != 1:
            common = gcd(gain, turn)
            gain //= common
            turn //= common
        if turn != 1:
            self.unit *= turn
            for slot in range(1, len(prices)):
                prices[slot] *= turn
        for slot in filled:
            prices[slot] += gain * pivot_row[slot]
        if self.unit != 1:
            common = self.unit
            for each in prices:
                if common == 1:
                    return
                common = gcd(common, each)
            if common != 1:
                self.unit //= common
                for slot in range(1, len(prices)):
                    prices[slot] //= common

    def _hold(self, row: int, target: int, owner: int, place: int) -> None:
        kind, tally = self.row_kind[row], self.held_tally[row]
        if kind >= 0:
            self.kind_rows[kind].remove(row)
        if tally >= 0:
            self.tally_rows[tally] = _NONE
            self.at[tally] = target
        self.row_kind[row] = self.held_seat[row] = self.held_tally[row] = _NONE
        if owner >= 0:
            self.row_kind[row] = owner
            self.held_seat[row] = place
            self.kind_rows[owner].append(row)
        else:
            self.held_tally[row] = -1 - owner
            self.tally_rows[-1 - owner] = row


class _Stops:
    """Where the prices, on their way, would change who sits where: distances over rates.

    ``owners`` are kinds, or tallies counted down from -1; ``places`` the seat of a kind.
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
        distances, rates = self.distances, self.rates
        found = _NONE
        distance, rate = 0, 1
        for stop in range(len(rates)):
            each = rates[stop]
            if not each:
                continue
            if found < 0 or (
                distances[stop] < distance
                if each == rate
                else distances[stop] * rate < distance * each
            ):
                found, distance, rate = stop, distances[stop], each
        return found

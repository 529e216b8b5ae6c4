"""Choose disjoint columns of greatest value: the search behind the mode ``best``.

There are kinds of identical pieces, so many of each. A column uses some pieces and has a value; it
may be used again as long as there are pieces. Columns may also draw on resources that run short
(applications, chips), and the values of some columns together may be capped.

Example: two kinds A x 2, B x 1; columns {A}: 3, {A, B}: 5, {B}: 1. The best is {A} + {A, B}: 8.

The search is exact. The relaxation that may use half a column is solved first (a simplex on
integers: the inverse of the basis is kept as its adjugate over one determinant). Its prices on the
kinds are such that no column is worth more than its pieces, so what all pieces cost together bounds
every choice from above. A choice is worth that bound less what its columns fall short of their
prices and less the price of what it leaves over; the search looks for the choice that loses least,
never follows one that already loses as much as the best known, and remembers the least loss with
which it has seen the same pieces left. Where that proves the greatest value, a second search finds,
among equal values, the one that the rules for ties want. The budget is counted in steps, not in
seconds, so that every machine gives the same answer.
"""

from __future__ import annotations

from typing import Final

STEPS_MAX: Final = 40_000
"""Columns tried; ordinary receipts need a few hundred."""
SEARCH_PIECES_MAX: Final = 240
"""More pieces than this are dealt out greedily: the depth of the search is their number."""
TIE_STEPS_MAX: Final = 10_000
FIRST_PART: Final = 256
"""The search begins within this part of what the first choice loses."""
ROWS_MAX: Final = 96
"""More kinds that hang together are dealt out greedily: the relaxation grows with their square."""
PIVOTS_MAX: Final = 200
"""Of the simplex: a relaxation that is not solved by then still gives sound, weaker prices."""


class Column:
    """Pieces used together, by kind, and what that is worth.

    ``worth`` is ``value`` with the rules for equal sums folded in below it.
    """

    __slots__ = ("cap", "draws", "mark", "uses", "value", "worth")

    def __init__(
        self,
        uses: list[tuple[int, int]],
        value: int,
        worth: int,
        draws: list[tuple[int, int]],
        cap: int,
        mark: int,
    ) -> None:
        self.uses: list[tuple[int, int]] = uses
        self.value: int = value
        self.worth: int = worth
        self.draws: list[tuple[int, int]] = draws
        self.cap: int = cap
        """Which cap its value counts towards; -1 is none."""
        self.mark: int = mark
        """The caller's own number for it."""


class Packing:
    """The best choice: how many times each column (by its mark) is used."""

    __slots__ = ("chosen", "optimal")

    def __init__(self, chosen: dict[int, int], *, optimal: bool) -> None:
        self.chosen: dict[int, int] = chosen
        self.optimal: bool = optimal


def pack(
    counts: list[int],
    columns: list[Column],
    supplies: list[int],
    caps: list[int],
    scale: int,
    *,
    complete: bool,
) -> Packing:
    """The choice of greatest worth.

    ``scale`` is what a unit of value is in worth; ``complete`` says that all columns are there.
    """
    chosen: dict[int, int] = {}
    optimal = complete
    steps_left = STEPS_MAX
    for part in _parts(len(counts), columns, len(supplies), len(caps)):
        search = part.search(counts, supplies, caps, scale)
        search.steps = STEPS_MAX - steps_left
        packing = search.solve()
        steps_left = max(STEPS_MAX - search.steps, 0)
        chosen.update(packing.chosen)
        optimal = optimal and packing.optimal
    return Packing(chosen, optimal=optimal)


class _Part:
    """Columns that share pieces, resources or caps with one another and with no others."""

    __slots__ = ("caps", "columns", "kinds", "resources")

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.kinds: dict[int, int] = {}
        self.resources: dict[int, int] = {}
        self.caps: dict[int, int] = {}

    def add(self, column: Column) -> None:
        """One more column; its kinds, resources and caps are numbered anew."""
        uses = [(_number(self.kinds, kind), count) for kind, count in column.uses]
        draws = [(_number(self.resources, each), amount) for each, amount in column.draws]
        cap = -1 if column.cap < 0 else _number(self.caps, column.cap)
        self.columns.append(Column(uses, column.value, column.worth, draws, cap, column.mark))

    def search(
        self, counts: list[int], supplies: list[int], caps: list[int], scale: int
    ) -> _Search:
        """The search among these columns alone."""
        return _Search(
            [counts[kind] for kind in self.kinds],
            self.columns,
            [supplies[each] for each in self.resources],
            [caps[cap] for cap in self.caps],
            scale,
        )


def _number(numbers: dict[int, int], key: int) -> int:
    return numbers.setdefault(key, len(numbers))


def _parts(kinds: int, columns: list[Column], supplies: int, caps: int) -> list[_Part]:
    """The columns apart where nothing holds them together."""
    parents = list(range(kinds + supplies + caps))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for column in columns:
        first = root(column.uses[0][0])
        for kind, _ in column.uses[1:]:
            parents[root(kind)] = first
        for resource, _ in column.draws:
            parents[root(kinds + resource)] = first
        if column.cap >= 0:
            parents[root(kinds + supplies + column.cap)] = first
    parts: dict[int, _Part] = {}
    for column in columns:
        node = root(column.uses[0][0])
        if node not in parts:
            parts[node] = _Part()
        parts[node].add(column)
    return list(parts.values())


class _Search:
    __slots__ = (
        "bound",
        "by_kind",
        "caps",
        "columns",
        "counts",
        "found",
        "kinds",
        "least",
        "least_path",
        "losses",
        "order",
        "path",
        "prices",
        "resource_prices",
        "scale",
        "seen",
        "steps",
        "supplies",
        "turned_away",
        "weight",
    )

    def __init__(
        self,
        counts: list[int],
        columns: list[Column],
        supplies: list[int],
        caps: list[int],
        scale: int,
    ) -> None:
        self.counts: list[int] = counts
        self.columns: list[Column] = [column for column in columns if column.worth > 0]
        self.supplies: list[int] = list(supplies)
        self.caps: list[int] = caps
        self.scale: int = scale
        self.kinds: int = len(counts)
        self.prices: list[int] = []
        self.resource_prices: list[int] = []
        self.weight: int = 1
        """What a unit of value is in prices and losses."""
        self.losses: list[int] = []
        self.by_kind: list[list[int]] = []
        self.order: list[int] = []
        self.least: int = 0
        self.least_path: list[int] = []
        self.found: bool = False
        self.path: list[int] = []
        self.seen: dict[tuple[int, ...], int] = {}
        self.steps: int = 0
        self.bound: int = 0
        """More than any choice can lose."""
        self.turned_away: int = 0
        """The least loss that was too much for the search so far."""

    def solve(self) -> Packing:
        if not self.columns:
            return Packing({}, optimal=True)
        plain = not self.supplies and not self.caps
        if plain and all([_is_single(column) for column in self.columns]):
            return Packing(self._each_its_best(), optimal=True)
        rows = self.kinds + len(self.supplies)
        if rows > ROWS_MAX or self.steps >= STEPS_MAX:
            self.prices = [0] * self.kinds
            self.resource_prices = [0] * len(self.supplies)
            self._prepare(ties=False)
            return Packing(self._greedy(), optimal=False)
        relaxation = _Relaxation(self.counts, self.supplies, self.columns)
        relaxation.solve()
        self.prices = relaxation.prices()[: self.kinds]
        self.resource_prices = relaxation.prices()[self.kinds :]
        self.weight = relaxation.determinant
        self._prepare(ties=False)
        chosen = self._greedy()
        if sum(self.counts) > SEARCH_PIECES_MAX:
            return Packing(chosen, optimal=self._loss_of(chosen) == 0)
        # First the greatest value, then among equals what the rules for ties want.
        chosen = self._greatest(chosen)
        proven = self.steps < STEPS_MAX
        steps = self.steps
        self._prepare(ties=True)
        self.least = self._loss_of(chosen)
        self.steps = STEPS_MAX - TIE_STEPS_MAX
        self._look()
        self.steps = steps
        if self.found:
            chosen = self._chosen()
        return Packing(chosen, optimal=proven)

    def _greatest(self, chosen: dict[int, int]) -> dict[int, int]:
        """The choice that loses least, looked for within a little first, then within more.

        The optimum loses little as a rule, and within little there is little to look at.
        """
        known = self._loss_of(chosen)
        within = known // FIRST_PART + 1
        while known and self.steps < STEPS_MAX:
            self.least = min(within, known)
            self._look()
            if self.found:
                chosen = self._chosen()
                known = self.least
                break
            if within >= known:
                break
            # Nothing is to be found below the least loss that was turned away.
            within = max(within * 4, self.turned_away + 1)
        if self.steps >= STEPS_MAX:
            # Not proven within the budget: the best that a last, greedy look finds.
            self.steps = max(STEPS_MAX - TIE_STEPS_MAX, 0)
            self.least = known
            self._look()
            self.steps = STEPS_MAX
            if self.found:
                chosen = self._chosen()
        return chosen

    def _look(self) -> None:
        self.found = False
        self.turned_away = self.bound
        self.seen.clear()
        self._descend(0, 0, list(self.counts), 0, [0] * len(self.caps))

    def _chosen(self) -> dict[int, int]:
        chosen: dict[int, int] = {}
        for index in self.least_path:
            chosen[index] = chosen.get(index, 0) + 1
        return self._marked(chosen)

    def _marked(self, chosen: dict[int, int]) -> dict[int, int]:
        marked: dict[int, int] = {}
        for index, times in chosen.items():
            mark = self.columns[index].mark
            marked[mark] = marked.get(mark, 0) + times
        return marked

    def _each_its_best(self) -> dict[int, int]:
        best: dict[int, Column] = {}
        for column in self.columns:
            kind = column.uses[0][0]
            if kind not in best or column.worth > best[kind].worth:
                best[kind] = column
        chosen: dict[int, int] = {}
        for kind, column in best.items():
            chosen[column.mark] = chosen.get(column.mark, 0) + self.counts[kind]
        return chosen

    # --- losses

    def _prepare(self, *, ties: bool) -> None:
        """What each column falls short of its prices; with ``ties`` their rules stand below."""
        unit = self.scale if ties else 1
        losses: list[int] = []
        for column in self.columns:
            loss = -column.value * self.weight
            for kind, count in column.uses:
                loss += self.prices[kind] * count
            for resource, amount in column.draws:
                loss += self.resource_prices[resource] * amount
            loss *= unit
            if ties:
                loss += column.value * self.scale - column.worth
            losses.append(loss)
        self.losses = losses
        if ties:
            self.prices = [price * unit for price in self.prices]
            self.resource_prices = [price * unit for price in self.resource_prices]
            self.weight *= unit
        prices = self.prices
        self.bound = 1
        for price, count in zip(prices, self.counts, strict=True):
            self.bound += price * count
        for price, supply in zip(self.resource_prices, self.supplies, strict=True):
            self.bound += price * supply
        # The dearest kinds are decided first: what they lose shows early.
        self.order = sorted(range(self.kinds), key=lambda kind: (-prices[kind], kind))
        rank = [0] * self.kinds
        for position, kind in enumerate(self.order):
            rank[kind] = position
        self.by_kind = [[] for _ in range(self.kinds)]
        for at, column in enumerate(self.columns):
            first = min([rank[kind] for kind, _ in column.uses])
            self.by_kind[first].append(at)
        for held in self.by_kind:
            held.sort(key=lambda at: (losses[at], at))

    def _loss_of(self, chosen: dict[int, int]) -> int:
        """What this choice (by marks) loses against the bound."""
        by_mark = {column.mark: at for at, column in enumerate(self.columns)}
        left = list(self.counts)
        supplies = list(self.supplies)
        capped = [0] * len(self.caps)
        loss = 0
        for mark, times in chosen.items():
            at = by_mark[mark]
            column = self.columns[at]
            loss += self.losses[at] * times
            for kind, count in column.uses:
                left[kind] -= count * times
            for resource, amount in column.draws:
                supplies[resource] -= amount * times
            if column.cap >= 0:
                capped[column.cap] += column.value * times
        for cap, given in zip(self.caps, capped, strict=True):
            loss += max(given - cap, 0) * self.weight
        for price, rest in zip(self.prices, left, strict=True):
            loss += price * rest
        for price, rest in zip(self.resource_prices, supplies, strict=True):
            loss += price * rest
        return loss

    # --- a first choice

    def _greedy(self) -> dict[int, int]:
        """The best of some simple choices."""
        best: dict[int, int] = {}
        least = -1
        columns = self.columns
        sizes = [sum([count for _, count in column.uses]) for column in columns]
        orders = [
            sorted(range(len(columns)), key=lambda at: (self.losses[at], -columns[at].worth, at)),
            sorted(range(len(columns)), key=lambda at: (-(columns[at].worth // sizes[at]), at)),
            sorted(range(len(columns)), key=lambda at: (-columns[at].worth, at)),
        ]
        for order in orders:
            chosen = self._marked(self._in_turn(order))
            loss = self._loss_of(chosen)
            if least < 0 or loss < least:
                best, least = chosen, loss
        return best

    def _in_turn(self, order: list[int]) -> dict[int, int]:
        left = list(self.counts)
        supplies = list(self.supplies)
        capped = [0] * len(self.caps)
        chosen: dict[int, int] = {}
        for at in order:
            column = self.columns[at]
            times = min([left[kind] // count for kind, count in column.uses])
            for resource, amount in column.draws:
                times = min(times, supplies[resource] // amount)
            if times > 0 and column.cap >= 0:
                room = max(self.caps[column.cap] - capped[column.cap], 0)
                times = min(times, -(-room // column.value))
            if times <= 0:
                continue
            if column.cap >= 0:
                capped[column.cap] += times * column.value
            for kind, count in column.uses:
                left[kind] -= count * times
            for resource, amount in column.draws:
                supplies[resource] -= amount * times
            chosen[at] = times
        return chosen

    # --- the search

    def _descend(
        self, position: int, start: int, left: list[int], loss: int, capped: list[int]
    ) -> None:
        """Decide the kind at this position: one more column that uses it, or leave the rest."""
        while position < self.kinds and left[self.order[position]] == 0:
            position += 1
            start = 0
        if position == self.kinds:
            for price, rest in zip(self.resource_prices, self.supplies, strict=True):
                loss += price * rest
            if loss < self.least:
                self.least = loss
                self.least_path = list(self.path)
                self.found = True
            elif loss < self.turned_away:
                self.turned_away = loss
            return
        key = (start, *left, *self.supplies, *capped)
        known = self.seen.get(key)
        if known is not None and known <= loss:
            return
        self.seen[key] = loss
        held = self.by_kind[position]
        for place in range(start, len(held)):
            at = held[place]
            self.steps += 1
            if self.steps >= STEPS_MAX:
                return
            lost = loss + self.losses[at]
            if lost >= self.least:
                self.turned_away = min(self.turned_away, lost)
                break
            column = self.columns[at]
            if not self._fits(column, left):
                continue
            over = 0
            cap = column.cap
            if cap >= 0:
                before = max(capped[cap] - self.caps[cap], 0)
                after = max(capped[cap] + column.value - self.caps[cap], 0)
                over = (after - before) * self.weight
                if lost + over >= self.least:
                    self.turned_away = min(self.turned_away, lost + over)
                    continue
                capped[cap] += column.value
            for kind, count in column.uses:
                left[kind] -= count
            for resource, amount in column.draws:
                self.supplies[resource] -= amount
            self.path.append(at)
            self._descend(position, place, left, lost + over, capped)
            self.path.pop()
            for kind, count in column.uses:
                left[kind] += count
            for resource, amount in column.draws:
                self.supplies[resource] += amount
            if cap >= 0:
                capped[cap] -= column.value
        kind = self.order[position]
        count = left[kind]
        lost = loss + count * self.prices[kind]
        if lost < self.least:
            left[kind] = 0
            self._descend(position + 1, 0, left, lost, capped)
            left[kind] = count
        elif lost < self.turned_away:
            self.turned_away = lost

    def _fits(self, column: Column, left: list[int]) -> bool:
        for kind, count in column.uses:
            if left[kind] < count:
                return False
        for resource, amount in column.draws:
            if self.supplies[resource] < amount:
                return False
        return True


class _Relaxation:
    """Choose columns in fractions: the greatest value is an upper bound, its duals are prices.

    Rows are kinds and resources. ``adjugate`` over ``determinant`` is the inverse of the basis, so
    everything stays whole (J. Edmonds, 1967: exact pivoting by integers).
    """

    __slots__ = ("adjugate", "basis", "columns", "determinant", "level", "rows", "values")

    def __init__(self, counts: list[int], supplies: list[int], columns: list[Column]) -> None:
        self.level: list[int] = [*counts, *supplies]
        """What the basic columns amount to, over the determinant."""
        self.rows: int = len(self.level)
        kinds = len(counts)
        self.columns: list[list[tuple[int, int]]] = [
            [*column.uses, *[(kinds + resource, amount) for resource, amount in column.draws]]
            for column in columns
        ]
        self.values: list[int] = [column.value for column in columns]
        self.determinant: int = 1
        self.adjugate: list[list[int]] = [
            [1 if row == other else 0 for other in range(self.rows)] for row in range(self.rows)
        ]
        self.basis: list[int] = [-1 - row for row in range(self.rows)]
        """The column of each row; below zero what is left over of a row."""

    def prices(self) -> list[int]:
        """Prices of the rows over the determinant: none below zero, no column worth more."""
        prices = self._duals()
        prices = [max(price, 0) for price in prices]
        # Where the pivots ran out a column may still be worth more than its rows.
        for column, value in zip(self.columns, self.values, strict=True):
            short = value * self.determinant
            for row, count in column:
                short -= prices[row] * count
            if short > 0:
                row, count = column[0]
                prices[row] += -(-short // count)
        return prices

    def _duals(self) -> list[int]:
        duals = [0] * self.rows
        for row, at in enumerate(self.basis):
            if at >= 0:
                value = self.values[at]
                held = self.adjugate[row]
                for other in range(self.rows):
                    duals[other] += value * held[other]
        return duals

    def solve(self) -> None:
        """Pivot until no column and no rest would raise the value."""
        for pivot in range(PIVOTS_MAX):
            entering = self._entering(first=pivot > PIVOTS_MAX // 2)
            if entering is None or not self._pivot(entering):
                return

    def _entering(self, *, first: bool) -> int | None:
        """The column that gains most a unit; with ``first`` the first one, which cannot circle."""
        duals = self._duals()
        best: int | None = None
        most = 0
        for at, column in enumerate(self.columns):
            gain = self.values[at] * self.determinant
            for row, count in column:
                gain -= duals[row] * count
            if gain > most:
                if first:
                    return at
                best, most = at, gain
        for row in range(self.rows):
            if -duals[row] > most:
                if first:
                    return -1 - row
                best, most = -1 - row, -duals[row]
        return best

    def _pivot(self, entering: int) -> bool:
        rows = self.rows
        direction = [0] * rows
        parts = [(-1 - entering, 1)] if entering < 0 else self.columns[entering]
        for row in range(rows):
            held = self.adjugate[row]
            total = 0
            for other, count in parts:
                total += held[other] * count
            direction[row] = total
        leaving = -1
        for row in range(rows):
            step = direction[row]
            if step <= 0:
                continue
            if leaving < 0:
                leaving = row
                continue
            here, there = self.level[row] * direction[leaving], self.level[leaving] * step
            if here < there or (here == there and self.basis[row] < self.basis[leaving]):
                leaving = row
        if leaving < 0:
            return False
        turn = direction[leaving]
        old = self.determinant
        pivot_row = self.adjugate[leaving]
        pivot_level = self.level[leaving]
        for row in range(rows):
            if row == leaving:
                continue
            step = direction[row]
            held = self.adjugate[row]
            if step:
                for other in range(rows):
                    held[other] = (held[other] * turn - step * pivot_row[other]) // old
                self.level[row] = (self.level[row] * turn - step * pivot_level) // old
            elif turn != old:
                for other in range(rows):
                    held[other] = held[other] * turn // old
                self.level[row] = self.level[row] * turn // old
        self.determinant = turn
        self.basis[leaving] = entering
        return True


def _is_single(column: Column) -> bool:
    return len(column.uses) == 1 and column.uses[0][1] == 1

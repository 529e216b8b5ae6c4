"""Choose disjoint columns of greatest value: the search behind the mode ``best``.

There are kinds of identical pieces, so many of each. A column uses some pieces and has a value; it
may be used again as long as there are pieces. Columns may also draw on resources that run short
(applications, chips), and the values of some columns together may be capped.

Example: two kinds A x 2, B x 1; columns {A}: 3, {A, B}: 5, {B}: 1. The best is {A} + {A, B}: 8.

The search is exact. Prices on the kinds such that no column is worth more than its pieces (a
feasible dual of the relaxation) bound every choice from above by what all pieces cost together. A
choice is then worth that bound less what its columns fall short of their prices and less the price
of what it leaves over; so the search looks for the choice that loses least, never follows one that
already loses as much as the best known, and remembers the least loss with which it has seen the
same pieces left. The budget is counted in steps, not in seconds, so that every machine gives the
same answer.
"""

from __future__ import annotations

from typing import Final

STEPS_MAX: Final = 60_000
"""Columns tried: about 5 ms compiled."""
SEARCH_PIECES_MAX: Final = 240
"""More pieces than this are dealt out greedily: the depth of the search is their number."""
DUAL_ROUNDS: Final = 4


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
    search = _Search(counts, columns, supplies, caps, scale)
    return search.solve(complete=complete)


class _Search:
    __slots__ = (
        "bound",
        "by_kind",
        "caps",
        "columns",
        "counts",
        "kinds",
        "least",
        "least_path",
        "losses",
        "order",
        "path",
        "prices",
        "scale",
        "seen",
        "steps",
        "supplies",
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
        self.bound: int = 0
        self.losses: list[int] = []
        self.by_kind: list[list[int]] = []
        self.order: list[int] = []
        self.least: int = 0
        self.least_path: list[int] = []
        self.path: list[int] = []
        self.seen: dict[tuple[int, ...], int] = {}
        self.steps: int = 0

    def solve(self, *, complete: bool) -> Packing:
        if not self.columns:
            return Packing({}, optimal=complete)
        plain = not self.supplies and not self.caps
        if plain and all([_is_single(column) for column in self.columns]):
            return Packing(self._each_its_best(), optimal=complete)
        self._price()
        self._prepare()
        chosen, loss = self._greedy()
        self.least = loss
        self.least_path = []
        searched = sum(self.counts) <= SEARCH_PIECES_MAX
        if loss and searched:
            left = list(self.counts)
            self._descend(0, 0, left, 0, [0] * len(self.caps))
            if self.least_path:
                chosen = {}
                for index in self.least_path:
                    mark = self.columns[index].mark
                    chosen[mark] = chosen.get(mark, 0) + 1
        proven = complete and (self.least == 0 or (searched and self.steps < STEPS_MAX))
        return Packing(chosen, optimal=proven)

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

    # --- prices

    def _price(self) -> None:
        """Prices that no column beats, made as low as a few rounds make them."""
        prices = [0] * self.kinds
        columns = self.columns
        sizes = [sum([count for _, count in column.uses]) for column in columns]
        # First those worth most a piece: what they raise often covers the others.
        by_density = sorted(
            range(len(columns)), key=lambda at: (-(columns[at].worth // sizes[at]), at)
        )
        for at in by_density:
            column = columns[at]
            short = column.worth
            for kind, count in column.uses:
                short -= prices[kind] * count
            if short > 0:
                rise = -(-short // sizes[at])
                for kind, _ in column.uses:
                    prices[kind] += rise
        holding: list[list[int]] = [[] for _ in range(self.kinds)]
        for at, column in enumerate(columns):
            for kind, _ in column.uses:
                holding[kind].append(at)
        slack = [-column.worth for column in columns]
        for at, column in enumerate(columns):
            for kind, count in column.uses:
                slack[at] += prices[kind] * count
        order = sorted(range(self.kinds), key=lambda kind: (-self.counts[kind], -prices[kind]))
        for round_number in range(DUAL_ROUNDS):
            moved = False
            # Half of what could go at first, so that no kind pays for all the others.
            last = round_number == DUAL_ROUNDS - 1
            for kind in order:
                fall = prices[kind]
                for at in holding[kind]:
                    for used, count in columns[at].uses:
                        if used == kind:
                            fall = min(fall, slack[at] // count)
                if not last:
                    fall = (fall + 1) // 2
                if fall > 0:
                    moved = True
                    prices[kind] -= fall
                    for at in holding[kind]:
                        for used, count in columns[at].uses:
                            if used == kind:
                                slack[at] -= fall * count
            if not moved:
                break
        self.prices = prices

    def _prepare(self) -> None:
        prices = self.prices
        self.bound = sum([price * count for price, count in zip(prices, self.counts, strict=True)])
        losses: list[int] = []
        for column in self.columns:
            loss = -column.worth
            for kind, count in column.uses:
                loss += prices[kind] * count
            losses.append(loss)
        self.losses = losses
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

    # --- a first choice

    def _greedy(self) -> tuple[dict[int, int], int]:
        """The better of some simple choices, and what it loses."""
        best: dict[int, int] = {}
        best_worth = -1
        columns = self.columns
        sizes = [sum([count for _, count in column.uses]) for column in columns]
        orders = [
            sorted(range(len(columns)), key=lambda at: (self.losses[at], -columns[at].worth, at)),
            sorted(range(len(columns)), key=lambda at: (-(columns[at].worth // sizes[at]), at)),
            sorted(range(len(columns)), key=lambda at: (-columns[at].worth, at)),
        ]
        for order in orders:
            left = list(self.counts)
            supplies = list(self.supplies)
            capped = [0] * len(self.caps)
            chosen: dict[int, int] = {}
            worth = 0
            for at in order:
                column = columns[at]
                times = min([left[kind] // count for kind, count in column.uses])
                for resource, amount in column.draws:
                    times = min(times, supplies[resource] // amount)
                if times <= 0:
                    continue
                if column.cap >= 0:
                    room = self.caps[column.cap] - capped[column.cap]
                    times = min(times, -(-max(room, 0) // column.value) if column.value else 0)
                    if times <= 0:
                        continue
                    over = capped[column.cap] + times * column.value - self.caps[column.cap]
                    capped[column.cap] += times * column.value
                    if over > 0:
                        worth -= over * self.scale
                for kind, count in column.uses:
                    left[kind] -= count * times
                for resource, amount in column.draws:
                    supplies[resource] -= amount * times
                chosen[column.mark] = chosen.get(column.mark, 0) + times
                worth += times * column.worth
            if worth > best_worth:
                best, best_worth = chosen, worth
        return best, self.bound - best_worth

    # --- the search

    def _descend(
        self, position: int, start: int, left: list[int], loss: int, capped: list[int]
    ) -> None:
        """Decide the kind at this position: one more column that uses it, or leave the rest."""
        while position < self.kinds and left[self.order[position]] == 0:
            position += 1
            start = 0
        if position == self.kinds:
            # Less is lost than in the best known choice, or this would not have been followed.
            self.least = loss
            self.least_path = list(self.path)
            return
        if start == 0:
            key = (*left, *self.supplies, *capped)
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
                break
            column = self.columns[at]
            if not self._fits(column, left):
                continue
            over = 0
            cap = column.cap
            if cap >= 0:
                before = max(capped[cap] - self.caps[cap], 0)
                after = max(capped[cap] + column.value - self.caps[cap], 0)
                over = (after - before) * self.scale
                if lost + over >= self.least:
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

    def _fits(self, column: Column, left: list[int]) -> bool:
        for kind, count in column.uses:
            if left[kind] < count:
                return False
        for resource, amount in column.draws:
            if self.supplies[resource] < amount:
                return False
        return True


def _is_single(column: Column) -> bool:
    return len(column.uses) == 1 and column.uses[0][1] == 1

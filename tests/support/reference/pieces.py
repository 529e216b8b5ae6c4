"""Pieces, applications and plans: what a goods result works with (section 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from .amounts import dec
from .conditions import Scope, matches
from .model import Line, Lot, Piece, Promotion

Reward = tuple[str, Fraction]
"""percent | each (kopecks a unit) | price (kopecks a unit) | pool (no value of its own)."""
POOL: Reward = ("pool", Fraction(0))
WORTHLESS: Reward = ("percent", Fraction(0))


@dataclass(frozen=True)
class Seen:
    """A piece as a promotion sees it: its exact price at the moment."""

    piece: Piece
    lot: Lot
    units: Fraction
    net: Fraction

    @property
    def line(self) -> Line:
        return self.lot.line

    @property
    def price(self) -> Fraction:
        return self.net / self.units

    def room(self, promo: Promotion) -> Fraction:
        return max(Fraction(0), self.net - self.line.floor(self.units, promo, exact=True))

    def wanted(self, reward: Reward) -> Fraction:
        """What the reward takes off this piece, exactly and without looking at its floor."""
        kind, value = reward
        if kind == "percent":
            return self.net * value / 100
        if kind == "each":
            return min(self.net, value * self.units)
        return max(Fraction(0), self.net - value * self.units)

    def gain(self, reward: Reward, promo: Promotion) -> Fraction:
        """The exact share of this piece, before rounding: what `best` compares."""
        return min(self.wanted(reward), self.room(promo))

    def gains(self, reward: Reward, promo: Promotion) -> bool:
        """Whether it would become cheaper: something is wanted and its lot has room."""
        return self.wanted(reward) > 0 and self.lot.room(promo) > 0


@dataclass
class App:
    """An application: the pieces it uses and those of them that it discounts.

    `gain` is its exact value, which `best` compares; `gains` says whether it would be made alone.
    """

    used: list[Piece]
    taken: list[tuple[Piece, Reward]]
    gain: Fraction = Fraction(0)
    chips: int = 0
    gains: bool = True


@dataclass
class Plan:
    """What a result would do: its applications in order, and how they are computed.

    `kind`: `each` (rewards of their own), `pool` (an amount spread over all) or `set` (a reward of
    a whole set; the sets are then looked for one by one). `idle`: pieces of a pool that cannot
    gain; `paid`: for an application of a `cheapest` nth its pieces in order and how many it uses
    beside those that it takes.
    """

    kind: str
    promo: Promotion
    result: dict[str, Any]
    seen: list[Seen]
    apps: list[App] = field(default_factory=list)
    idle: list[Piece] = field(default_factory=list)
    paid: dict[int, tuple[list[Piece], int]] = field(default_factory=dict)
    pool: Fraction = Fraction(0)
    cap: Fraction | None = None
    counter: tuple[str, int] | None = None
    chips: str | None = None
    claimed: bool = False
    gifts: int = 0
    slots: list[tuple[list[Seen], int]] = field(default_factory=list)


@dataclass
class Moment:
    """Where a plan is made: the scope, and which pieces may be used (`first`)."""

    scope: Scope
    may_use: Callable[[Piece], bool]

    def pieces(self, promo: Promotion, filter_: Any, *, countable: bool = False) -> list[Seen]:
        """Open, unflagged pieces of the matching lines, by line and number."""
        found = []
        for lot in self.scope.state.lots:
            line = lot.line
            if line.kept_out or not lot.open_to(promo) or (countable and not line.countable):
                continue
            if not matches(filter_, line, self.scope):
                continue
            units = Fraction(1) if line.countable else lot.qty
            net = lot.net * units / lot.qty
            found += [Seen(p, lot, units, net) for p in lot.pieces if self.may_use(p)]
        return sorted(found, key=lambda s: s.piece)

    def base(self, filter_: Any) -> list[Line]:
        """The lines of a sum of results: matching and unflagged."""
        return [x for x in self.scope.matching(filter_) if not x.kept_out]

    def sum_of(self, lines: Iterable[Line], by: str) -> Fraction:
        lines = list(lines)
        if by == "quantity":
            return sum((x.qty for x in lines), Fraction(0))
        if by == "distinct":
            return Fraction(len({x.sku for x in lines}))
        return Fraction(sum(self.scope.state.line_net(x.number) for x in lines))


def in_order(seen: list[Seen], choose: str) -> list[Seen]:
    if choose == "dearest":
        return sorted(seen, key=lambda s: (-s.price, s.piece))
    if choose == "cheapest":
        return sorted(seen, key=lambda s: (s.price, s.piece))
    return sorted(seen, key=lambda s: s.piece)


def reached(steps: list[Any], value: Fraction, scale: int = 1) -> Fraction | None:
    """The value of the highest step that is reached."""
    best: tuple[Fraction, Fraction] | None = None
    for bound, percent in steps:
        b = dec(bound) * scale
        if value >= b and (best is None or b >= best[0]):
            best = (b, dec(percent))
    return None if best is None else best[1]

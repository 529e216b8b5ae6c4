"""The mode ``best``: which disjoint applications together save most (section 6).

Two pulling examples. A set of A and B beats ten percent on each, but not thirty percent: sets
compete with what their pieces could get alone. And "the second at half price" over prices 90, 80,
50, 40 pairs them 90+80 and 50+40, unless the 50 is worth more elsewhere: which pieces go together
is part of the choice.

So every promotion says which applications it has (the pieces it would take alone, any n pieces for
an ``nth``, any pieces that fill the slots of a set), each at its exact value on the amounts at the
start of the group. ``kinds`` puts identical pieces together, ``worths`` makes value and the rules
for equal sums one number, ``bounds`` says what limits and caps leave. Then one of two finds the
best disjoint choice: ``recipes``, where what applications gain adds up over their pieces, with
``seating`` as its search; else ``columns``, one for each application, with ``packing``. ``dealing``
turns the choice back into pieces.
"""

from __future__ import annotations

from typing import Final

from shared.engine.bounds import Bounds
from shared.engine.columns import Columns, ways
from shared.engine.conditions import Situation
from shared.engine.dealing import deal
from shared.engine.entrants import Entrant, results_of
from shared.engine.kinds import find_kinds
from shared.engine.recipes import Recipes
from shared.engine.turn import Taking
from shared.engine.worths import Worths

WAYS_MAX: Final = 4_000
"""Applications that may be named one by one. With more of them recipes find the better choice, also
where they do not prove it."""
NAMED_MAX: Final = 8
"""Recipes with named pieces, which are half columns: where there are more, columns prove more."""


class Choice:
    """What each entrant takes, result by result."""

    __slots__ = ("optimal", "takings")

    def __init__(self, takings: list[list[Taking]], *, optimal: bool) -> None:
        self.takings: list[list[Taking]] = takings
        self.optimal: bool = optimal


def choose_best(at: Situation, entrants: list[Entrant]) -> Choice:
    """The choice of greatest exact sum, and whether that is proven."""
    results = results_of(entrants)
    kinds = find_kinds(at, results)
    if not kinds.all:
        return Choice(deal(kinds, entrants, results, []), optimal=True)
    worths = Worths(kinds, [result.entrant for result in results], len(entrants))
    bounds = Bounds(at, entrants, results, kinds.unit)
    recipes = Recipes(kinds, worths, bounds, results)
    suit = recipes.exact and recipes.named <= NAMED_MAX
    if suit or (recipes.possible and ways(kinds, results) > WAYS_MAX):
        chosen = recipes.choose()
        optimal = recipes.optimal
    else:
        columns = Columns(kinds, worths, bounds, results)
        chosen = columns.choose()
        optimal = columns.optimal
    return Choice(deal(kinds, entrants, results, chosen), optimal=optimal)

"""``per``: so many for every full amount or quantity (section 5)."""

from __future__ import annotations

from rules_compiler.filters import filter_or_none
from rules_compiler.names import Names
from rules_compiler.reading import money, one_of, pieces, quantity
from shared.engine.program import PerSum
from shared.wire.reading import Place


def read_per_sum(place: Place, names: Names, count: str) -> PerSum | None:
    """``{"amount" | "qty", "filter", count}``; ``count`` is the key that says how many."""
    if not place.object(frozenset({"amount", "qty", "filter", count})):
        return None
    one_of(place, "amount", "qty")
    many = pieces(place.get(count))
    return PerSum(
        amount_minor=money(place.get("amount"), low=1),
        quantity_milli=quantity(place.get("qty"), low=1),
        filter=filter_or_none(place, names),
        count=1 if many is None else many,
    )

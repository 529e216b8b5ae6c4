"""Results of the accrue stage: from the document to what the engine does."""

from __future__ import annotations

from rules_compiler.filters import filter_of
from rules_compiler.names import Names
from rules_compiler.reading import (
    accrual_percent,
    at_most_one_of,
    day,
    money,
    name,
    one_of,
    points,
    quantity,
    truth,
    whole,
)
from shared.engine.program import AccrueChips, AccruePoints, Count, CountBy, PerSum, Result
from shared.wire.reading import Place


def accrue_points(place: Place, names: Names) -> Result | None:
    """Points for what was paid."""
    ways = ("percent", "by_level", "per", "per_qty", "fixed", "multiply")
    options = "do account filter base cap cap_day active_after_days expires_after_days expires_on"
    allowed = frozenset({*ways, *options.split()})
    if not place.object(allowed, required=("account",)) or not one_of(place, *ways):
        return None
    multiply, base, levels = place.get("multiply"), place.get("base"), place.get("by_level")
    wanted = place.get("filter")
    if multiply is not None and wanted is not None and wanted.value != {}:
        wanted.fail("filter", "no filter beside 'multiply': a multiple is of all that was earned")
    at_most_one_of(place, "expires_after_days", "expires_on")
    amount_minor, amount_points = _per_amount(place.get("per"))
    quantity_milli, quantity_points = _per_quantity(place.get("per_qty"))
    rates = {} if levels is None else {k: accrual_percent(each) for k, each in levels.entries()}
    return AccruePoints(
        account=names.account(place),
        filter=filter_of(place, names),
        has_filter=_has_filter(place),
        percent_ppm=accrual_percent(place.get("percent")),
        by_level_ppm=None if levels is None else {key: rates[key] or 0 for key in sorted(rates)},
        per_amount_minor=amount_minor,
        per_quantity_milli=quantity_milli,
        per_points_centi=amount_points or quantity_points,
        fixed_centi=points(place.get("fixed")),
        multiply_ppm=None
        if multiply is None
        else multiply.decimal(6, high=10**10, what="a multiple"),
        at_list=base is not None and base.choice("paid", "list") == "list",
        cap_centi=points(place.get("cap")),
        cap_day_centi=points(place.get("cap_day")),
        active_after_days=whole(place.get("active_after_days"), high=_DAYS_MAX) or 0,
        expires_after_days=whole(place.get("expires_after_days"), high=_DAYS_MAX),
        expires_on_date=day(place.get("expires_on")),
    )


_DAYS_MAX = 100_000
"""270 years: a date that far away still is a date."""


def _has_filter(place: Place) -> bool:
    """Whether there is a filter that asks for something; an empty one is as a missing one."""
    found = place.get("filter")
    return found is not None and found.value != {}


def _per_amount(place: Place | None) -> tuple[int | None, int]:
    if place is None or not place.object(frozenset({"amount", "points"}), ("amount", "points")):
        return None, 0
    return money(place.get("amount"), low=1), points(place.get("points")) or 0


def _per_quantity(place: Place | None) -> tuple[int | None, int]:
    if place is None or not place.object(frozenset({"qty", "points"}), ("qty", "points")):
        return None, 0
    return quantity(place.get("qty"), low=1), points(place.get("points")) or 0


def accrue_chips(place: Place, names: Names) -> Result | None:
    """Chips for what was paid."""
    ways = ("per", "per_qty", "fixed")
    allowed = frozenset({*ways, "do", "chips", "filter", "cap"})
    if not place.object(allowed, required=("chips",)) or not one_of(place, *ways):
        return None
    return AccrueChips(
        account=names.chip(place, "chips"),
        filter=filter_of(place, names),
        has_filter=_has_filter(place),
        per=_chips_per(place),
        fixed=whole(place.get("fixed")),
        count_max=whole(place.get("cap")),
    )


def _chips_per(place: Place) -> PerSum | None:
    for key, measure in (("per", "amount"), ("per_qty", "qty")):
        per = place.get(key)
        if per is not None and per.object(frozenset({measure, "chips"}), (measure, "chips")):
            return PerSum(
                amount_minor=money(per.get("amount"), low=1),
                quantity_milli=quantity(per.get("qty"), low=1),
                count=whole(per.get("chips")) or 0,
            )
    return None


def count(place: Place, names: Names) -> Result | None:
    """A counter of the customer's grows."""
    allowed = frozenset({"do", "counter", "by", "filter", "reset"})
    if not place.object(allowed, required=("counter",)):
        return None
    by = place.get("by")
    return Count(
        counter=name(place, "counter"),
        by=CountBy.RECEIPT if by is None else CountBy(by.choice(*CountBy) or CountBy.RECEIPT),
        filter=filter_of(place, names),
        has_filter=_has_filter(place),
        reset=truth(place, "reset"),
    )

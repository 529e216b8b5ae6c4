"""Promotions: from the document to what the engine evaluates (section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rules_compiler.active_times import read_active
from rules_compiler.conditions import read_condition
from rules_compiler.names import Names, not_declared
from rules_compiler.reading import money, name, pieces, points, prose, truth, whole
from rules_compiler.results import read_result
from shared.engine.program import Cost, CustomerLimit, Limits, Promotion, Resolve, Result
from shared.wire.reading import Place

PROMOTIONS_MAX: Final = 200_000
_RESULTS_MAX: Final = 1_000
_PRIORITY_MAX: Final = 10**12
_PERIODS: Final = ("day", "week", "month", "year", "lifetime")
_KEYS: Final = frozenset(
    {
        "id",
        "name",
        "group",
        "priority",
        "enabled",
        "active",
        "when",
        "then",
        "hint",
        "stack",
        "closes",
        "only_one_of",
        "forbid_spend",
        "forbid_accrual",
        "ignore_floor",
        "ignore_soft",
        "on_claim",
        "cost",
        "limits",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A promotion as it stands in the document: what of it the program need not carry."""

    promotion: Promotion
    place: Place
    group: str
    priority: int
    enabled: bool


def read_promotions(place: Place, names: Names, groups: dict[str, Resolve]) -> list[Written]:
    """All promotions, in the order of the document; the disabled ones are checked too."""
    found: list[Written] = []
    seen: set[str] = set()
    for each in place.items("a list of promotions", most=PROMOTIONS_MAX):
        if not each.object(_KEYS, required=("id", "then")):
            continue
        written = _written(each, names, groups)
        if written.promotion.id in seen:
            each.child("id", written.promotion.id).fail(
                "duplicate_id", "an id that no other promotion has"
            )
        seen.add(written.promotion.id)
        found.append(written)
    return found


def _written(place: Place, names: Names, groups: dict[str, Resolve]) -> Written:
    group = _group_of(place, groups)
    priority = place.get("priority")
    order = 100 if priority is None else priority.decimal(0, low=-_PRIORITY_MAX, high=_PRIORITY_MAX)
    return Written(
        promotion=_promotion(place, names, groups[group]),
        place=place,
        group=group,
        priority=order or 0,
        enabled=truth(place, "enabled", default=True),
    )


def _group_of(place: Place, groups: dict[str, Resolve]) -> str:
    named = place.get("group")
    group = None if named is None else named.text()
    if named is not None and group is not None and group not in groups:
        not_declared(named, "groups")
    return group if group is not None and group in groups else next(iter(groups))


def _promotion(place: Place, names: Names, resolve: Resolve) -> Promotion:
    when, family = place.get("when"), place.get("only_one_of")
    return Promotion(
        id=name(place, "id"),
        results=_results(place.get("then"), names),
        active=read_active(place.get("active")),
        when=None if when is None else read_condition(when, names),
        stack=truth(place, "stack"),
        closes=truth(place, "closes"),
        only_one_of=None if family is None else family.text(),
        forbid_spend=truth(place, "forbid_spend"),
        forbid_accrual=truth(place, "forbid_accrual"),
        ignore_floor=truth(place, "ignore_floor"),
        ignore_soft=truth(place, "ignore_soft"),
        limits=_limits(place.get("limits")),
        on_claim=truth(place, "on_claim"),
        cost=_cost(place.get("cost"), names, resolve),
        name=prose(place, "name"),
        hint=prose(place, "hint"),
    )


def _results(place: Place | None, names: Names) -> list[Result]:
    if place is None:
        return []
    if place.value == []:
        place.fail("empty", "at least one result")
    items = place.items("a list of results", most=_RESULTS_MAX)
    return [result for each in items if (result := read_result(each, names)) is not None]


def _cost(place: Place | None, names: Names, resolve: Resolve) -> Cost | None:
    if place is None:
        return None
    if resolve in (Resolve.SUM, Resolve.BEST):
        place.fail(
            "cost_not_allowed",
            f"no cost in a group that resolves {resolve}",
            hint="Move the promotion to a group that resolves all or first.",
        )
    if not place.object(frozenset({"account", "points"}), ("account", "points")):
        return None
    centi = points(place.get("points"), low=1)
    return Cost(account=names.account(place), points_centi=centi or 1)


def _limits(place: Place | None) -> Limits | None:
    keys = frozenset({"per_receipt", "per_customer", "total", "on_excess"})
    if place is None or not place.object(keys):
        return None
    total, excess = place.get("total"), place.get("on_excess")
    times, discount_minor = (None, None) if total is None else _total(total)
    return Limits(
        per_receipt=whole(place.get("per_receipt")),
        per_customer=_per_customer(place.get("per_customer")),
        total_times=times,
        total_discount_minor=discount_minor,
        skip=excess is not None and excess.choice("cut", "skip") == "skip",
    )


def _total(place: Place) -> tuple[int | None, int | None]:
    if not place.object(frozenset({"times", "discount"})):
        return None, None
    _some_of(place, "times", "discount")
    return whole(place.get("times"), high=10**12), money(place.get("discount"))


def _per_customer(place: Place | None) -> CustomerLimit | None:
    keys = frozenset({"times", "qty", "discount", "per"})
    if place is None or not place.object(keys, required=("per",)):
        return None
    _some_of(place, "times", "qty", "discount")
    per, count = place.get("per"), pieces(place.get("qty"))
    return CustomerLimit(
        per=(None if per is None else per.choice(*_PERIODS)) or "lifetime",
        times=whole(place.get("times")),
        quantity_milli=None if count is None else count * 1000,
        discount_minor=money(place.get("discount")),
    )


def _some_of(place: Place, *keys: str) -> None:
    if all(place.get(key) is None for key in keys):
        place.fail("one_of", "at least one of " + ", ".join(keys))

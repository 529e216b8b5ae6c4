"""Results: from the document to what the engine does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rules_compiler.filters import read_filter
from rules_compiler.names import Names
from rules_compiler.reading import (
    accrual_percent,
    day,
    money,
    percent,
    points,
    truth,
    unsupported,
    whole,
)
from shared import limits
from shared.engine.program import (
    AccruePoints,
    Choose,
    DiscountGoods,
    DiscountReceipt,
    Filter,
    Nth,
    Per,
    Result,
    RoundTotal,
    SetPrice,
    SpendPoints,
    Step,
)
from shared.wire.reading import Place

_LATER: Final = frozenset(
    {
        "set",
        "gift_goods",
        "chips_price",
        "counter_nth",
        "manual",
        "external",
        "accrue_chips",
        "count",
        "issue_coupon",
        "message",
        "gift_info",
        "service",
    }
)


def read_result(place: Place, names: Names) -> Result | None:
    """The result at this place; None where it cannot be read (a finding says why)."""
    if not isinstance(place.value, dict):
        place.fail("type", "an object")
        return None
    do = place.get("do")
    kind = None if do is None else do.text()
    if kind is None:
        place.fail("missing_key", "the key 'do'")
        return None
    if kind in _LATER:
        unsupported(place.child("do", kind), kind)
        return None
    reader = _RESULTS.get(kind)
    if reader is None:
        place.child("do", kind).fail("unknown_result", ", ".join(sorted({*_RESULTS, *_LATER})))
        return None
    return reader(place, names)


def _exactly_one(place: Place, *keys: str) -> bool:
    present = [key for key in keys if place.get(key) is not None]
    if len(present) != 1:
        place.fail("one_of", "exactly one of " + ", ".join(keys))
    return len(present) == 1


def _filter(place: Place, names: Names) -> Filter:
    return read_filter(place.get("filter"), names.product_lists)


def _choose(place: Place) -> Choose:
    found = place.get("choose")
    value = None if found is None else found.choice(*Choose)
    return Choose.LINE if value is None else Choose(value)


def _discount_goods(place: Place, names: Names) -> Result | None:
    ways = ("percent", "amount_each", "amount", "tiers", "steps", "by_category")
    options = {"do", "filter", "skip", "max_qty", "max_qty_by", "choose", "cap"}
    if not place.object(frozenset({*ways, *options})) or not _exactly_one(place, *ways):
        return None
    for key in ("tiers", "steps", "by_category"):
        if (found := place.get(key)) is not None:
            unsupported(found, f"discount_goods with {key}")
            return None
    per = place.get("max_qty_by")
    return DiscountGoods(
        filter=_filter(place, names),
        percent_ppm=percent(place.get("percent")),
        amount_each_minor=money(place.get("amount_each")),
        amount_minor=money(place.get("amount")),
        skip_count=whole(place.get("skip")) or 0,
        quantity_max=whole(place.get("max_qty"), low=1),
        quantity_max_by=Per.RECEIPT if per is None else Per(per.choice(*Per) or Per.RECEIPT),
        choose=_choose(place),
        cap_minor=money(place.get("cap")),
    )


def _set_price(place: Place, names: Names) -> Result | None:
    ways = ("price", "price_type", "ending")
    if not place.object(
        frozenset({*ways, "do", "filter", "max_qty", "choose"})
    ) or not _exactly_one(place, *ways):
        return None
    price_type = place.get("price_type")
    return SetPrice(
        filter=_filter(place, names),
        price_minor=money(place.get("price")),
        price_type=None if price_type is None else price_type.text(),
        ending_minor=money(place.get("ending")),
        quantity_max=whole(place.get("max_qty"), low=1),
        choose=_choose(place),
    )


def _nth(place: Place, names: Names) -> Result | None:
    keys = {"do", "filter", "every", "take", "percent", "price", "grouping", "same"}
    if not place.object(frozenset(keys), required=("every",)):
        return None
    if place.get("percent") is not None and place.get("price") is not None:
        place.fail("one_of", "percent or price, not both")
    price_minor = money(place.get("price"))
    rate = percent(place.get("percent"))
    every = whole(place.get("every"), low=1) or 1
    take = whole(place.get("take"), low=1) or 1
    if take > every:
        place.child("take", place.value.get("take")).fail("bounds", "at most 'every'")
    grouping, same = place.get("grouping"), place.get("same")
    alike = None if same is None else same.choice("sku", "line")
    return Nth(
        filter=_filter(place, names),
        every=every,
        take=take,
        percent_ppm=rate if price_minor is not None or rate is not None else 10**6,
        price_minor=price_minor,
        cheapest=grouping is not None and grouping.choice("chunks", "cheapest") == "cheapest",
        same=None if alike is None else Per(alike),
    )


def _discount_receipt(place: Place, names: Names) -> Result | None:
    ways = ("percent", "amount", "price", "tiers", "per", "above")
    if not place.object(frozenset({*ways, "do", "filter", "value", "cap"})) or not _exactly_one(
        place, *ways
    ):
        return None
    value, per, above = place.get("value"), place.get("per"), place.get("above")
    in_money = value is not None and value.choice("percent", "amount") == "amount"
    each = amount = None
    if per is not None and per.object(frozenset({"each", "amount"}), ("each", "amount")):
        each, amount = money(per.get("each")), money(per.get("amount"))
        if each == 0:
            per.fail("bounds", "'each' above zero")
    above_from = above_rate = None
    if above is not None and above.object(frozenset({"from", "percent"}), ("from", "percent")):
        above_from, above_rate = money(above.get("from")), percent(above.get("percent"))
    return DiscountReceipt(
        filter=_filter(place, names),
        percent_ppm=percent(place.get("percent")),
        amount_minor=money(place.get("amount")),
        price_minor=money(place.get("price")),
        tiers=_tiers(place.get("tiers"), in_money=in_money),
        tiers_in_money=in_money,
        per_each_minor=each or None,
        per_amount_minor=amount or 0,
        above_from_minor=above_from,
        above_percent_ppm=above_rate or 0,
        cap_minor=money(place.get("cap")),
    )


def _tiers(place: Place | None, *, in_money: bool) -> list[Step] | None:
    if place is None:
        return None
    steps: list[Step] = []
    for each in place.items("a list of steps", most=1000):
        pair = list(each.items("a pair [from, value]", most=2))
        if len(pair) != 2:
            each.fail("pair", "a pair [from, value]")
            continue
        start, value = money(pair[0]), money(pair[1]) if in_money else percent(pair[1])
        if start is None or value is None:
            continue
        if steps and start <= steps[-1].from_minor:
            each.fail("order", "a bound above that of the step before")
        steps.append(Step(from_minor=start, value=value))
    return steps


def _account(place: Place, names: Names) -> str:
    found = place.get("account")
    name = None if found is None else found.text()
    if found is not None and name is not None and name not in names.accounts:
        found.fail("not_declared", "a name from accounts")
    return name or ""


def _spend_points(place: Place, names: Names) -> Result | None:
    keys = {"do", "account", "filter", "max_percent", "keep_each", "keep_total", "step"}
    if not place.object(frozenset(keys), required=("account",)):
        return None
    rate = percent(place.get("max_percent"))
    step = points(place.get("step"))
    if step == 0:
        place.child("step", "0").fail("bounds", "a step above zero")
    return SpendPoints(
        account=_account(place, names),
        filter=_filter(place, names),
        max_percent_ppm=10**6 if rate is None else rate,
        keep_each_minor=money(place.get("keep_each")) or 0,
        keep_total_minor=money(place.get("keep_total")) or 0,
        step_centi=step or None,
    )


def _round_total(place: Place, _names: Names) -> Result | None:
    if not place.object(frozenset({"do", "to", "each_line"}), required=("to",)):
        return None
    to_minor = money(place.get("to"))
    if to_minor == 0:
        place.child("to", "0").fail("bounds", "a multiple above zero")
    return RoundTotal(to_minor=to_minor or 1, each_line=truth(place, "each_line"))


def _accrue_points(place: Place, names: Names) -> Result | None:
    ways = ("percent", "by_level", "per", "per_qty", "fixed", "multiply")
    options = "do account filter base cap cap_day active_after_days expires_after_days expires_on"
    if not place.object(
        frozenset({*ways, *options.split()}), required=("account",)
    ) or not _exactly_one(place, *ways):
        return None
    per, per_quantity, levels = place.get("per"), place.get("per_qty"), place.get("by_level")
    multiply, base = place.get("multiply"), place.get("base")
    if multiply is not None and place.get("filter") is not None:
        multiply.fail("filter", "no filter: a multiple is of all that was earned")
    amount = quantity = each_points = None
    if per is not None and per.object(frozenset({"amount", "points"}), ("amount", "points")):
        amount, each_points = money(per.get("amount")), points(per.get("points"))
    if per_quantity is not None and per_quantity.object(
        frozenset({"qty", "points"}), ("qty", "points")
    ):
        found = per_quantity.get("qty")
        quantity = (
            None if found is None else found.decimal(3, low=1, high=limits.QUANTITY_MILLI_MAX)
        )
        each_points = points(per_quantity.get("points"))
    if amount == 0:
        place.fail("bounds", "an amount above zero in 'per'")
    return AccruePoints(
        account=_account(place, names),
        filter=_filter(place, names),
        has_filter=place.get("filter") is not None,
        percent_ppm=accrual_percent(place.get("percent")),
        by_level_ppm=None
        if levels is None
        else {key: accrual_percent(each) or 0 for key, each in levels.entries()},
        per_amount_minor=amount or None,
        per_quantity_milli=quantity,
        per_points_centi=each_points or 0,
        fixed_centi=points(place.get("fixed")),
        multiply_ppm=None if multiply is None else multiply.decimal(6, high=10**9),
        at_list=base is not None and base.choice("paid", "list") == "list",
        cap_centi=points(place.get("cap")),
        cap_day_centi=points(place.get("cap_day")),
        active_after_days=whole(place.get("active_after_days")) or 0,
        expires_after_days=whole(place.get("expires_after_days")),
        expires_on_date=day(place.get("expires_on")),
    )


_RESULTS: Final[dict[str, Callable[[Place, Names], Result | None]]] = {
    "discount_goods": _discount_goods,
    "set_price": _set_price,
    "nth": _nth,
    "discount_receipt": _discount_receipt,
    "spend_points": _spend_points,
    "round_total": _round_total,
    "accrue_points": _accrue_points,
}

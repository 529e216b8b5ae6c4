"""Results of the goods stage: from the document to what the engine does."""

from __future__ import annotations

from typing import Final

from rules_compiler.filters import filter_of
from rules_compiler.ladders import (
    read_category_rates,
    read_chips_ladder,
    read_piece_rates,
    read_tiers,
)
from rules_compiler.names import Names
from rules_compiler.per_sums import read_per_sum
from rules_compiler.reading import (
    at_most_one_of,
    money,
    name,
    one_of,
    percent,
    pieces,
    whole,
    words,
)
from shared.engine.program import (
    ChipsPrice,
    Choose,
    CounterNth,
    DiscountGoods,
    ExternalDiscount,
    GiftGoods,
    GoodsSet,
    ManualDiscount,
    Nth,
    Per,
    Result,
    SetPrice,
    Slot,
)
from shared.wire.reading import Place

_SLOTS_MAX: Final = 100
_WHOLE_PPM: Final = 10**6
_TIMEOUT_MS_MAX: Final = 600_000


def discount_goods(place: Place, names: Names) -> Result | None:
    """A percentage or a sum off pieces."""
    ways = ("percent", "amount_each", "amount", "tiers", "steps", "by_category")
    options = {"do", "filter", "skip", "max_qty", "max_qty_by", "choose", "cap"}
    if not place.object(frozenset({*ways, *options})) or not one_of(place, *ways):
        return None
    per = place.get("max_qty_by")
    tiers, steps, rates = place.get("tiers"), place.get("steps"), place.get("by_category")
    return DiscountGoods(
        filter=filter_of(place, names),
        percent_ppm=percent(place.get("percent")),
        amount_each_minor=money(place.get("amount_each")),
        amount_minor=money(place.get("amount")),
        skip_count=pieces(place.get("skip")) or 0,
        quantity_max=pieces(place.get("max_qty")),
        quantity_max_by=Per.RECEIPT if per is None else Per(per.choice(*Per) or Per.RECEIPT),
        choose=_choose(place, Choose.LINE),
        cap_minor=money(place.get("cap")),
        tiers=None if tiers is None else read_tiers(tiers),
        piece_ppms=None if steps is None else read_piece_rates(steps),
        by_category=None if rates is None else read_category_rates(rates),
    )


def set_price(place: Place, names: Names) -> Result | None:
    """Another unit price."""
    ways = ("price", "price_type", "ending")
    options = {"do", "filter", "max_qty", "choose"}
    if not place.object(frozenset({*ways, *options})) or not one_of(place, *ways):
        return None
    price_type = place.get("price_type")
    return SetPrice(
        filter=filter_of(place, names),
        price_minor=money(place.get("price")),
        price_type=None if price_type is None else price_type.text(),
        ending_minor=money(place.get("ending")),
        quantity_max=pieces(place.get("max_qty")),
        choose=_choose(place, Choose.LINE),
    )


def nth(place: Place, names: Names) -> Result | None:
    """Some pieces of each so many."""
    keys = {"do", "filter", "every", "take", "percent", "price", "grouping", "same"}
    if not place.object(frozenset(keys), required=("every",)):
        return None
    at_most_one_of(place, "percent", "price")
    price_minor, rate = money(place.get("price")), percent(place.get("percent"))
    every, take = pieces(place.get("every"), low=1), place.get("take")
    take_count = pieces(take, low=1) or 1
    if take is not None and every is not None and take_count > every:
        take.fail("bounds", "no more than 'every'")
    grouping, same = place.get("grouping"), place.get("same")
    alike = None if same is None else same.choice("sku", "line")
    return Nth(
        filter=filter_of(place, names),
        every=every or 1,
        take=take_count,
        percent_ppm=_WHOLE_PPM if price_minor is None and rate is None else rate,
        price_minor=price_minor,
        cheapest=grouping is not None and grouping.choice("chunks", "cheapest") == "cheapest",
        same=None if alike is None else Per(alike),
    )


def goods_set(place: Place, names: Names) -> Result | None:
    """Pieces that are cheaper together."""
    keys = frozenset({"do", "slots", "price", "percent", "amount"})
    if not place.object(keys, required=("slots",)):
        return None
    found = place.get("slots")
    if found is None:
        return None
    places = list(found.items("a list of slots", most=_SLOTS_MAX))
    if found.value == []:
        found.fail("empty", "at least one slot")
    slots = [slot for each in places if (slot := _slot(each, names)) is not None]
    rewarded = any(s.percent_ppm is not None or s.price_minor is not None for s in slots)
    at_most_one_of(place, "price", "percent", "amount")
    whole_reward = any(place.get(key) is not None for key in ("price", "percent", "amount"))
    # A slot that could not be read may have held the reward: it has its own finding.
    if whole_reward is rewarded and len(slots) == len(places) and slots:
        place.fail(
            "one_of",
            "a reward of the whole set (price, percent or amount) or one at its slots"
            + (", not both" if rewarded else ""),
        )
    return GoodsSet(
        slots=slots,
        price_minor=money(place.get("price")),
        percent_ppm=percent(place.get("percent")),
        amount_minor=money(place.get("amount")),
    )


def _slot(place: Place, names: Names) -> Slot | None:
    if not place.object(frozenset({"filter", "qty", "choose", "percent", "price"})):
        return None
    at_most_one_of(place, "percent", "price")
    rate, price_minor = percent(place.get("percent")), money(place.get("price"))
    if any(place.get(key) is not None for key in ("percent", "price")) and (
        rate is None and price_minor is None
    ):
        return None
    return Slot(
        filter=filter_of(place, names),
        quantity=pieces(place.get("qty"), low=1) or 1,
        choose=_choose(place, Choose.DEAREST),
        percent_ppm=rate,
        price_minor=price_minor,
    )


def gift_goods(place: Place, names: Names) -> Result | None:
    """Pieces of the receipt at the price of a gift."""
    if not place.object(frozenset({"do", "filter", "qty", "per", "max", "price", "choose"})):
        return None
    at_most_one_of(place, "qty", "per")
    quantity, per = pieces(place.get("qty")), place.get("per")
    return GiftGoods(
        filter=filter_of(place, names),
        quantity=1 if quantity is None else quantity,
        per=None if per is None else read_per_sum(per, names, "gifts"),
        count_max=pieces(place.get("max")),
        price_minor=money(place.get("price")) or 0,
        choose=_choose(place, Choose.DEAREST),
    )


def chips_price(place: Place, names: Names) -> Result | None:
    """Pieces that chips make cheaper."""
    keys = {"do", "chips", "each", "percent", "price", "ladder", "filter", "max_qty", "choose"}
    if not place.object(frozenset(keys), required=("chips",)):
        return None
    ladder = place.get("ladder")
    if one_of(place, "each", "ladder"):
        if ladder is None:
            one_of(place, "percent", "price")
        else:
            at_most_one_of(place, "ladder", "percent")
            at_most_one_of(place, "ladder", "price")
    return ChipsPrice(
        account=names.chip(place, "chips"),
        filter=filter_of(place, names),
        each=whole(place.get("each"), low=1),
        percent_ppm=percent(place.get("percent")),
        price_minor=money(place.get("price")),
        ladder=None if ladder is None else read_chips_ladder(ladder),
        quantity_max=pieces(place.get("max_qty")),
        choose=_choose(place, Choose.DEAREST),
    )


def counter_nth(place: Place, names: Names) -> Result | None:
    """Every n-th piece of a running count."""
    keys = frozenset({"do", "counter", "every", "filter", "price"})
    if not place.object(keys, required=("counter", "every")):
        return None
    return CounterNth(
        counter=name(place, "counter"),
        every=pieces(place.get("every"), low=1) or 1,
        filter=filter_of(place, names),
        price_minor=money(place.get("price")) or 0,
    )


def manual(place: Place, names: Names) -> Result | None:
    """The cashier's own discount."""
    if not place.object(frozenset({"do", "max_percent", "permission", "filter"})):
        return None
    rate = percent(place.get("max_percent"))
    return ManualDiscount(
        filter=filter_of(place, names),
        percent_ppm_max=_WHOLE_PPM if rate is None else rate,
        permissions=words(place, "permission"),
    )


def external(place: Place, names: Names) -> Result | None:
    """The discount that another service answers."""
    keys = frozenset({"do", "service", "timeout_ms", "filter"})
    if not place.object(keys, required=("service",)):
        return None
    timeout_ms = whole(place.get("timeout_ms"), high=_TIMEOUT_MS_MAX)
    return ExternalDiscount(
        service=name(place, "service"),
        filter=filter_of(place, names),
        timeout_ms=3000 if timeout_ms is None else timeout_ms,
    )


def _choose(place: Place, default: Choose) -> Choose:
    found = place.get("choose")
    value = None if found is None else found.choice(*Choose)
    return default if value is None else Choose(value)

"""Conditions in words: the tree of ``when`` and its leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rules_compiler.describe.customer import birthday, customer
from rules_compiler.describe.goods import goods, is_narrow
from rules_compiler.describe.nouns import (
    counted_bounds,
    money_bounds,
    number_bounds,
    ordinal,
    pair,
)
from rules_compiler.describe.voice import Voice


def condition(voice: Voice, when: Mapping[str, Any], *, inner: bool = False) -> str:
    """A condition; one inside another stands in brackets where it joins several."""
    ((key, value),) = when.items()
    if key == "not":
        return voice.text("not true: %(part)s", part=condition(voice, value, inner=True))
    if key not in ("all", "any"):
        tell = _LEAVES.get(key)
        return voice.quoted(key) if tell is None else tell(voice, value)
    if not value:
        return voice.text("always") if key == "all" else voice.text("never")
    if len(value) == 1:
        return condition(voice, value[0], inner=inner)
    joint = voice.text("; and ") if key == "all" else voice.text("; or ")
    joined = joint.join(condition(voice, part, inner=True) for part in value)
    return f"({joined})" if inner else joined


def _store(voice: Voice, values: Any) -> str:
    stores = [
        voice.text("one of group %(name)s", name=voice.quoted(each.get("group")))
        if isinstance(each, Mapping)
        else voice.quoted(each)
        for each in values
    ]
    return voice.text("the store is %(stores)s", stores=voice.either(stores))


def _channel(voice: Voice, values: Any) -> str:
    known = {
        "pos": voice.text("at a staffed till"),
        "sco": voice.text("at a self-checkout"),
        "selfscan": voice.text("by self-scanning"),
        "online": voice.text("in the online shop"),
    }
    channels = voice.either(known.get(str(each)) or voice.quoted(each) for each in values)
    return voice.text("the purchase is made %(channels)s", channels=channels)


def _register(voice: Voice, values: Any) -> str:
    return voice.text("the till is %(values)s", values=voice.either_quoted(values))


def _online(voice: Voice, value: Any) -> str:
    if value:
        return voice.text("the store is connected to head office")
    return voice.text("the store is cut off from head office")


def _total(voice: Voice, value: Mapping[str, Any]) -> str:
    bounds = money_bounds(voice, *pair(value))
    filter_ = value.get("filter")
    if is_narrow(filter_):
        which = goods(voice, filter_, "genitive")
        told = voice.text("the sum of %(goods)s is %(bounds)s", goods=which, bounds=bounds)
    else:
        told = voice.text("the sum of the receipt is %(bounds)s", bounds=bounds)
    if value.get("base") == "list":
        return voice.text("%(told)s (before discounts)", told=told)
    return told


def _quantity(voice: Voice, value: Mapping[str, Any]) -> str:
    told = voice.text(
        "the receipt has %(bounds)s of %(goods)s",
        bounds=counted_bounds(voice, "piece", *pair(value)),
        goods=goods(voice, value.get("filter"), "pieces"),
    )
    if value.get("unit") == "base":
        return voice.text("%(told)s (pieces inside packs are counted)", told=told)
    return told


def _distinct(voice: Voice, value: Mapping[str, Any]) -> str:
    return voice.text(
        "the receipt has %(bounds)s among %(goods)s",
        bounds=counted_bounds(voice, "product", *pair(value)),
        goods=goods(voice, value.get("filter"), "genitive"),
    )


def _any_line(voice: Voice, value: Mapping[str, Any]) -> str:
    which = goods(voice, value.get("filter"), "pieces")
    low, high = pair(value.get("qty"))
    if low is None and high is None:
        return voice.text("the receipt has a line of %(goods)s", goods=which)
    return voice.text(
        "the receipt has a line of %(goods)s with %(bounds)s",
        goods=which,
        bounds=counted_bounds(voice, "piece", low, high),
    )


def _coupon(voice: Voice, values: Any) -> str:
    return voice.text("a valid coupon %(values)s is presented", values=voice.either_quoted(values))


def _payment(voice: Voice, value: Mapping[str, Any]) -> str:
    known = {
        "card": voice.text("by bank card"),
        "cash": voice.text("in cash"),
        "sbp": voice.text("by SBP"),
    }
    parts: list[str] = []
    if (types := value.get("type")) is not None:
        parts.append(
            voice.either(
                known.get(str(each)) or voice.text("by %(type)s", type=voice.quoted(each))
                for each in types
            )
        )
    if (bins := value.get("bin")) is not None:
        numbers = voice.either(str(each) for each in bins)
        parts.append(voice.text("card number begins with %(numbers)s", numbers=numbers))
    low, high = pair(value)
    if low is not None or high is not None:
        parts.append(money_bounds(voice, low, high))
    if not parts:
        return voice.text("any payment is planned")
    return voice.text("payment: %(parts)s", parts=", ".join(parts))


def _counter(voice: Voice, value: Mapping[str, Any]) -> str:
    name = voice.quoted(value.get("id", ""))
    every = value.get("every")
    if every is not None:
        return voice.text(
            "it is every %(nth)s time by counter %(name)s",
            name=name,
            nth=ordinal(voice, every),
        )
    bounds = number_bounds(voice, *pair(value))
    current = value.get("with_current")
    if current is not None:
        return voice.text(
            "counter %(name)s together with this receipt's quantity of %(goods)s is %(bounds)s",
            name=name,
            goods=goods(voice, current, "genitive"),
            bounds=bounds,
        )
    return voice.text("counter %(name)s is %(bounds)s", name=name, bounds=bounds)


def _points(voice: Voice, value: Mapping[str, Any]) -> str:
    return voice.text(
        "the customer has %(bounds)s on account %(name)s",
        bounds=counted_bounds(voice, "point", *pair(value)),
        name=voice.quoted(value.get("account", "")),
    )


def _chips(voice: Voice, value: Mapping[str, Any]) -> str:
    return voice.text(
        "the customer has %(bounds)s %(name)s",
        bounds=counted_bounds(voice, "chip", *pair(value)),
        name=voice.quoted(value.get("account", "")),
    )


def _applied(voice: Voice, values: Any) -> str:
    promotions = voice.either(voice.promotion(each) for each in values)
    return voice.text("promotion %(promotions)s has acted before", promotions=promotions)


def _not_applied(voice: Voice, values: Any) -> str:
    promotions = voice.both(voice.promotion(each) for each in values)
    if len(values) == 1:
        return voice.text("promotion %(promotions)s has not acted before", promotions=promotions)
    return voice.text(
        "none of the promotions %(promotions)s has acted before", promotions=promotions
    )


_LEAVES: Final[dict[str, Callable[[Voice, Any], str]]] = {
    "store": _store,
    "channel": _channel,
    "register": _register,
    "online": _online,
    "customer": customer,
    "birthday": birthday,
    "total": _total,
    "quantity": _quantity,
    "distinct": _distinct,
    "any_line": _any_line,
    "coupon": _coupon,
    "payment": _payment,
    "counter": _counter,
    "points": _points,
    "chips": _chips,
    "applied": _applied,
    "not_applied": _not_applied,
}

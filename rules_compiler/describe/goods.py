"""Filters in words: which goods a condition or a result speaks of.

A filter becomes a noun and what follows it: "goods of category “tea” (except goods of brand “B”)".
What follows never changes; only the noun takes the case that the sentence around it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rules_compiler.describe.nouns import CASES, money_bounds, number_bounds, pair
from rules_compiler.describe.voice import Voice

GOODS_CASES: Final = (*CASES, "pieces")
"""``pieces``: after a number of pieces, where "all goods" would be wrong."""


def goods(voice: Voice, filter_: Mapping[str, Any] | None, case: str) -> str:
    """The goods that a filter matches."""
    found = filter_ or {}
    which = ", ".join(tell(voice, found[key]) for key, tell in _TESTS.items() if _asks(found, key))
    if which:
        told = voice.cased(case, "goods %(which)s", which=which)
    elif case == "pieces":
        told = voice.cased(case, "any goods")
    else:
        told = voice.cased(case, "all goods")
    if _asks(found, "exclude"):
        return f"{told} ({_exception(voice, found)})"
    return told


def is_narrow(filter_: Mapping[str, Any] | None) -> bool:
    """Whether a filter leaves anything out."""
    return any(_asks(filter_ or {}, key) for key in (*_TESTS, "exclude"))


def restriction(voice: Voice, filter_: Mapping[str, Any] | None) -> str:
    """What a narrow filter leaves of a receipt: ``only on goods …`` or ``except goods …``."""
    found = filter_ or {}
    if any(_asks(found, key) for key in _TESTS):
        return voice.text("only on %(goods)s", goods=goods(voice, found, "accusative"))
    return _exception(voice, found)


def _asks(filter_: Mapping[str, Any], key: str) -> bool:
    value = filter_.get(key)
    return value is not None and (key != "attrs" or bool(value))


def _exception(voice: Voice, filter_: Mapping[str, Any]) -> str:
    return voice.text("except %(goods)s", goods=goods(voice, filter_["exclude"], "genitive"))


def _sku(voice: Voice, values: Any) -> str:
    return voice.text("with SKU %(values)s", values=voice.either_quoted(values))


def _list(voice: Voice, values: Any) -> str:
    return voice.text("from list %(values)s", values=voice.either_quoted(values))


def _category(voice: Voice, values: Any) -> str:
    return voice.text("of category %(values)s", values=voice.either_quoted(values))


def _brand(voice: Voice, values: Any) -> str:
    return voice.text("of brand %(values)s", values=voice.either_quoted(values))


def _attributes(voice: Voice, value: Mapping[str, Any]) -> str:
    tests: list[str] = []
    for key, wanted in value.items():
        if isinstance(wanted, Mapping):
            bounds = number_bounds(voice, *pair(wanted))
            told = voice.text("%(key)s is %(bounds)s", key=voice.quoted(key), bounds=bounds)
        else:
            values = voice.either_quoted(wanted)
            told = voice.text("%(key)s is %(values)s", key=voice.quoted(key), values=values)
        tests.append(told)
    return voice.text("of which %(tests)s", tests=voice.both(tests))


def _flags(voice: Voice, values: Any) -> str:
    known = {
        "tobacco": voice.text("tobacco"),
        "gift_card": voice.text("gift card"),
        "no_discount": voice.text("no discounts"),
        "excise_alcohol": voice.text("excise alcohol"),
    }
    flags = voice.either_quoted(known.get(str(each), each) for each in values)
    return voice.text("marked %(flags)s", flags=flags)


def _price(voice: Voice, value: Any) -> str:
    return voice.text("priced %(bounds)s", bounds=money_bounds(voice, *pair(value)))


def _favourite(voice: Voice, value: Any) -> str:
    if value:
        return voice.text("among the customer's favourites")
    return voice.text("not among the customer's favourites")


def _discounted(voice: Voice, value: Any) -> str:
    return voice.text("already discounted") if value else voice.text("not discounted yet")


_TESTS: Final[dict[str, Callable[[Voice, Any], str]]] = {
    "sku": _sku,
    "list": _list,
    "category": _category,
    "brand": _brand,
    "attrs": _attributes,
    "flags": _flags,
    "price": _price,
    "favourite": _favourite,
    "discounted": _discounted,
}

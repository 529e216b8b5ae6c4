"""Filters: from the document to what the engine matches with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules_compiler.names import Names, not_declared
from rules_compiler.reading import span, values, words
from shared import limits
from shared.engine.program import EVERYTHING, AttributeTest, Filter
from shared.wire.reading import Place

_KEYS: Final = frozenset(
    {
        "sku",
        "list",
        "category",
        "brand",
        "attrs",
        "flags",
        "price",
        "favourite",
        "discounted",
        "exclude",
    }
)
_DEPTH_MAX: Final = 16


def filter_of(place: Place, names: Names, key: str = "filter") -> Filter:
    """The filter under a key of this object; a missing one matches every line."""
    return read_filter(place.get(key), names.product_lists)


def filter_or_none(place: Place, names: Names, key: str = "filter") -> Filter | None:
    """The filter under a key of this object, where it has one."""
    return None if place.get(key) is None else filter_of(place, names, key)


def read_filter(
    place: Place | None, product_lists: Mapping[str, Filter] | None, *, depth: int = 0
) -> Filter:
    """The filter at this place; a missing one matches every line.

    ``product_lists`` None: it is itself a product list, which may not speak of others, for there is
    no order in which circles could be resolved.
    """
    if place is None or not place.object(_KEYS) or not place.value:
        return EVERYTHING
    if depth > _DEPTH_MAX:
        place.fail("too_deep", f"at most {_DEPTH_MAX} filters in one another")
        return EVERYTHING
    exclude = place.get("exclude")
    price = place.get("price")
    categories, lists = words(place, "category"), _lists(place.get("list"), product_lists)
    return Filter(
        skus=words(place, "sku"),
        lists=None if lists is None else list(lists.values()),
        list_names=[] if lists is None else list(lists),
        categories=None if categories is None else sorted(categories),
        brands=words(place, "brand"),
        attributes=_attributes(place.get("attrs")),
        flags=words(place, "flags"),
        price_minor=None if price is None else span(price, 2, limits.PRICE_MINOR_MAX),
        favourite=None if (flag := place.get("favourite")) is None else flag.truth(),
        discounted=None if (flag := place.get("discounted")) is None else flag.truth(),
        exclude=None if exclude is None else read_filter(exclude, product_lists, depth=depth + 1),
    )


def _lists(
    place: Place | None, product_lists: Mapping[str, Filter] | None
) -> dict[str, Filter] | None:
    """The lists named, by name: the bytes do not depend on how their author ordered them."""
    if place is None:
        return None
    found: dict[str, Filter] = {}
    for each in place.items("a list of product lists"):
        name = each.text()
        if name is None:
            continue
        if product_lists is None:
            each.fail("nested_list", "no product lists in a product list")
        elif name in product_lists:
            found[name] = product_lists[name]
        else:
            not_declared(each, "product_lists")
    return dict(sorted(found.items()))


def _attributes(place: Place | None) -> list[AttributeTest]:
    tests = [] if place is None else [_attribute(key, each) for key, each in place.entries()]
    return sorted(tests, key=lambda test: test.key)


def _attribute(key: str, place: Place) -> AttributeTest:
    if not isinstance(place.value, dict):
        return AttributeTest(key=key, values=values(place))
    place.object(frozenset({"from", "to"}))
    low, low_text = _number(place.get("from"))
    high, high_text = _number(place.get("to"))
    if low is not None and high is not None and low > high:
        place.fail("from_after_to", "a lower bound that is not above the upper one")
    return AttributeTest(key=key, low=low_text, high=high_text)


def _number(place: Place | None) -> tuple[int | None, str | None]:
    """A bound to compare with, and its text."""
    found = None if place is None else place.decimal(12, low=None)
    return (None, None) if place is None or found is None else (found, str(place.value))

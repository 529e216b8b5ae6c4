"""Filters: from the document to what the engine matches with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules_compiler.reading import span
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


def read_filter(
    place: Place | None, product_lists: Mapping[str, Filter], *, depth: int = 0
) -> Filter:
    """The filter at this place; a missing one matches every line."""
    if place is None or not place.object(_KEYS):
        return EVERYTHING
    if depth > _DEPTH_MAX:
        place.fail("too_deep", f"at most {_DEPTH_MAX} filters in one another")
        return EVERYTHING
    exclude = place.get("exclude")
    price = place.get("price")
    return Filter(
        skus=_words(place, "sku"),
        lists=_lists(place.get("list"), product_lists),
        categories=sorted(categories)
        if (categories := _words(place, "category")) is not None
        else None,
        brands=_words(place, "brand"),
        attributes=_attributes(place.get("attrs")),
        flags=_words(place, "flags"),
        price_minor=None if price is None else span(price, 2, limits.PRICE_MINOR_MAX),
        favourite=None if (flag := place.get("favourite")) is None else flag.truth(),
        discounted=None if (flag := place.get("discounted")) is None else flag.truth(),
        exclude=None if exclude is None else read_filter(exclude, product_lists, depth=depth + 1),
    )


def _words(place: Place, key: str) -> frozenset[str] | None:
    found = place.get(key)
    return None if found is None else frozenset(found.texts())


def _lists(place: Place | None, product_lists: Mapping[str, Filter]) -> list[Filter] | None:
    if place is None:
        return None
    found: list[Filter] = []
    for each in place.items("a list of product lists"):
        name = each.text()
        if name is None:
            continue
        if name not in product_lists:
            each.fail("not_declared", "a name from product_lists")
            continue
        found.append(product_lists[name])
    return found


def _attributes(place: Place | None) -> list[AttributeTest]:
    if place is None:
        return []
    tests: list[AttributeTest] = []
    for key, each in place.entries():
        if isinstance(each.value, dict):
            each.object(frozenset({"from", "to"}))
            low, high = each.get("from"), each.get("to")
            for bound in (low, high):
                if bound is not None:
                    bound.decimal(6, low=None)
            tests.append(
                AttributeTest(
                    key=key,
                    low=None if low is None else str(low.value),
                    high=None if high is None else str(high.value),
                )
            )
        else:
            values = [str(item.value) for item in each.items() if isinstance(item.value, str)]
            tests.append(AttributeTest(key=key, values=frozenset(values)))
    return sorted(tests, key=lambda test: test.key)

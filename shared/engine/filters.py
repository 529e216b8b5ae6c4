"""Whether a line is meant by a filter (section 4 of the language)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation

from shared.engine.lots import LineState
from shared.engine.program import AttributeTest, Filter


def _below(category: str, wanted: str) -> bool:
    return category == wanted or category.startswith(wanted + "/")


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _attribute_holds(test: AttributeTest, attributes: dict[str, str]) -> bool:
    value = attributes.get(test.key)
    if value is None:
        return False
    if test.values is not None:
        return value in test.values
    number = _number(value)
    if number is None:
        return False
    return (test.low is None or number >= Decimal(test.low)) and (
        test.high is None or number <= Decimal(test.high)
    )


def matches(wanted: Filter, state: LineState, favourites: AbstractSet[str]) -> bool:
    """Whether the line matches every test of the filter that is present."""
    line = state.line
    if wanted.skus is not None and line.sku not in wanted.skus:
        return False
    if wanted.brands is not None and line.brand not in wanted.brands:
        return False
    if wanted.categories is not None:
        category = line.category
        if category is None or not any([_below(category, each) for each in wanted.categories]):
            return False
    if wanted.lists is not None and not any(
        matches(each, state, favourites) for each in wanted.lists
    ):
        return False
    if wanted.flags is not None and wanted.flags.isdisjoint(line.flags):
        return False
    if wanted.price_minor is not None and not wanted.price_minor.holds(line.price_minor):
        return False
    if wanted.attributes and not all(
        _attribute_holds(test, line.attributes) for test in wanted.attributes
    ):
        return False
    if wanted.favourite is not None and (line.sku in favourites) is not wanted.favourite:
        return False
    if wanted.discounted is not None and state.is_discounted is not wanted.discounted:
        return False
    return wanted.exclude is None or not matches(wanted.exclude, state, favourites)

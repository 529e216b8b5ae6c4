"""Whether a line is meant by a filter (section 4 of the language)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation

from shared.engine.lots import LineState
from shared.engine.program import AttributeTest, Filter, Span


class Wanted:
    """A filter read once for all receipts and lines that are held against it.

    Who looks lines up by its skus, else its brands, categories or lists, has done that test;
    ``has_more`` tells whether there are others.
    """

    __slots__ = (
        "_attributes",
        "_categories",
        "_discounted",
        "_exclude",
        "_favourite",
        "_flags",
        "_price_minor",
        "brands",
        "category_names",
        "has_more",
        "lists",
        "skus",
        "source",
    )

    def __init__(self, source: Filter) -> None:
        self.source: Filter = source
        self.skus: frozenset[str] | None = source.skus
        self.brands: frozenset[str] | None = source.brands
        self._categories: list[str] | None = source.categories
        self.category_names: frozenset[str] | None = None
        if source.categories is not None:
            self.category_names = frozenset(source.categories)
        self.lists: list[Wanted] | None = None
        if source.lists is not None:
            self.lists = [Wanted(each) for each in source.lists]
        self._flags: frozenset[str] | None = source.flags
        self._price_minor: Span | None = source.price_minor
        self._attributes: list[AttributeTest] = source.attributes
        self._favourite: bool | None = source.favourite
        self._discounted: bool | None = source.discounted
        self._exclude: Wanted | None = None
        if source.exclude is not None:
            self._exclude = Wanted(source.exclude)
        keys = [source.skus, source.brands, source.categories, source.lists]
        self.has_more: bool = (
            len([key for key in keys if key is not None]) > 1
            or self._flags is not None
            or self._price_minor is not None
            or bool(self._attributes)
            or self._favourite is not None
            or self._discounted is not None
            or self._exclude is not None
        )

    def holds(self, state: LineState, favourites: AbstractSet[str]) -> bool:
        """Whether the line passes every test of the filter that is present."""
        if self.skus is not None and state.sku not in self.skus:
            return False
        if self.brands is not None and state.brand not in self.brands:
            return False
        categories = self._categories
        if categories is not None and not _is_below(state.category, categories):
            return False
        if self.lists is not None:
            for each in self.lists:
                if each.holds(state, favourites):
                    break
            else:
                return False
        line = state.line
        if self._flags is not None and self._flags.isdisjoint(line.flags):
            return False
        if self._price_minor is not None and not self._price_minor.holds(line.price_minor):
            return False
        for test in self._attributes:
            if not _attribute_holds(test, line.attributes):
                return False
        if self._favourite is not None and (state.sku in favourites) is not self._favourite:
            return False
        if self._discounted is not None and state.is_discounted is not self._discounted:
            return False
        return self._exclude is None or not self._exclude.holds(state, favourites)


def _is_below(category: str | None, wanted: list[str]) -> bool:
    if category is None:
        return False
    for each in wanted:
        if category == each or category.startswith(each + "/"):
            return True
    return False


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

"""The lines of a receipt by the names under which filters and the index of a program know them."""

from __future__ import annotations

import functools
from typing import Final

from shared.engine.lots import LineState

_CATEGORIES_KEPT: Final = 2**12
"""Categories repeat from receipt to receipt."""


class Shelf:
    """Lines by one kind of name; none of these lists is to be changed."""

    __slots__ = ("_names", "lines")

    def __init__(self, lines: dict[str, list[LineState]]) -> None:
        self.lines: dict[str, list[LineState]] = lines
        self._names: frozenset[str] = frozenset(lines)

    def under(self, names: frozenset[str]) -> list[LineState]:
        """The lines under any of the names, in their order, each once."""
        return in_one([self.lines[name] for name in names & self._names])


def in_one(places: list[list[LineState]]) -> list[LineState]:
    """The lines of several places in their order, each once."""
    if len(places) == 1:
        return places[0]
    found: dict[int, LineState] = {}
    for lines in places:
        for line in lines:
            found[line.index] = line
    return [found[index] for index in sorted(found)]


class Shelves:
    """Lines by SKU, brand and category; a line stands under its category and all above it."""

    __slots__ = ("by_brand", "by_category", "by_sku")

    def __init__(self, lines: list[LineState]) -> None:
        skus: dict[str, list[LineState]] = {}
        brands: dict[str, list[LineState]] = {}
        categories: dict[str, list[LineState]] = {}
        # The places of a category and of all above it, found once for all its lines.
        above: dict[str, list[list[LineState]]] = {}
        for line in lines:
            _place(skus, line.sku).append(line)
            if line.brand is not None:
                _place(brands, line.brand).append(line)
            category = line.category
            if category is not None:
                places = above.get(category)
                if places is None:
                    places = above[category] = _places(categories, category)
                for place in places:
                    place.append(line)
        self.by_sku: Shelf = Shelf(skus)
        self.by_brand: Shelf = Shelf(brands)
        self.by_category: Shelf = Shelf(categories)


def _place(lines: dict[str, list[LineState]], name: str) -> list[LineState]:
    place = lines.get(name)
    if place is None:
        place = lines[name] = []
    return place


def _places(lines: dict[str, list[LineState]], category: str) -> list[list[LineState]]:
    return [_place(lines, path) for path in _with_all_above(category)]


@functools.lru_cache(_CATEGORIES_KEPT)
def _with_all_above(category: str) -> list[str]:
    paths: list[str] = []
    path = category
    while path:
        paths.append(path)
        path = path.rpartition("/")[0]
    return paths

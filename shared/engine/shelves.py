"""The lines of a receipt by the names under which filters and the index of a program know them."""

from __future__ import annotations

from shared.engine.lots import LineState


class Shelves:
    """Lines by SKU, brand and category; a line stands under its category and all above it."""

    __slots__ = ("by_brand", "by_category", "by_sku")

    def __init__(self, lines: list[LineState]) -> None:
        self.by_sku: dict[str, list[LineState]] = {}
        self.by_brand: dict[str, list[LineState]] = {}
        self.by_category: dict[str, list[LineState]] = {}
        # The shelves of a category and of all above it, found once for all its lines.
        above: dict[str, list[list[LineState]]] = {}
        for line in lines:
            _shelf(self.by_sku, line.sku).append(line)
            if line.brand is not None:
                _shelf(self.by_brand, line.brand).append(line)
            category = line.category
            if category is not None:
                shelves = above.get(category)
                if shelves is None:
                    shelves = above[category] = self._above(category)
                for shelf in shelves:
                    shelf.append(line)

    def _above(self, category: str) -> list[list[LineState]]:
        shelves: list[list[LineState]] = []
        path = category
        while path:
            shelves.append(_shelf(self.by_category, path))
            path = path.rpartition("/")[0]
        return shelves


def _shelf(shelves: dict[str, list[LineState]], key: str) -> list[LineState]:
    shelf = shelves.get(key)
    if shelf is None:
        shelf = shelves[key] = []
    return shelf


def lines_named(
    shelves: dict[str, list[LineState]], names: frozenset[str] | list[str]
) -> list[LineState]:
    """The lines under any of the names, in their order, each once; not to be changed."""
    held: list[list[LineState]] = []
    if len(names) <= len(shelves):
        for name in names:
            lines = shelves.get(name)
            if lines is not None:
                held.append(lines)
    else:
        for name, lines in shelves.items():
            if name in names:
                held.append(lines)
    if not held:
        return []
    if len(held) == 1:
        return held[0]
    found: dict[int, LineState] = {}
    for lines in held:
        for line in lines:
            found[line.index] = line
    return [found[index] for index in sorted(found)]

"""What a choice is worth: its exact value, and below it the rules for equal sums, in one number.

For equal sums: fewer applications, then more of the first promotion, of the second, …, then lower
lines for the first promotion, for the second, … (section 6 of the language). Each of these is a
digit of the number, weighing more than all below it together; so every part of a choice has its
worth, worths add up, and the search needs no second look.
"""

from __future__ import annotations

from typing import Final

from shared.engine.kinds import Kinds

TIE_BITS_MAX: Final = 2_048
"""Digits for the preference of lower lines: beyond this it would cost more than it decides."""


class Worths:
    """``scale`` is a unit of value; an application and each piece it uses add to it."""

    __slots__ = ("_applications", "_lines", "scale")

    def __init__(self, kinds: Kinds, entrant_of: list[int], entrants: int) -> None:
        """``entrant_of`` says whose each result is."""
        used: list[set[int]] = [set() for _ in range(entrants)]
        for result, members in enumerate(kinds.of):
            used[entrant_of[result]].update([index for index, _ in members])
        self._lines: list[dict[int, int]] = [{} for _ in range(entrants)]
        below = 1
        for number in range(entrants - 1, -1, -1):
            for index in sorted(used[number], reverse=True):
                self._lines[number][index] = below
                below *= kinds.all[index].count + 1
        if below.bit_length() > TIE_BITS_MAX:
            self._lines = [{} for _ in range(entrants)]
            below = 1
        base = sum([kind.count for kind in kinds.all]) + 1
        top = below * base**entrants
        self._applications: list[int] = [
            below * base ** (entrants - 1 - number) - top for number in range(entrants)
        ]
        self.scale: int = top * base * 2

    def application(self, entrant: int, value: int = 0) -> int:
        """An application of the entrant that gains so much, without its pieces."""
        return value * self.scale + self._applications[entrant]

    def piece(self, entrant: int, index: int, value: int = 0) -> int:
        """A piece of the kind used by the entrant, for a gain of so much."""
        return value * self.scale + self._lines[entrant].get(index, 0)

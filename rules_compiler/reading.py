"""Pieces of reading that conditions, results and filters share."""

from __future__ import annotations

from datetime import date
from typing import Final

from shared import limits
from shared.engine.program import Span
from shared.wire.reading import Place

PERCENT_MAX: Final = 10**6
"""100 % in millionths, with the four decimals a percent may have."""
ACCRUAL_PERCENT_MAX: Final = 10**8
POINTS_MAX: Final = 10**14
MONEY_MAX: Final = limits.PRICE_MINOR_MAX * 100
"""A sum of a receipt; one price has a smaller bound."""
SUM_MILLI_MAX: Final = limits.QUANTITY_MILLI_MAX * 1000
"""A quantity summed over lines, possibly in base units."""
TEXT_MAX: Final = 2_000
"""Characters of a name, a hint or a message."""


def span(place: Place, decimals: int, high: int) -> Span:
    """A pair ``[lo, hi]`` as inclusive bounds; null is open."""
    ends = pair(place, "a pair [from, to]")
    if ends is None:
        return Span()
    low, top = (None if each.value is None else each.decimal(decimals, high=high) for each in ends)
    return _checked(place, Span(low=low, high=top))


def pair(place: Place, expected: str) -> tuple[Place, Place] | None:
    """The two elements of a list of two."""
    if not isinstance(place.value, list) or len(place.value) != 2:
        place.fail("pair", expected)
        return None
    first, second = place.items()
    return first, second


def from_to(place: Place, decimals: int, high: int) -> Span:
    """The keys ``from`` and ``to`` of an object as inclusive bounds."""
    low, top = place.get("from"), place.get("to")
    return _checked(
        place,
        Span(
            low=None if low is None else low.decimal(decimals, high=high),
            high=None if top is None else top.decimal(decimals, high=high),
        ),
    )


def _checked(place: Place, found: Span) -> Span:
    if found.low is not None and found.high is not None and found.low > found.high:
        place.fail("from_after_to", "a lower bound that is not above the upper one")
    return found


def percent(place: Place | None) -> int | None:
    """A percent of 0 to 100, in millionths."""
    return None if place is None else place.decimal(4, high=PERCENT_MAX, what="a percent")


def accrual_percent(place: Place | None) -> int | None:
    """A percent of 0 to 10,000, in millionths."""
    if place is None:
        return None
    return place.decimal(4, high=ACCRUAL_PERCENT_MAX, what="an accrual percent")


def money(place: Place | None, *, low: int = 0) -> int | None:
    """A sum of money in minor units."""
    if place is None:
        return None
    return place.decimal(2, low=low, high=limits.PRICE_MINOR_MAX, what="a sum of money")


def points(place: Place | None, *, low: int = 0) -> int | None:
    """Points in hundredths."""
    return None if place is None else place.decimal(2, low=low, high=POINTS_MAX, what="points")


def quantity(place: Place | None, *, low: int = 0) -> int | None:
    """A quantity in thousandths."""
    if place is None:
        return None
    return place.decimal(3, low=low, high=limits.QUANTITY_MILLI_MAX, what="a quantity")


def pieces(place: Place | None, *, low: int = 0) -> int | None:
    """A whole number of pieces, written as a number or as a quantity such as "2.000"."""
    if place is None:
        return None
    found = place.decimal(3, low=low * 1000, high=limits.QUANTITY_MILLI_MAX, what="a whole number")
    if found is not None and found % 1000 != 0:
        place.fail("decimals", "a whole number of pieces")
        return None
    return None if found is None else found // 1000


def whole(place: Place | None, *, low: int = 0, high: int = 10**9) -> int | None:
    """A whole number."""
    return None if place is None else place.integer(low=low, high=high)


def truth(place: Place, key: str, *, default: bool = False) -> bool:
    """A flag of an object, false when it is absent."""
    found = place.get(key)
    value = None if found is None else found.truth()
    return default if value is None else value


def name(place: Place, key: str) -> str:
    """A name that an object has under this key; empty where it is absent or wrong."""
    found = place.get(key)
    return "" if found is None else found.text() or ""


def prose(place: Place, key: str) -> str:
    """A text for people, which may be empty."""
    found = place.get(key)
    return "" if found is None else found.text(empty=True, most=TEXT_MAX) or ""


def words(place: Place, key: str) -> frozenset[str] | None:
    """A list of words as a set; None where it is absent."""
    found = place.get(key)
    return None if found is None else frozenset(found.texts())


def values(place: Place) -> frozenset[str]:
    """A list of words or numbers, each by its text: attributes have both."""
    found: set[str] = set()
    for each in place.items("a list of values"):
        if isinstance(each.value, str) and len(each.value) <= TEXT_MAX:
            # Not NumberText, which would not be a plain string to whoever writes it.
            found.add(str.__str__(each.value))
        else:
            each.fail("type", "a string or a number")
    return frozenset(found)


def one_of(place: Place, *keys: str) -> bool:
    """Whether exactly one of the keys is present; else a finding."""
    present = [key for key in keys if place.get(key) is not None]
    if len(present) != 1:
        place.fail("one_of", "exactly one of " + ", ".join(keys))
    return len(present) == 1


def at_most_one_of(place: Place, *keys: str) -> bool:
    """Whether no more than one of the keys is present; else a finding."""
    present = [key for key in keys if place.get(key) is not None]
    if len(present) > 1:
        place.fail("one_of", "at most one of " + ", ".join(keys))
    return len(present) <= 1


def day(place: Place | None) -> str | None:
    """A date, ISO."""
    text = None if place is None else place.text()
    if place is None or text is None:
        return None
    try:
        if len(text) == 10 and text[4] == text[7] == "-":
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    place.fail("date", "a date such as 2026-11-30")
    return None

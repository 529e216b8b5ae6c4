"""Pieces of reading that conditions, results and filters share."""

from __future__ import annotations

from datetime import date

from shared.engine.program import Span
from shared.wire.reading import Place

PERCENT_MAX = 10**6
"""100 % in millionths, with the four decimals a percent may have."""
ACCRUAL_PERCENT_MAX = 10**8
POINTS_MAX = 10**14


def span(place: Place, decimals: int, high: int) -> Span:
    """A pair ``[lo, hi]`` as inclusive bounds; null is open."""
    bounds = [
        None if each.value is None else each.decimal(decimals, high=high)
        for each in place.items("a pair [from, to]", most=2)
    ]
    if len(bounds) != 2:
        place.fail("pair", "a pair [from, to]")
        return Span()
    return _checked(place, Span(low=bounds[0], high=bounds[1]))


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
    return None if place is None else place.decimal(4, high=PERCENT_MAX, what="a percent of 0–100")


def accrual_percent(place: Place | None) -> int | None:
    """A percent of 0 to 10,000, in millionths."""
    if place is None:
        return None
    return place.decimal(4, high=ACCRUAL_PERCENT_MAX, what="a percent of 0–10,000")


def money(place: Place | None) -> int | None:
    """A sum of money in minor units."""
    return None if place is None else place.decimal(2, high=10**12, what="a sum of money")


def points(place: Place | None) -> int | None:
    """Points in hundredths."""
    return None if place is None else place.decimal(2, high=POINTS_MAX, what="points")


def whole(place: Place | None, *, low: int = 0) -> int | None:
    """A whole number."""
    return None if place is None else place.integer(low=low)


def truth(place: Place, key: str, *, default: bool = False) -> bool:
    """A flag of an object, false when it is absent."""
    found = place.get(key)
    value = None if found is None else found.truth()
    return default if value is None else value


def day(place: Place | None) -> str | None:
    """A date, ISO."""
    if place is None:
        return None
    text = place.text()
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError:
        place.fail("date", "a date such as 2026-11-30")
        return None


def unsupported(place: Place, what: str) -> None:
    """Refuse what the language has and the engine does not do yet: never ignore it."""
    place.fail(
        "not_supported_yet",
        f"something this version prices ({what} is in the language, not in this engine)",
        hint="Leave it out, or wait for a version that does it.",
    )

"""``active``: dates, weekdays and hours of a promotion (section 3)."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final

from rules_compiler.reading import pair
from shared.engine.program import Active, Window
from shared.wire.reading import Place

_HOURS: Final = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_KEYS: Final = frozenset({"from", "to", "weekdays", "hours"})
_DAY_MINUTES: Final = 24 * 60


def read_active(place: Place | None) -> Active:
    """When a promotion is active; always where nothing is said."""
    if place is None or not place.object(_KEYS):
        return Active()
    start, end = _bound(place.get("from")), _bound(place.get("to"))
    if start is not None and end is not None and _after(start, end):
        place.fail("from_after_to", "'from' that is not after 'to'")
    weekdays, hours = place.get("weekdays"), place.get("hours")
    return Active(
        from_text=start,
        to_text=end,
        weekdays=None if weekdays is None else _weekdays(weekdays),
        windows=None if hours is None else _windows(hours),
    )


def _bound(place: Place | None) -> str | None:
    """A date, or a date-time, as ISO writes it."""
    text = None if place is None else place.text()
    if place is None or text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).isoformat()
        if _DAY.match(text) and len(text) > 11:
            return datetime.fromisoformat(text).isoformat()
    except ValueError:
        pass
    place.fail("time", "a date such as 2026-11-30, or a date-time such as 2026-11-30T10:00:00")
    return None


def _after(start: str, end: str) -> bool:
    """Whether a period is the wrong way round; a date without a time of day is the whole day."""
    if len(start) == 10 or len(end) == 10:
        return start[:10] > end[:10]
    one, other = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if (one.tzinfo is None) != (other.tzinfo is None):
        # A bound without an offset means each receipt's own: only the clock faces can be compared.
        one, other = one.replace(tzinfo=None), other.replace(tzinfo=None)
    return one > other


def _weekdays(place: Place) -> frozenset[int]:
    found = (each.integer(low=1, high=7) for each in place.items("a list of weekdays 1 to 7"))
    return frozenset(day for day in found if day is not None)


def _windows(place: Place) -> list[Window]:
    found = (_window(each) for each in place.items("a list of ranges", most=1000))
    return sorted(
        (window for window in found if window is not None),
        key=lambda window: (window.from_minute, window.to_minute),
    )


def _window(place: Place) -> Window | None:
    expected = "a pair of times such as [10:00, 14:00]"
    ends = pair(place, expected)
    if ends is None:
        return None
    start, end = _minute(ends[0]), _minute(ends[1])
    if start is None or end is None:
        return None
    if start == _DAY_MINUTES:
        place.fail("pair", expected)
        return None
    # Equal times are a range with nothing in it, which a warning tells.
    return Window(from_minute=start, to_minute=end if end >= start else end + _DAY_MINUTES)


def _minute(place: Place) -> int | None:
    text = place.text()
    found = None if text is None else _HOURS.fullmatch(text)
    if text is not None and (found is None or (found[1] == "24" and found[2] != "00")):
        place.fail("time", "a time such as 10:00, to 24:00 at most")
    elif found is not None:
        return int(found[1]) * 60 + int(found[2])
    return None

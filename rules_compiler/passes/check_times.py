"""Promotions that are active at no time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Final

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import below, enabled
from rules_compiler.warn import warning
from shared.engine.program import Active, Window

_WEEK: Final = timedelta(days=8)
"""In so long a time every weekday comes whole."""
_DAY: Final = timedelta(days=1)
_WHOLE_DAY: Final = [Window(from_minute=0, to_minute=1440)]


def check_times(document: Document) -> Iterator[Diagnostic]:
    """Warn where dates, weekdays and hours leave no moment."""
    for written in enabled(document):
        if _is_never(written.promotion.active):
            yield warning(
                below(written.place, "active"),
                "never_active",
                "the promotion is active at no time",
                "Look at 'from' and 'to', the weekdays and the hours together.",
            )


def _is_never(active: Active) -> bool:
    windows = _WHOLE_DAY if active.windows is None else active.windows
    windows = [each for each in windows if each.to_minute > each.from_minute]
    if not windows or active.weekdays == frozenset():
        return True
    start, end = _moment(active.from_text, _DAY * 0), _moment(active.to_text, _DAY)
    if start is None or end is None:
        return False
    if (start.tzinfo is None) != (end.tzinfo is None):
        # What one bound says in its own offset and the other in the receipt's: not comparable.
        return False
    if start >= end:
        return True
    # Weekdays and hours are the receipt's own, which a bound with an offset says nothing of.
    if start.tzinfo is not None or end - start >= _WEEK:
        return False
    return not any(
        _meets(midnight, window, start, end)
        for midnight in _midnights(start, end)
        if active.weekdays is None or midnight.isoweekday() in active.weekdays
        for window in windows
    )


def _moment(text: str | None, whole_day: timedelta) -> datetime | None:
    """A bound as a moment; the end of a date is the midnight after it."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text) + (whole_day if len(text) == 10 else _DAY * 0)
    except OverflowError:
        return None


def _midnights(start: datetime, end: datetime) -> Iterator[datetime]:
    """The days of a period, and the one before: its hours may pass midnight."""
    first = datetime.combine(start.date(), time())
    days = (end - first) // _DAY + 1
    for count in range(-1, days + 1):
        try:
            yield first + count * _DAY
        except OverflowError:
            continue


def _meets(midnight: datetime, window: Window, start: datetime, end: datetime) -> bool:
    try:
        opens = midnight + timedelta(minutes=window.from_minute)
        closes = midnight + timedelta(minutes=window.to_minute)
    except OverflowError:
        return True
    return opens < end and start < closes

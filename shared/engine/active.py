"""When a promotion is active, in the receipt's own local time (section 3)."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.engine.program import Active


def is_active(active: Active, now: datetime) -> bool:
    """Whether ``now`` (aware, in the receipt's own offset) is within dates, weekdays and hours."""
    return _within_dates(active, now) and _within_days_and_hours(active, now)


def _instant(text: str, now: datetime) -> datetime:
    """A bound with its own offset, or one that means the receipt's."""
    bound = datetime.fromisoformat(text)
    return bound if bound.tzinfo is not None else bound.replace(tzinfo=now.tzinfo)


def _within_dates(active: Active, now: datetime) -> bool:
    start, end = active.from_text, active.to_text
    if start is None and end is None:
        return True
    # Dates in ISO form stand in the order of time, as texts too.
    today = now.date().isoformat()
    if start is not None:
        if len(start) == 10:
            if today < start:
                return False
        elif now < _instant(start, now):
            return False
    if end is None:
        return True
    return today <= end if len(end) == 10 else now < _instant(end, now)


def _within_days_and_hours(active: Active, now: datetime) -> bool:
    """Hours that pass midnight belong to the weekday on which they began."""
    weekdays = active.weekdays
    if active.windows is None:
        return weekdays is None or now.isoweekday() in weekdays
    minute = now.hour * 60 + now.minute
    yesterday = (now - timedelta(days=1)).isoweekday()
    for window in active.windows:
        if window.from_minute <= minute < window.to_minute and (
            weekdays is None or now.isoweekday() in weekdays
        ):
            return True
        if minute + 1440 < window.to_minute and (weekdays is None or yesterday in weekdays):
            return True
    return False

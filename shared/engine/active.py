"""When a promotion is active, in the receipt's own local time (section 3)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from shared.engine.program import Active


def is_active(active: Active, now: datetime) -> bool:
    """Whether ``now`` (aware, in the receipt's own offset) is within dates, weekdays and hours."""
    return _within_dates(active, now) and _within_days_and_hours(active, now)


def _instant(text: str, now: datetime) -> datetime:
    """A bound with its own offset, or one that means the receipt's."""
    bound = datetime.fromisoformat(text)
    return bound if bound.tzinfo is not None else bound.replace(tzinfo=now.tzinfo)


def _within_dates(active: Active, now: datetime) -> bool:
    if active.from_text is not None:
        if len(active.from_text) == 10:
            if now.date() < date.fromisoformat(active.from_text):
                return False
        elif now < _instant(active.from_text, now):
            return False
    if active.to_text is not None:
        if len(active.to_text) == 10:
            return now.date() <= date.fromisoformat(active.to_text)
        return now < _instant(active.to_text, now)
    return True


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

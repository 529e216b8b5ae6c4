"""When a promotion is active, in the receipt's own local time (section 3)."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.engine.program import Active


class Moment:
    """The receipt's local time (aware, in its own offset), and its date as a text."""

    __slots__ = ("date_text", "now")

    def __init__(self, now: datetime) -> None:
        self.now: datetime = now
        self.date_text: str = now.date().isoformat()


class Period:
    """When one promotion is active: its dates, weekdays and hours, read once for all receipts."""

    __slots__ = ("_active", "_at_any_hour", "_by_date", "_from_text", "_to_text")

    def __init__(self, active: Active) -> None:
        self._active: Active = active
        self._from_text: str | None = active.from_text
        self._to_text: str | None = active.to_text
        self._by_date: bool = _is_date(active.from_text) and _is_date(active.to_text)
        """Whether texts of dates decide: they stand in the order of time as they are."""
        self._at_any_hour: bool = active.weekdays is None and active.windows is None

    def holds(self, moment: Moment) -> bool:
        """Whether the moment is within dates, weekdays and hours."""
        if not (self._within_dates(moment) if self._by_date else self._within_instants(moment)):
            return False
        return self._at_any_hour or _within_days_and_hours(self._active, moment.now)

    def _within_dates(self, moment: Moment) -> bool:
        start, end, today = self._from_text, self._to_text, moment.date_text
        return (start is None or start <= today) and (end is None or today <= end)

    def _within_instants(self, moment: Moment) -> bool:
        """Where a bound has a time of day; another may still be a date."""
        start, end, now = self._from_text, self._to_text, moment.now
        if start is not None:
            if _is_date(start):
                if moment.date_text < start:
                    return False
            elif now < _instant(start, now):
                return False
        if end is None:
            return True
        return moment.date_text <= end if _is_date(end) else now < _instant(end, now)


def _is_date(text: str | None) -> bool:
    return text is None or len(text) == 10


def _instant(text: str, now: datetime) -> datetime:
    """A bound with its own offset, or one that means the receipt's."""
    bound = datetime.fromisoformat(text)
    return bound if bound.tzinfo is not None else bound.replace(tzinfo=now.tzinfo)


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

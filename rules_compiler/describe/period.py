"""Days, hours and the period in which a promotion is active, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from babel.dates import format_date

from rules_compiler.describe.voice import Voice

_DATE_CHARACTERS = 10


def active(voice: Voice, period: Mapping[str, Any]) -> str:
    """Dates, weekdays and hours, all of which must fit; empty when nothing is bounded."""
    parts: list[str] = []
    dates = [
        bound
        for bound in (_start(voice, period.get("from")), _end(voice, period.get("to")))
        if bound is not None
    ]
    if dates:
        parts.append(" ".join(dates))
    if (weekdays := period.get("weekdays")) is not None:
        parts.append(_weekdays(voice, sorted({int(day) for day in weekdays})))
    if (hours := period.get("hours")) is not None:
        parts.append(voice.both(_window(voice, str(start), str(end)) for start, end in hours))
    return ", ".join(parts)


def day_told(voice: Voice, day: date) -> str:
    """``30 November 2026``."""
    return str(format_date(day, "d MMMM y", locale=voice.locale))


def _start(voice: Voice, bound: Any) -> str | None:
    return None if bound is None else voice.text("from %(time)s", time=_moment(voice, str(bound)))


def _end(voice: Voice, bound: Any) -> str | None:
    if bound is None:
        return None
    moment = _moment(voice, str(bound))
    if len(str(bound)) == _DATE_CHARACTERS:
        return voice.text("to %(day)s inclusive", day=moment)
    return voice.text("until %(time)s", time=moment)


def _moment(voice: Voice, bound: str) -> str:
    if len(bound) == _DATE_CHARACTERS:
        return day_told(voice, date.fromisoformat(bound))
    at = datetime.fromisoformat(bound)
    clock = at.strftime("%H:%M:%S" if at.second else "%H:%M")
    zone = f" ({at.tzname()})" if at.tzinfo is not None else ""
    return f"{day_told(voice, at.date())}, {clock}{zone}"


def _weekdays(voice: Voice, days: list[int]) -> str:
    if not days:
        return voice.text("on no day of the week")
    if days == [1, 2, 3, 4, 5]:
        return voice.text("from Monday to Friday")
    names = (
        voice.text("Mondays"),
        voice.text("Tuesdays"),
        voice.text("Wednesdays"),
        voice.text("Thursdays"),
        voice.text("Fridays"),
        voice.text("Saturdays"),
        voice.text("Sundays"),
    )
    return voice.text("on %(days)s", days=voice.both(names[day - 1] for day in days))


def _window(voice: Voice, start: str, end: str) -> str:
    # Times of one form compare as their texts do.
    if end <= start:
        return voice.text("from %(start)s to %(end)s of the next day", start=start, end=end)
    return voice.text("from %(start)s to %(end)s", start=start, end=end)

"""Prices around every turn of the clocks in twenty years, and around 29 February (faults 24-26).

A receipt carries its local time with the offset that held: what counts is what the clock on the
wall showed. A bound with an offset of its own is an instant, which comes once.
"""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.errors import InputError
from shared.wire.receipt_json import decode_receipt

ZONES = (
    *("Europe/Moscow", "Europe/Kaliningrad", "Europe/Berlin", "Europe/London", "Atlantic/Azores"),
    *("Africa/Casablanca", "Africa/Cairo", "Asia/Beirut", "Asia/Gaza", "Asia/Tehran"),
    *("Asia/Almaty", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Vladivostok", "Asia/Jerusalem"),
    *("Australia/Lord_Howe", "Australia/Sydney", "Pacific/Chatham", "Pacific/Norfolk"),
    *("America/St_Johns", "America/New_York", "America/Havana", "America/Asuncion"),
    *("America/Santiago", "America/Nuuk", "Antarctica/Troll", "Pacific/Apia", "Etc/UTC"),
)
"""Turns of an hour, of half an hour and of two; at two, at one and at midnight; changes by law."""
FIRST, YEARS = datetime(2016, 1, 1, tzinfo=UTC), 20
MINUTE = timedelta(minutes=1)


def turns(zone: ZoneInfo) -> Iterator[datetime]:
    """The UTC minutes at which the offset changes."""
    day = timedelta(days=1)
    before = FIRST
    while before < FIRST + YEARS * 365 * day:
        after = before + day
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            low, high = 0, 24 * 60
            while high - low > 1:
                middle = (low + high) // 2
                at = before + middle * MINUTE
                if at.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            yield before + high * MINUTE
        before = after


@cache
def programme(active: str) -> Ready:
    """Ten per cent off while it is active; ``active`` is JSON."""
    promotion = {
        "id": "p", "name": "p", "active": json.loads(active),
        "then": [{"do": "discount_receipt", "percent": "10"}],
    }  # fmt: skip
    return compiled(promotion)


def compiled(promotion: dict[str, Any]) -> Ready:
    document = {
        "programme": "zones", "version": 1, "currency": "RUB", "timezone": "Europe/Moscow",
        "groups": [{"id": "main", "resolve": "all"}], "promotions": [promotion],
    }  # fmt: skip
    compilation = compile_document(json.dumps(document).encode())
    assert compilation.program is not None, [str(each) for each in compilation.diagnostics]
    return Ready(compilation.program)


def holds(ready: Ready, time: str, **customer: str) -> bool:
    """Whether a receipt of this time gets the discount."""
    receipt: dict[str, Any] = {
        "receipt_id": "r", "store": "S1", "register": "R1", "time": time,
        "lines": [{"line": 1, "sku": "A", "qty": "1", "price": "100.00"}],
    }  # fmt: skip
    if customer:
        receipt["customer"] = {"id": "c1", **customer}
    return evaluate(ready, decode_receipt(receipt)).total.discount_minor > 0


@pytest.mark.parametrize("name", ZONES)
def test_hours_and_days_are_those_on_the_wall(name: str) -> None:
    """A minute before each turn, at it, a minute after, and at both ends of the hours."""
    zone = ZoneInfo(name)
    spans = (("00:00", "01:00"), ("02:00", "03:00"), ("01:30", "02:30"), ("23:30", "00:30"))
    for turn in turns(zone):
        for moment in (turn - MINUTE, turn, turn + MINUTE, turn + 45 * MINUTE):
            local = moment.astimezone(zone)
            shown, day = f"{local:%H:%M}", f"{local:%Y-%m-%d}"
            for start, end in spans:
                expected = start <= shown < end if start < end else not end <= shown < start
                ready = programme(json.dumps({"hours": [[start, end]]}))
                assert expected == holds(ready, local.isoformat()), (name, local)
            ready = programme(json.dumps({"from": day, "to": day}))
            for other in (local, local - timedelta(days=1), local + timedelta(days=1)):
                assert (other.date() == local.date()) == holds(ready, other.isoformat())


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana"])
def test_happy_hour_lasts_as_long_as_the_wall_shows_it(name: str) -> None:
    """Nothing where the hour is left out, twice where it comes twice, once on all other days."""
    zone = ZoneInfo(name)
    for turn in list(turns(zone))[:6]:
        ready = programme(json.dumps({"hours": [["00:00", "03:00"]]}))
        begin = turn.astimezone(zone).replace(hour=0, minute=0) - timedelta(hours=1)
        minutes = [begin.astimezone(UTC) + number * MINUTE for number in range(0, 8 * 60, 5)]
        shown = [minute.astimezone(zone) for minute in minutes]
        active = [holds(ready, each.isoformat()) for each in shown]
        assert [each.hour < 3 for each in shown] == active


@pytest.mark.parametrize("name", ZONES)
def test_instant_with_an_offset_comes_once(name: str) -> None:
    """What ended at an instant does not begin again when the clocks are put back."""
    zone = ZoneInfo(name)
    for turn in list(turns(zone))[-4:]:
        ready = programme(json.dumps({"to": turn.astimezone(zone).isoformat()}))
        for minutes in (-61, -31, -1, 0, 1, 29, 59, 121):
            moment = (turn + minutes * MINUTE).astimezone(zone)
            assert (minutes < 0) == holds(ready, moment.isoformat()), moment


LEAP_BORN = date(2000, 2, 29)


def birthday_in(born: date, year: int) -> date:
    """29 February is kept on the 28th where there is none."""
    day = min(born.day, calendar.monthrange(year, born.month)[1])
    return date(year, born.month, day)


@given(
    st.dates(date(1930, 1, 1), date(2015, 12, 31)),
    st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    st.sampled_from(ZONES),
)
@example(LEAP_BORN, date(2027, 2, 27), "Europe/Moscow")
@example(LEAP_BORN, date(2027, 2, 28), "Europe/Moscow")
@example(LEAP_BORN, date(2027, 3, 1), "Europe/Moscow")
@example(LEAP_BORN, date(2028, 2, 28), "Europe/Moscow")
@example(LEAP_BORN, date(2028, 2, 29), "Europe/Moscow")
@example(date(1990, 12, 30), date(2028, 1, 2), "Pacific/Apia")
@example(date(1990, 1, 2), date(2027, 12, 31), "America/St_Johns")
def test_birthdays_and_ages_are_of_the_local_day(born: date, today: date, name: str) -> None:
    """From the first local minute of the day to the last, over New Year and in common years."""
    zone = ZoneInfo(name)
    near = _birthday(3)
    years = range(today.year - 1, today.year + 2)
    expected = any(abs((today - birthday_in(born, year)).days) <= 3 for year in years)
    age = today.year - born.year - (today < birthday_in(born, today.year))
    of_age, older = _age(age), _age(age + 1)
    for hour, minute in ((0, 0), (23, 59)):
        time = datetime(today.year, today.month, today.day, hour, minute, tzinfo=zone).isoformat()
        customer = {"birthday": born.isoformat()}
        assert expected == holds(near, time, **customer)
        assert holds(of_age, time, **customer)
        assert not holds(older, time, **customer)


@cache
def _birthday(days: int) -> Ready:
    when = {"birthday": {"before": days, "after": days, "of": "self"}}
    return compiled({"id": "p", "name": "p", "when": when, "then": _TEN})


@cache
def _age(years: int) -> Ready:
    when = {"customer": {"age": [years, None]}}
    return compiled({"id": "p", "name": "p", "when": when, "then": _TEN})


_TEN = [{"do": "discount_receipt", "percent": "10"}]


@pytest.mark.parametrize(
    ("time", "weekday"),
    [
        ("2020-12-31T23:59:59+03:00", 4),  # the 53rd week of a year
        ("2021-01-03T12:00:00+03:00", 7),
        ("2024-02-29T00:00:00+03:00", 4),
        ("2016-12-31T23:59:59Z", 6),  # before a leap second
        ("2017-01-01T00:00:00Z", 7),
    ],
)
def test_weekdays_are_the_calendars(time: str, weekday: int) -> None:
    """Weeks have no numbers here, and a day is a day."""
    for number in range(1, 8):
        ready = programme(json.dumps({"weekdays": [number]}))
        assert (number == weekday) == holds(ready, time)


def test_leap_second_is_no_time_of_a_receipt() -> None:
    """No till's clock shows it; who writes it is told so and loses nothing."""
    with pytest.raises(InputError):
        holds(_birthday(1), "2016-12-31T23:59:60Z")

"""Two languages: texts from the catalogue, numbers and times as each writes them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from gettext import NullTranslations
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_currency, format_decimal

from shared.texts import read_catalogue

LANGUAGES: Final = ("en", "ru")


_CATALOGUE: Final = "locale/{}/LC_MESSAGES/messages.po"


class Tongue:
    """One language: texts, sums in minor units, quantities in thousandths, points in hundredths."""

    def __init__(self, language: str, package: str) -> None:
        """``package``: whose catalogue has the texts; those that all share are beside this file."""
        self.language = language
        self._locale = Locale.parse(language)
        path = _CATALOGUE.format(language)
        self._catalogues = [read_catalogue(each, path, language) for each in (package, "shared")]

    def text(self, message: str, **values: object) -> str:
        """The message in this language, its ``%(name)s`` filled in."""
        found = self._catalogue_of(message).gettext(message)
        return found % values if values else found

    def knows(self, message: str) -> bool:
        """Whether the message has a text of its own in this language."""
        return self._catalogue_of(message).gettext(message) != message

    def _catalogue_of(self, message: str) -> NullTranslations:
        own, common = self._catalogues
        return own if own.gettext(message) != message else common

    def money(self, minor: int, currency: str) -> str:
        """A sum in minor units of a currency with two decimals."""
        return format_currency(Decimal(minor).scaleb(-2), currency, locale=self._locale)

    def quantity(self, milli: int) -> str:
        """A quantity in thousandths."""
        return format_decimal(Decimal(milli).scaleb(-3), "#,##0.###", locale=self._locale)

    def points(self, centi: int) -> str:
        """Points in hundredths: whole ones bare, others with both decimals, to stand in columns."""
        pattern = "#,##0.00" if centi % 100 else "#,##0"
        return format_decimal(Decimal(centi).scaleb(-2), pattern, locale=self._locale)

    def number(self, count: int) -> str:
        """A count."""
        return format_decimal(count, locale=self._locale)

    def day(self, on: date) -> str:
        """A day."""
        return format_date(on, "d MMM y", locale=self._locale)

    def span(self, seconds: int) -> str:
        """A length of time in its largest unit."""
        length = timedelta(seconds=max(seconds, 0))
        return format_timedelta(length, threshold=1.5, format="short", locale=self._locale)

    def ago(self, seconds: int) -> str:
        """How long since."""
        length = timedelta(seconds=-max(seconds, 1))
        return format_timedelta(
            length, add_direction=True, threshold=1.5, format="short", locale=self._locale
        )

    def time(self, at: datetime | None, timezone: str = "UTC") -> str:
        """A moment as the clock on the shop's wall showed it."""
        if at is None:
            return "—"
        zone = ZoneInfo(timezone)
        return format_datetime(at.astimezone(zone), "d MMM y, HH:mm", locale=self._locale)


class Tongues:
    """Every language of one package's pages."""

    def __init__(self, package: str) -> None:
        self._known = {language: Tongue(language, package) for language in LANGUAGES}

    def __getitem__(self, language: str) -> Tongue:
        return self._known[language]

    def choose(self, cookie: str | None, accept_language: str) -> Tongue:
        """The language asked for by the cookie, else by the browser, else English."""
        if cookie in self._known:
            return self._known[cookie]
        wanted = [part.split(";")[0].strip() for part in accept_language[:200].split(",")]
        return self._known[negotiate_locale(wanted, LANGUAGES, sep="-") or "en"]

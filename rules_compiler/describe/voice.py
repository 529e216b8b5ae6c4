"""One language speaking of one programme: its texts, numbers, sums, names and lists."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal

from babel import Locale
from babel.numbers import format_currency, format_decimal, get_currency_symbol

from shared.texts import read_catalogue

Lang = Literal["en", "ru"]
LISTED_MAX: Final = 10
"""So many names of a list are read; of the rest only how many there are is of interest."""


class Voice:
    """Speaks one language; knows the currency and the names of promotions of one programme."""

    def __init__(self, programme: Mapping[str, Any], lang: Lang) -> None:
        self.programme = programme
        self.locale = Locale.parse(lang)
        self._texts = read_catalogue(
            "rules_compiler.describe", f"locales/{lang}/LC_MESSAGES/describe.po", lang
        )

    def text(self, message: str, **values: object) -> str:
        """The message in this language, its ``%(name)s`` filled in."""
        found = self._texts.gettext(message)
        return found % values if values else found

    def cased(self, case: str, message: str, **values: object) -> str:
        """The same for a noun that stands in a sentence in a grammatical case."""
        found = self._texts.pgettext(case, message)
        return found % values if values else found

    def counted(self, count: object, one: str, many: str, **values: object) -> str:
        """A message about ``%(n)s`` whole things, in the plural form that the number asks for."""
        found = self._texts.ngettext(one, many, int(Decimal(str(count))))
        return found % {"n": self.number(count), **values}

    def counted_noun(self, case: str, count: object, one: str, many: str, fraction: str) -> str:
        """A number with its noun in a grammatical case; a fraction has a form of its own."""
        number = Decimal(str(count))
        if number == number.to_integral_value():
            found = self._texts.npgettext(case, one, many, int(number))
        else:
            found = self._texts.pgettext("fraction", fraction)
        return found % {"n": self.number(count)}

    def number(self, value: object) -> str:
        """A number as this language writes it, without zeros that say nothing."""
        return str(format_decimal(Decimal(str(value)), "#,##0.######", locale=self.locale))

    def percent(self, value: object) -> str:
        """A percent."""
        return f"{self.number(value)}%"

    def ending(self, value: object) -> str:
        """The end of a price, which is known by its decimals."""
        return str(format_decimal(Decimal(str(value)), "#,##0.00", locale=self.locale))

    def money(self, value: object) -> str:
        """A sum with the sign of the programme's currency; whole sums without decimals."""
        amount = Decimal(str(value))
        currency = str(self.programme.get("currency") or "RUB")
        pattern = self.locale.currency_formats["standard"].pattern
        if get_currency_symbol(currency, locale=self.locale).isalpha():
            # Letters run into the digits; a sign does not.
            pattern = pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#")
        whole = amount == amount.to_integral_value()
        return str(
            format_currency(
                amount,
                currency,
                pattern.replace(".00", "") if whole else pattern,
                locale=self.locale,
                currency_digits=not whole,
            )
        )

    def quoted(self, value: object) -> str:
        """A word of the document, in quotation marks so that it is not read as ours."""
        return self.text("“%(word)s”", word=value)

    def either(self, words: Iterable[str]) -> str:
        """``a, b or c``; of long lists the beginning."""
        return self._joined(list(words), self.text(" or "))

    def both(self, words: Iterable[str]) -> str:
        """``a, b and c``; of long lists the beginning."""
        return self._joined(list(words), self.text(" and "))

    def either_quoted(self, words: Iterable[object]) -> str:
        """``“a”, “b” or “c”``."""
        return self.either([self.quoted(word) for word in words])

    def _joined(self, words: list[str], last: str) -> str:
        if not words:
            return self.text("nothing")
        if len(words) > LISTED_MAX:
            rest = len(words) - LISTED_MAX
            words = [*words[:LISTED_MAX], self.counted(rest, "%(n)s more", "%(n)s more")]
        return ", ".join(words[:-1]) + last + words[-1] if len(words) > 1 else words[0]

    def promotion(self, promotion_id: object) -> str:
        """A promotion by the name that people know it by, else by its id."""
        return self.quoted(self._promotion_names.get(str(promotion_id)) or promotion_id)

    @functools.cached_property
    def _promotion_names(self) -> dict[str, str]:
        promotions = self.programme.get("promotions") or ()
        return {str(each.get("id")): str(each.get("name") or "") for each in promotions}

"""Who the customer is: the leaves ``customer`` and ``birthday`` in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from rules_compiler.describe.nouns import counted, counted_bounds, money_bounds, ordinal, pair
from rules_compiler.describe.voice import Voice

_DAYS: Final = re.compile(r"([0-9]+)d")


def customer(voice: Voice, value: Mapping[str, Any]) -> str:
    """All that must hold of the customer."""
    parts = [
        tell(voice, wanted)
        for key, tell in _TESTS.items()
        if (wanted := value.get(key)) is not None and (key != "attributes" or wanted)
    ]
    if not parts:
        return voice.text("the customer is identified")
    return voice.text("the customer: %(tests)s", tests=", ".join(parts))


def birthday(voice: Voice, value: Mapping[str, Any]) -> str:
    """The days around a birthday."""
    before, after = value.get("before") or 0, value.get("after") or 0
    if value.get("of") == "child":
        day = voice.cased("accusative", "the birthday of a child of the customer")
        of_day = voice.cased("genitive", "the birthday of a child of the customer")
    else:
        day = voice.cased("accusative", "the customer's birthday")
        of_day = voice.cased("genitive", "the customer's birthday")
    words = {
        "before": counted(voice, "day", before, "accusative"),
        "after": counted(voice, "day", after, "accusative"),
        "day": day,
        "of_day": of_day,
    }
    if int(before) and int(after):
        return voice.text("from %(before)s before to %(after)s after %(of_day)s", **words)
    if int(before):
        return voice.text("from %(before)s before %(of_day)s to the day itself", **words)
    if int(after):
        return voice.text("from %(day)s to %(after)s after it", **words)
    return voice.text("on %(day)s", **words)


def _identified(voice: Voice, value: Any) -> str:
    if value:
        return voice.text("identified")
    return voice.text("not identified (an anonymous receipt)")


def _id(voice: Voice, values: Any) -> str:
    return voice.text("with id %(values)s", values=voice.either_quoted(values))


def _segment(voice: Voice, values: Any) -> str:
    return voice.text("in segment %(values)s", values=voice.either_quoted(values))


def _not_segment(voice: Voice, values: Any) -> str:
    return voice.text("not in segment %(values)s", values=voice.either_quoted(values))


def _level(voice: Voice, values: Any) -> str:
    return voice.text("of level %(values)s", values=voice.either_quoted(values))


def _card_category(voice: Voice, values: Any) -> str:
    return voice.text("with a card of category %(values)s", values=voice.either_quoted(values))


def _gender(voice: Voice, values: Any) -> str:
    woman, man = voice.text("female"), voice.text("male")
    known = {"f": woman, "female": woman, "m": man, "male": man}
    genders = voice.either(known.get(str(each).lower()) or voice.quoted(each) for each in values)
    return voice.text("of gender: %(values)s", values=genders)


def _organisation(voice: Voice, values: Any) -> str:
    return voice.text("of organisation %(values)s", values=voice.either_quoted(values))


def _attributes(voice: Voice, value: Mapping[str, Any]) -> str:
    return ", ".join(
        voice.text(
            "attribute %(key)s is %(values)s",
            key=voice.quoted(key),
            values=voice.either_quoted(values),
        )
        for key, values in value.items()
    )


def _age(voice: Voice, value: Any) -> str:
    return voice.text("aged %(bounds)s", bounds=counted_bounds(voice, "year", *pair(value)))


def _registered(voice: Voice, value: Any) -> str:
    bounds = counted_bounds(voice, "day", *pair(value))
    return voice.text("registered %(bounds)s ago", bounds=bounds)


def _last_purchase(voice: Voice, value: Any) -> str:
    bounds = counted_bounds(voice, "day", *pair(value))
    return voice.text("bought last %(bounds)s ago", bounds=bounds)


def _purchase_number(voice: Voice, value: Any) -> str:
    if isinstance(value, Mapping):
        every = value.get("every", 1)
        return voice.text("makes every %(nth)s purchase", nth=ordinal(voice, every))
    return voice.text("makes the %(nth)s purchase", nth=ordinal(voice, value))


def _spent(voice: Voice, value: Mapping[str, Any]) -> str:
    words = {
        "bounds": money_bounds(voice, *pair(value)),
        "window": _window(voice, str(value.get("window", ""))),
    }
    if value.get("with_current"):
        return voice.text("spent %(bounds)s %(window)s, this receipt included", **words)
    return voice.text("spent %(bounds)s %(window)s", **words)


def _window(voice: Voice, window: str) -> str:
    days = _DAYS.fullmatch(window)
    if days:
        return voice.counted(days[1], "in the last %(n)s day", "in the last %(n)s days")
    known = {
        "calendar_day": voice.text("in this calendar day"),
        "calendar_week": voice.text("in this calendar week"),
        "calendar_month": voice.text("in this calendar month"),
        "calendar_quarter": voice.text("in this calendar quarter"),
        "calendar_year": voice.text("in this calendar year"),
        "lifetime": voice.text("in all time"),
    }
    return known.get(window) or voice.text("in window %(name)s", name=voice.quoted(window))


def _control(voice: Voice, value: Any) -> str:
    return voice.text("in the control group") if value else voice.text("not in the control group")


_TESTS: Final[dict[str, Callable[[Voice, Any], str]]] = {
    "identified": _identified,
    "id": _id,
    "segment": _segment,
    "not_segment": _not_segment,
    "level": _level,
    "card_category": _card_category,
    "gender": _gender,
    "organisation": _organisation,
    "attributes": _attributes,
    "age": _age,
    "registered_days": _registered,
    "last_purchase_days": _last_purchase,
    "purchase_number": _purchase_number,
    "spent": _spent,
    "control": _control,
}

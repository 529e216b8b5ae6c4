"""Things that are counted, and bounds of numbers, sums and counts in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from rules_compiler.describe.voice import Voice

CASES: Final = ("nominative", "accusative", "genitive")
"""As Russian needs them; the catalogue has every noun in each."""
NOUNS: Final[dict[str, tuple[str, str, str]]] = {
    "piece": ("%(n)s piece", "%(n)s pieces", "%(n)s pieces or kg"),
    "product": ("%(n)s different product", "%(n)s different products", "%(n)s different products"),
    "day": ("%(n)s day", "%(n)s days", "%(n)s days"),
    "year": ("%(n)s year", "%(n)s years", "%(n)s years"),
    "time": ("%(n)s time", "%(n)s times", "%(n)s times"),
    "receipt": ("%(n)s receipt", "%(n)s receipts", "%(n)s receipts"),
    "point": ("%(n)s point", "%(n)s points", "%(n)s points"),
    "chip": ("%(n)s chip", "%(n)s chips", "%(n)s chips"),
    "coupon": ("%(n)s coupon", "%(n)s coupons", "%(n)s coupons"),
}
"""One, many, and a fraction of them."""


def counted(voice: Voice, noun: str, count: object, case: str = "nominative") -> str:
    """``3 pieces``."""
    return voice.counted_noun(case, count, *NOUNS[noun])


def counted_bounds(voice: Voice, noun: str, low: Any, high: Any) -> str:
    """``at least 3 pieces``, ``from 2 to 5 days``, ``exactly 1 point``."""
    return _bounds(
        voice,
        low,
        high,
        start=voice.number,
        single=lambda value: counted(voice, noun, value),
        bound=lambda value: counted(voice, noun, value, "genitive"),
    )


def money_bounds(voice: Voice, low: Any, high: Any) -> str:
    """``at least RUB 1,000``."""
    return _bounds(voice, low, high, start=voice.money, single=voice.money, bound=voice.money)


def number_bounds(voice: Voice, low: Any, high: Any) -> str:
    """``from 1.5 to 3``."""
    return _bounds(voice, low, high, start=voice.number, single=voice.number, bound=voice.number)


def pair(value: Any) -> tuple[Any, Any]:
    """The bounds of ``[low, high]``, of ``{"from", "to"}`` or of nothing."""
    if isinstance(value, Mapping):
        return value.get("from"), value.get("to")
    low, high = [*(value or ()), None, None][:2]
    return low, high


def ordinal(voice: Voice, number: object) -> str:
    """English ``1st``, ``22nd``; in Russian the number, whose ending stands in the sentence."""
    if voice.locale.language != "en":
        return voice.number(number)
    digits = str(int(Decimal(str(number))))
    if digits[-2:] in ("11", "12", "13"):
        return digits + "th"
    return digits + {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


def _bounds(
    voice: Voice,
    low: Any,
    high: Any,
    *,
    start: Callable[[Any], str],
    single: Callable[[Any], str],
    bound: Callable[[Any], str],
) -> str:
    if low is None and high is None:
        return voice.text("without bounds")
    if high is None:
        return voice.text("at least %(low)s", low=bound(low))
    if low is None:
        return voice.text("at most %(high)s", high=bound(high))
    if Decimal(str(low)) == Decimal(str(high)):
        return voice.text("exactly %(value)s", value=single(low))
    return voice.text("from %(low)s to %(high)s", low=start(low), high=bound(high))

"""What several results have in common: what a piece then costs, for what, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rules_compiler.describe.goods import goods
from rules_compiler.describe.nouns import counted
from rules_compiler.describe.voice import Voice


def reward(voice: Voice, result: Mapping[str, Any]) -> str:
    """``free``, ``50% off`` or ``at RUB 9.90``; with neither percent nor price, free."""
    price, percent = result.get("price"), result.get("percent")
    if price is not None:
        if Decimal(str(price)) == 0:
            return voice.text("free")
        return voice.text("at %(price)s", price=voice.money(price))
    if percent is None or Decimal(str(percent)) == 100:
        return voice.text("free")
    return voice.text("%(percent)s off", percent=voice.percent(percent))


def per_sum(voice: Voice, per: Mapping[str, Any], own: str | None = None) -> str:
    """``for every full RUB 1,000 of goods …``; ``own``: the goods meant when none are named."""
    filter_ = per.get("filter")
    if per.get("amount") is not None:
        which = own if filter_ is None and own else goods(voice, filter_, "genitive")
        return per_amount(voice, per["amount"], voice.text("the sum of %(goods)s", goods=which))
    which = own if filter_ is None and own else goods(voice, filter_, "pieces")
    return per_quantity(voice, per.get("qty", 0), which)


def per_amount(voice: Voice, amount: Any, base: str) -> str:
    """``for every full RUB 100 of the sum …``; the base in the genitive."""
    return voice.text(
        "for every full %(amount)s of %(base)s", amount=voice.money(amount), base=base
    )


def per_quantity(voice: Voice, quantity: Any, which: str) -> str:
    """``for every 2 pieces of goods …``; the goods as after a number of pieces."""
    number = Decimal(str(quantity))
    if number != number.to_integral_value():
        pieces = counted(voice, "piece", quantity)
        return voice.text("for every %(pieces)s of %(goods)s", pieces=pieces, goods=which)
    if number == 1:
        return voice.text("for every piece of %(goods)s", goods=which)
    return voice.counted(
        quantity,
        "for every %(n)s piece of %(goods)s",
        "for every %(n)s pieces of %(goods)s",
        goods=which,
    )


def order(voice: Voice, choose: object) -> str:
    """Which pieces come first."""
    if choose == "dearest":
        return voice.text("the dearest first")
    if choose == "cheapest":
        return voice.text("the cheapest first")
    return voice.text("in the order of lines")


def at_most_pieces(voice: Voice, count: Any) -> str:
    """``at most 3 pieces``."""
    return voice.text("at most %(high)s", high=counted(voice, "piece", count, "genitive"))


def with_options(told: str, options: list[str]) -> str:
    """A result and, after commas, its options."""
    return ", ".join([told, *options])

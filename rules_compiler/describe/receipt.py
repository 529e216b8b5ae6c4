"""Results on the receipt as a whole: a discount on it, paying with points, rounding."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rules_compiler.describe.discounts import steps_told
from rules_compiler.describe.goods import goods, is_narrow, restriction
from rules_compiler.describe.nouns import counted
from rules_compiler.describe.rewards import with_options
from rules_compiler.describe.voice import Voice


def discount_receipt(voice: Voice, result: Mapping[str, Any]) -> str:
    """A percentage or a sum off all that matches together."""
    filter_ = result.get("filter")
    options: list[str] = []
    if is_narrow(filter_):
        options.append(restriction(voice, filter_))
    if (cap := result.get("cap")) is not None:
        options.append(voice.text("at most %(amount)s of discount", amount=voice.money(cap)))
    return with_options(_discount(voice, result), options)


def _discount(voice: Voice, result: Mapping[str, Any]) -> str:
    if (percent := result.get("percent")) is not None:
        return voice.text("%(value)s off the receipt", value=voice.percent(percent))
    if (amount := result.get("amount")) is not None:
        return voice.text("%(value)s off the receipt", value=voice.money(amount))
    if (price := result.get("price")) is not None:
        return voice.text(
            "the receipt for %(price)s in all, if that is less", price=voice.money(price)
        )
    if (tiers := result.get("tiers")) is not None:
        value = voice.money if result.get("value") == "amount" else voice.percent
        steps = steps_told(voice, tiers, voice.money, value)
        return voice.text("a discount on the receipt by its sum: %(steps)s", steps=steps)
    if (per := result.get("per")) is not None:
        return voice.text(
            "%(amount)s off the receipt for every full %(each)s",
            amount=voice.money(per.get("amount", 0)),
            each=voice.money(per.get("each", 0)),
        )
    above = result.get("above") or {}
    return voice.text(
        "%(percent)s off what the receipt has above %(bound)s",
        percent=voice.percent(above.get("percent", 0)),
        bound=voice.money(above.get("from", 0)),
    )


def spend_points(voice: Voice, result: Mapping[str, Any]) -> str:
    """Points as means of payment."""
    most = result.get("max_percent")
    told = voice.text(
        "points of account %(name)s pay up to %(percent)s of the price of %(goods)s",
        name=voice.quoted(result.get("account", "")),
        percent=voice.percent("100" if most is None else most),
        goods=goods(voice, result.get("filter"), "genitive"),
    )
    options: list[str] = []
    if (each := result.get("keep_each")) is not None and Decimal(str(each)):
        options.append(
            voice.text("at least %(amount)s of each piece is left to pay", amount=voice.money(each))
        )
    if (total := result.get("keep_total")) is not None and Decimal(str(total)):
        options.append(
            voice.text(
                "at least %(amount)s of the receipt is left to pay", amount=voice.money(total)
            )
        )
    if (step := result.get("step")) is not None:
        options.append(voice.text("in steps of %(points)s", points=counted(voice, "point", step)))
    return with_options(told, options)


def round_total(voice: Voice, result: Mapping[str, Any]) -> str:
    """The sum to pay goes down to a multiple."""
    multiple = voice.money(result.get("to", 1))
    if result.get("each_line"):
        return voice.text(
            "the sum of each line is rounded down to a multiple of %(amount)s", amount=multiple
        )
    return voice.text("the sum to pay is rounded down to a multiple of %(amount)s", amount=multiple)

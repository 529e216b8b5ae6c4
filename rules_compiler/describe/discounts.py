"""Results that lower the prices of goods directly, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rules_compiler.describe.goods import goods
from rules_compiler.describe.nouns import counted, ordinal
from rules_compiler.describe.rewards import at_most_pieces, order, with_options
from rules_compiler.describe.voice import Voice


def discount_goods(voice: Voice, result: Mapping[str, Any]) -> str:
    """A percentage or a sum off pieces."""
    return with_options(_discount(voice, result), _options(voice, result))


def _discount(voice: Voice, result: Mapping[str, Any]) -> str:
    which = goods(voice, result.get("filter"), "accusative")
    if (percent := result.get("percent")) is not None:
        return voice.text("%(percent)s off %(goods)s", percent=voice.percent(percent), goods=which)
    if (each := result.get("amount_each")) is not None:
        return voice.text(
            "%(amount)s off each piece or kg of %(goods)s",
            amount=voice.money(each),
            goods=goods(voice, result.get("filter"), "pieces"),
        )
    if (amount := result.get("amount")) is not None:
        return voice.text(
            "%(amount)s in all off %(goods)s", amount=voice.money(amount), goods=which
        )
    if (tiers := result.get("tiers")) is not None:
        return _tiers(voice, tiers, which)
    if (steps := result.get("steps")) is not None:
        return _piece_by_piece(voice, steps, which)
    rates = (
        voice.text(
            "%(category)s – %(percent)s",
            category=voice.quoted(category),
            percent=voice.percent(percent),
        )
        for category, percent in (result.get("by_category") or {}).items()
    )
    return voice.text(
        "a discount on %(goods)s by category, the deepest counts: %(rates)s",
        goods=which,
        rates="; ".join(rates),
    )


def _tiers(voice: Voice, tiers: Mapping[str, Any], which: str) -> str:
    by, gives = tiers.get("by"), tiers.get("value")
    bound: Callable[[Any], str]
    if by == "total":
        told, bound = voice.text("a discount on %(goods)s by their sum", goods=which), voice.money
    else:
        noun = "piece" if by == "quantity" else "product"
        told = (
            voice.text("a discount on %(goods)s by their quantity", goods=which)
            if by == "quantity"
            else voice.text("a discount on %(goods)s by how many different ones", goods=which)
        )

        def bound(start: Any) -> str:
            return counted(voice, noun, start, "genitive")

    def value(step: Any) -> str:
        if gives == "amount":
            return voice.money(step)
        if gives == "amount_each":
            return voice.text("%(amount)s a piece or kg", amount=voice.money(step))
        return voice.percent(step)

    return f"{told}: " + steps_told(voice, tiers.get("steps"), bound, value)


def steps_told(
    voice: Voice, steps: Any, bound: Callable[[Any], str], value: Callable[[Any], str]
) -> str:
    """``from 2 pieces – 5%; from 3 pieces – 10%``."""
    return "; ".join(
        voice.text("from %(bound)s – %(value)s", bound=bound(start), value=value(step))
        for start, step in steps or ()
    )


def _piece_by_piece(voice: Voice, steps: Any, which: str) -> str:
    told = [
        voice.text(
            "the %(nth)s – %(percent)s",
            nth=ordinal(voice, index),
            percent=voice.percent(percent),
        )
        for index, percent in enumerate(steps[:-1], start=1)
    ]
    told.append(
        voice.text(
            "from the %(nth)s on – %(percent)s",
            nth=ordinal(voice, len(steps)),
            percent=voice.percent(steps[-1]),
        )
    )
    return voice.text(
        "a discount on %(goods)s piece by piece: %(steps)s", goods=which, steps="; ".join(told)
    )


def _options(voice: Voice, result: Mapping[str, Any]) -> list[str]:
    options: list[str] = []
    most, choose = result.get("max_qty"), result.get("choose")
    skip = int(result.get("skip") or 0)
    if skip == 1:
        options.append(voice.text("the first piece keeps its price"))
    elif skip:
        options.append(
            voice.counted(
                skip,
                "the first %(n)s piece keeps its price",
                "the first %(n)s pieces keep their price",
            )
        )
    if most is not None:
        options.append(_at_most(voice, result))
    # Which pieces come first is seen only where not all are treated alike.
    if choose is not None or most is not None or skip or result.get("steps") is not None:
        options.append(order(voice, choose))
    if (cap := result.get("cap")) is not None:
        options.append(voice.text("at most %(amount)s of discount", amount=voice.money(cap)))
    return options


def _at_most(voice: Voice, result: Mapping[str, Any]) -> str:
    pieces, by = at_most_pieces(voice, result.get("max_qty")), result.get("max_qty_by")
    if by == "line":
        return voice.text("%(pieces)s a line", pieces=pieces)
    if by == "sku":
        return voice.text("%(pieces)s an SKU", pieces=pieces)
    return voice.text("%(pieces)s a receipt", pieces=pieces)


def set_price(voice: Voice, result: Mapping[str, Any]) -> str:
    """Another unit price."""
    filter_ = result.get("filter")
    if (price := result.get("price")) is not None:
        told = voice.text(
            "%(goods)s at %(price)s a piece or kg",
            goods=goods(voice, filter_, "nominative"),
            price=voice.money(price),
        )
    elif (price_type := result.get("price_type")) is not None:
        told = voice.text(
            "%(goods)s at their price %(name)s",
            goods=goods(voice, filter_, "nominative"),
            name=voice.quoted(price_type),
        )
    else:
        told = voice.text(
            "the price of %(goods)s goes down to the nearest that ends in %(ending)s",
            goods=goods(voice, filter_, "genitive"),
            ending=voice.ending(result.get("ending", "0")),
        )
    options: list[str] = []
    choose, most = result.get("choose"), result.get("max_qty")
    if most is not None:
        options.append(_at_most(voice, result))
    if choose is not None or most is not None:
        options.append(order(voice, choose))
    return with_options(told, options)


def manual(voice: Voice, result: Mapping[str, Any]) -> str:
    """The cashier's own discount."""
    most = result.get("max_percent")
    told = voice.text(
        "the cashier may give up to %(percent)s off %(goods)s",
        percent=voice.percent("100" if most is None else most),
        goods=goods(voice, result.get("filter"), "accusative"),
    )
    permission = result.get("permission")
    if permission is None:
        return told
    return voice.text(
        "%(told)s, with permission %(values)s",
        told=told,
        values=voice.either_quoted(permission),
    )


def external(voice: Voice, result: Mapping[str, Any]) -> str:
    """The discount that another service answers."""
    told = voice.text(
        "a discount on %(goods)s of the sum that service %(name)s answers",
        goods=goods(voice, result.get("filter"), "accusative"),
        name=voice.quoted(result.get("service", "")),
    )
    timeout = result.get("timeout_ms")
    if timeout is None:
        return told
    return voice.text("%(told)s within %(n)s ms", told=told, n=voice.number(timeout))

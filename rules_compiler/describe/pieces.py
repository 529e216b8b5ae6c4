"""Results that make single pieces cheaper, as a pattern asks for: in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules_compiler.describe.goods import goods
from rules_compiler.describe.nouns import counted, ordinal
from rules_compiler.describe.rewards import (
    at_most_pieces,
    order,
    per_sum,
    reward,
    with_options,
)
from rules_compiler.describe.voice import Voice


def nth(voice: Voice, result: Mapping[str, Any]) -> str:
    """Some pieces of each so many."""
    every, take = result.get("every", 1), result.get("take") or 1
    words = {"every": voice.number(every), "reward": reward(voice, result)}
    of_all = result.get("grouping") == "cheapest"
    if int(take) == 1 and of_all:
        taken = voice.text("the cheapest of all for each %(every)s is %(reward)s", **words)
    elif int(take) == 1:
        taken = voice.text("the cheapest of each %(every)s is %(reward)s", **words)
    elif of_all:
        taken = voice.counted(
            take,
            "the %(n)s cheapest of all for each %(every)s is %(reward)s",
            "the %(n)s cheapest of all for each %(every)s are %(reward)s",
            **words,
        )
    else:
        taken = voice.counted(
            take,
            "the %(n)s cheapest of each %(every)s is %(reward)s",
            "the %(n)s cheapest of each %(every)s are %(reward)s",
            **words,
        )
    told = voice.text(
        "buy %(pieces)s of %(goods)s, %(taken)s",
        pieces=counted(voice, "piece", every, "accusative"),
        goods=goods(voice, result.get("filter"), "pieces"),
        taken=taken,
    )
    options: list[str] = []
    if (same := result.get("same")) is not None:
        options.append(
            voice.text("each SKU by itself") if same == "sku" else voice.text("each line by itself")
        )
    return with_options(told, options)


def goods_set(voice: Voice, result: Mapping[str, Any]) -> str:
    """Pieces that are cheaper together."""
    slots = " + ".join(_slot(voice, slot) for slot in result.get("slots") or ())
    if (price := result.get("price")) is not None:
        return voice.text(
            "the set (%(slots)s) for %(price)s", slots=slots, price=voice.money(price)
        )
    if (percent := result.get("percent")) is not None:
        return voice.text(
            "%(value)s off the set (%(slots)s)", slots=slots, value=voice.percent(percent)
        )
    if (amount := result.get("amount")) is not None:
        return voice.text(
            "%(value)s off the set (%(slots)s)", slots=slots, value=voice.money(amount)
        )
    return voice.text("a set: %(slots)s", slots=slots)


def _slot(voice: Voice, slot: Mapping[str, Any]) -> str:
    told = voice.text(
        "%(pieces)s of %(goods)s",
        pieces=counted(voice, "piece", slot.get("qty") or 1),
        goods=goods(voice, slot.get("filter"), "pieces"),
    )
    notes: list[str] = []
    if slot.get("percent") is not None or slot.get("price") is not None:
        notes.append(reward(voice, slot))
    if slot.get("choose") in ("cheapest", "line"):
        notes.append(order(voice, slot["choose"]))
    return f"{told} ({', '.join(notes)})" if notes else told


def gift_goods(voice: Voice, result: Mapping[str, Any]) -> str:
    """Pieces of the receipt at the price of a gift."""
    per = result.get("per")
    filter_ = result.get("filter")
    count = result.get("qty") if per is None else per.get("gifts")
    told = voice.text(
        "a gift out of the receipt, %(reward)s: %(pieces)s of %(goods)s",
        pieces=counted(voice, "piece", 1 if count is None else count),
        goods=goods(voice, filter_, "pieces"),
        reward=reward(voice, {"price": result.get("price")}),
    )
    options: list[str] = []
    if per is not None:
        options.append(per_sum(voice, per, own=voice.text("the same goods")))
    if (most := result.get("max")) is not None:
        options.append(at_most_pieces(voice, most))
    options.append(order(voice, result.get("choose") or "dearest"))
    return with_options(told, options)


def chips_price(voice: Voice, result: Mapping[str, Any]) -> str:
    """Pieces that chips make cheaper."""
    name = voice.quoted(result.get("chips", ""))
    which = goods(voice, result.get("filter"), "nominative")
    if (ladder := result.get("ladder")) is not None:
        told = voice.text(
            "%(goods)s for chips %(name)s: %(steps)s",
            goods=which,
            name=name,
            steps="; ".join(
                voice.text(
                    "%(chips)s – %(percent)s off",
                    chips=counted(voice, "chip", chips),
                    percent=voice.percent(percent),
                )
                for chips, percent in ladder
            ),
        )
    else:
        told = voice.text(
            "for %(chips)s %(name)s a piece, %(goods)s are %(reward)s",
            chips=counted(voice, "chip", result.get("each", 1), "accusative"),
            name=name,
            goods=which,
            reward=reward(voice, result),
        )
    options: list[str] = []
    if (most := result.get("max_qty")) is not None:
        options.append(at_most_pieces(voice, most))
    options.append(order(voice, result.get("choose") or "dearest"))
    return with_options(told, options)


def counter_nth(voice: Voice, result: Mapping[str, Any]) -> str:
    """Every n-th piece of a running count."""
    every = result.get("every", 1)
    return voice.text(
        "every %(nth)s piece of %(goods)s by counter %(name)s is %(reward)s",
        nth=ordinal(voice, every),
        goods=goods(voice, result.get("filter"), "pieces"),
        name=voice.quoted(result.get("counter", "")),
        reward=reward(voice, {"price": result.get("price")}),
    )

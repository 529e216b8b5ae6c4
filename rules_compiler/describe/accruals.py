"""Results that the customer takes home as points, chips and counts: in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules_compiler.describe.goods import goods, is_narrow
from rules_compiler.describe.nouns import counted
from rules_compiler.describe.period import day_told
from rules_compiler.describe.rewards import per_amount, per_quantity, with_options
from rules_compiler.describe.voice import Voice


def accrue_points(voice: Voice, result: Mapping[str, Any]) -> str:
    """Points on an account."""
    name = voice.quoted(result.get("account", ""))
    if (multiple := result.get("multiply")) is not None:
        told = voice.text(
            "the points of this receipt on account %(name)s are multiplied by %(multiple)s",
            name=name,
            multiple=voice.number(multiple),
        )
    else:
        told = voice.text(
            "earn on account %(name)s: %(what)s", name=name, what=_points(voice, result)
        )
    return with_options(told, _options(voice, result))


def _points(voice: Voice, result: Mapping[str, Any]) -> str:
    paid = _base(voice, result)
    if (percent := result.get("percent")) is not None:
        return voice.text(
            "%(percent)s of %(base)s in points", percent=voice.percent(percent), base=paid
        )
    if (levels := result.get("by_level")) is not None:
        rates = "; ".join(
            voice.text(
                "%(level)s – %(percent)s", level=voice.quoted(level), percent=voice.percent(rate)
            )
            for level, rate in levels.items()
        )
        return voice.text("points by level, of %(base)s: %(rates)s", base=paid, rates=rates)
    if (per := result.get("per")) is not None:
        points = counted(voice, "point", per.get("points", 0), "accusative")
        return f"{points} {per_amount(voice, per.get('amount', 0), paid)}"
    if (per := result.get("per_qty")) is not None:
        points = counted(voice, "point", per.get("points", 0), "accusative")
        return f"{points} {_per_quantity(voice, per, result)}"
    points = counted(voice, "point", result.get("fixed") or 0, "accusative")
    return _fixed(voice, points, result)


def _base(voice: Voice, result: Mapping[str, Any]) -> str:
    """What is counted, in the genitive: the sum paid or the sum at full price."""
    filter_ = result.get("filter")
    if result.get("base") == "list":
        which = goods(voice, filter_, "genitive")
        return voice.text("the sum of %(goods)s before discounts", goods=which)
    return voice.text("the sum paid for %(goods)s", goods=goods(voice, filter_, "accusative"))


def _per_quantity(voice: Voice, per: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    which = goods(voice, result.get("filter"), "pieces")
    return per_quantity(voice, per.get("qty", 0), which)


def _fixed(voice: Voice, told: str, result: Mapping[str, Any]) -> str:
    filter_ = result.get("filter")
    if not is_narrow(filter_):
        return told
    which = goods(voice, filter_, "genitive")
    return voice.text("%(told)s for a purchase of %(goods)s", told=told, goods=which)


def _options(voice: Voice, result: Mapping[str, Any]) -> list[str]:
    options: list[str] = []
    if (cap := result.get("cap")) is not None:
        points = counted(voice, "point", cap, "genitive")
        options.append(voice.text("at most %(points)s a receipt", points=points))
    if (cap := result.get("cap_day")) is not None:
        points = counted(voice, "point", cap, "genitive")
        options.append(voice.text("at most %(points)s a day on this account", points=points))
    if (after := result.get("active_after_days")) is not None and int(after):
        days = counted(voice, "day", after, "accusative")
        options.append(voice.text("usable after %(days)s", days=days))
    if (after := result.get("expires_after_days")) is not None:
        days = counted(voice, "day", after, "accusative")
        options.append(voice.text("they expire after %(days)s", days=days))
    if (on := result.get("expires_on")) is not None:
        day = day_told(voice, date.fromisoformat(str(on)))
        options.append(voice.text("they expire on %(day)s", day=day))
    return options


def accrue_chips(voice: Voice, result: Mapping[str, Any]) -> str:
    """Chips of one kind."""
    per, per_qty = result.get("per"), result.get("per_qty")
    source = per or per_qty
    number = result.get("fixed") if source is None else source.get("chips")
    chips = counted(voice, "chip", 0 if number is None else number, "accusative")
    told = f"{chips} {voice.quoted(result.get('chips', ''))}"
    if per is not None:
        told = f"{told} {per_amount(voice, per.get('amount', 0), _base(voice, result))}"
    elif per_qty is not None:
        told = f"{told} {_per_quantity(voice, per_qty, result)}"
    else:
        told = _fixed(voice, told, result)
    options: list[str] = []
    if (cap := result.get("cap")) is not None:
        most = counted(voice, "chip", cap, "genitive")
        options.append(voice.text("at most %(chips)s a receipt", chips=most))
    return with_options(voice.text("earn %(what)s", what=told), options)


def count(voice: Voice, result: Mapping[str, Any]) -> str:
    """A counter of the customer's."""
    name, filter_ = voice.quoted(result.get("counter", "")), result.get("filter")
    if result.get("reset"):
        if is_narrow(filter_):
            which = goods(voice, filter_, "genitive")
            return voice.text(
                "counter %(name)s goes back to zero at a purchase of %(goods)s",
                name=name,
                goods=which,
            )
        return voice.text("counter %(name)s goes back to zero", name=name)
    if result.get("by") == "quantity":
        return voice.text(
            "counter %(name)s grows by the quantity of %(goods)s",
            name=name,
            goods=goods(voice, filter_, "genitive"),
        )
    if result.get("by") == "total":
        return voice.text(
            "counter %(name)s grows by what is paid for %(goods)s",
            name=name,
            goods=goods(voice, filter_, "accusative"),
        )
    if is_narrow(filter_):
        which = goods(voice, filter_, "genitive")
        return voice.text(
            "counter %(name)s grows by 1 for a receipt with a purchase of %(goods)s",
            name=name,
            goods=which,
        )
    return voice.text("counter %(name)s grows by 1 for a receipt", name=name)

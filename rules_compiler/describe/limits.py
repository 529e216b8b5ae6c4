"""How often and how much: limits, cost and claims of a promotion, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules_compiler.describe.nouns import counted
from rules_compiler.describe.voice import Voice


def limits(voice: Voice, promotion: Mapping[str, Any]) -> list[str]:
    """Everything that bounds a promotion; empty for one without bounds."""
    found = promotion.get("limits") or {}
    parts: list[str] = []
    if (most := found.get("per_receipt")) is not None:
        times = counted(voice, "time", most, "genitive")
        parts.append(voice.text("at most %(times)s in a receipt", times=times))
    if (per_customer := found.get("per_customer")) is not None:
        span = _span(voice, per_customer.get("per"))
        parts += [
            voice.text("%(most)s %(span)s for one customer", most=most, span=span)
            for most in _budgets(voice, per_customer)
        ]
    if (total := found.get("total")) is not None:
        parts += [
            voice.text("%(most)s for everybody together", most=most)
            for most in _budgets(voice, total)
        ]
    parts += _excess(voice, found)
    if promotion.get("on_claim"):
        parts.append(voice.text("only when it is asked for at the till"))
    if (cost := promotion.get("cost")) is not None:
        parts.append(
            voice.text(
                "each time takes %(points)s from account %(name)s",
                points=counted(voice, "point", cost.get("points", 0), "accusative"),
                name=voice.quoted(cost.get("account", "")),
            )
        )
    return parts


def _budgets(voice: Voice, limit: Mapping[str, Any]) -> list[str]:
    parts: list[str] = []
    if (times := limit.get("times")) is not None:
        receipts = counted(voice, "receipt", times, "genitive")
        parts.append(voice.text("at most %(high)s", high=receipts))
    if (pieces := limit.get("qty")) is not None:
        told = counted(voice, "piece", pieces, "genitive")
        parts.append(voice.text("at most %(pieces)s discounted", pieces=told))
    if (discount := limit.get("discount")) is not None:
        told = voice.money(discount)
        parts.append(voice.text("at most %(amount)s of discount", amount=told))
    return parts


def _span(voice: Voice, per: object) -> str:
    known = {
        "day": voice.text("a day"),
        "week": voice.text("a week"),
        "month": voice.text("a month"),
        "year": voice.text("a year"),
    }
    return known.get(str(per)) or voice.text("in all time")


def _excess(voice: Voice, found: Mapping[str, Any]) -> list[str]:
    """Only a limit on pieces or money can leave a part of a discount."""
    if found.get("on_excess") == "skip":
        return [voice.text("not at all where a limit would cut it")]
    budgets = (found.get("per_customer") or {}, found.get("total") or {})
    if any(budget.get(key) is not None for budget in budgets for key in ("qty", "discount")):
        return [voice.text("the last discount is cut to what the limit leaves")]
    return []

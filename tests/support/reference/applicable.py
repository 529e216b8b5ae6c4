"""`active`, limits, claims and cost: whether a promotion is applicable (section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

from .amounts import dec, kopecks
from .conditions import Scope, holds
from .model import Context, Promotion, State


def is_active(promo: Promotion, ctx: Context) -> bool:
    """`active`, read in the receipt's own local time."""
    active = promo.raw.get("active") or {}
    now = ctx.time
    low, high = active.get("from"), active.get("to")
    if low is not None and not _reached(low, now):
        return False
    if high is not None and _over(high, now):
        return False
    weekdays = active.get("weekdays")
    hours = active.get("hours")
    today = now.isoweekday()
    if hours is None:
        return weekdays is None or today in weekdays
    clock = now.timetz().replace(tzinfo=None)
    for begin, end in hours:
        for day in _days_on(begin, end, clock, today):
            if weekdays is None or day in weekdays:
                return True
    return False


def _minutes(text: str) -> timedelta:
    hour, minute = text.split(":")[:2]
    return timedelta(hours=int(hour), minutes=int(minute))


def _days_on(begin: str, end: str, clock: time, today: int) -> list[int]:
    """The weekdays to which the hours that hold at this clock time belong."""
    now = timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)
    now += timedelta(microseconds=clock.microsecond)
    low, high = _minutes(begin), _minutes(end)
    if low < high:
        return [today] if low <= now < high else []
    if low == high:
        return []
    days = [today] if now >= low else []
    return days + ([(today - 2) % 7 + 1] if now < high else [])


def _moment(text: str, now: datetime) -> tuple[datetime, datetime]:
    stamp = datetime.fromisoformat(text)
    return (now, stamp) if stamp.tzinfo is not None else (now.replace(tzinfo=None), stamp)


def _reached(text: str, now: datetime) -> bool:
    if len(text) == 10:
        return now.date() >= date.fromisoformat(text)
    seen, stamp = _moment(text, now)
    return seen >= stamp


def _over(text: str, now: datetime) -> bool:
    if len(text) == 10:
        return now.date() > date.fromisoformat(text)
    seen, stamp = _moment(text, now)
    return seen >= stamp


def claims_allowed(promo: Promotion, ctx: Context, state: State) -> int:
    """How many times a promotion may act in all; 1 without a claim."""
    number = int((ctx.receipt.get("claims") or {}).get(promo.id) or 0) if promo.on_claim else 1
    if promo.cost is not None:
        price = dec(promo.cost["points"])
        balance = state.balances.get(promo.cost["account"], Fraction(0))
        if ctx.customer is None:
            balance = Fraction(0)
        if price:
            number = min(number, state.paid_times.get(promo.id, 0) + math.floor(balance / price))
    return number


def usage_of(promo: Promotion, ctx: Context) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the customer, and what everybody has used of a promotion."""
    own = ((ctx.customer or {}).get("usage") or {}).get(promo.id) or {}
    everybody = (ctx.receipt.get("usage") or {}).get(promo.id) or {}
    return own, everybody


def money_left(promo: Promotion, ctx: Context, state: State) -> Fraction | None:
    """Kopecks that the money limits still allow."""
    own, everybody = usage_of(promo, ctx)
    left: list[Fraction] = []
    limit = promo.per_customer.get("discount")
    if limit is not None:
        used = own.get(f"discount_{promo.per_customer['per']}") or 0
        left.append(kopecks(limit) - kopecks(used))
    if promo.total.get("discount") is not None:
        used = everybody.get("discount_total") or 0
        left.append(kopecks(promo.total["discount"]) - kopecks(used))
    if not left:
        return None
    return max(Fraction(0), min(left) - state.given.get(promo.id, 0))


def pieces_left(promo: Promotion, ctx: Context, state: State) -> Fraction | None:
    """Pieces that the `qty` limit still allows."""
    limit = promo.per_customer.get("qty")
    if limit is None:
        return None
    used = dec(usage_of(promo, ctx)[0].get(f"qty_{promo.per_customer['per']}") or 0)
    return max(Fraction(0), dec(limit) - used) - len(state.discounted.get(promo.id, ()))


def allowed(promo: Promotion, ctx: Context, state: State) -> bool:
    """Everything but `when` and `on_excess`."""
    if not promo.enabled or not is_active(promo, ctx):
        return False
    if promo.family is not None and state.families.get(promo.family, promo.id) != promo.id:
        return False
    own, everybody = usage_of(promo, ctx)
    if promo.per_customer:
        if ctx.customer is None:
            return False
        times = promo.per_customer.get("times")
        if times is not None and dec(own.get(promo.per_customer["per"]) or 0) >= dec(times):
            return False
    times = promo.total.get("times")
    if times is not None and dec(everybody.get("total") or 0) >= dec(times):
        return False
    return claims_allowed(promo, ctx, state) >= 1


def one_of_each_family(
    promos: list[Promotion], acts: Callable[[Promotion], bool]
) -> list[Promotion]:
    """Of each `only_one_of` in a group that competes, the first that alone would do anything."""
    families: set[str] = set()
    kept: list[Promotion] = []
    for promo in promos:
        if promo.family is not None:
            if promo.family in families or not acts(promo):
                continue
            families.add(promo.family)
        kept.append(promo)
    return kept


def when_holds(promo: Promotion, scope: Scope) -> bool:
    return holds(promo.when, scope)

"""Hints: promotions whose next application wants only goods, and has begun (section 10).

The least exact part of the reference: see DECISIONS.md before comparing more than the simple cases.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from .amounts import ce, dec, hu, kopecks, money, quantity
from .applicable import allowed
from .conditions import Scope, holds, quantity_of, total_of
from .goods import anywhere
from .model import Context, Promotion, State
from .pieces import Moment, Seen, in_order
from .plans import buckets, nth_parts, slot_pieces


def hints(ctx: Context, state: State) -> list[dict[str, Any]]:
    settings = ctx.programme.get("hints") or {}
    pieces = dec(2 if settings.get("pieces") is None else settings["pieces"])
    percent = dec(20 if settings.get("percent") is None else settings["percent"])
    found = []
    scope = Scope(ctx, state)
    for group in ctx.groups:
        for stack in (False, True):
            for promo in ctx.promotions:
                if promo.group != group["id"] or promo.stack is not stack:
                    continue
                for missing, gain in of_promotion(promo, scope, pieces, percent):
                    row: dict[str, Any] = {"promotion": promo.id, "missing": missing}
                    row["gain"] = None if gain is None else money(gain)
                    if promo.raw.get("hint") is not None:
                        row["text"] = promo.raw["hint"]
                    found.append(row)
    return found


Wanted = tuple[dict[str, Any], int | None]


def of_promotion(
    promo: Promotion, scope: Scope, pieces: Fraction, percent: Fraction
) -> list[Wanted]:
    if not allowed(promo, scope.ctx, scope.state):
        return []
    lacking = missing_of(promo.when, scope, pieces, percent)
    if lacking is None or len(lacking) > 1:
        return []
    if lacking:
        return [(lacking[0], None)]
    found: list[Wanted] = []
    done = scope.state.applications.get(promo.id, 0)
    if promo.per_receipt is not None and done >= promo.per_receipt:
        return []
    moment = Moment(scope, anywhere)
    for result in promo.results("goods"):
        if result["do"] == "nth":
            found += of_nth(promo, result, moment, pieces)
        elif result["do"] == "set":
            found += of_set(promo, result, moment, pieces)
    return found


def missing_of(
    condition: Any, scope: Scope, pieces: Fraction, percent: Fraction
) -> list[dict[str, Any]] | None:
    """What goods are missing for a condition; None if it is not only goods."""
    if holds(condition, scope):
        return []
    ((key, value),) = condition.items()
    if key == "all":
        parts = [missing_of(c, scope, pieces, percent) for c in value]
        if any(p is None for p in parts):
            return None
        return [m for p in parts for m in p or []]
    if key == "any":
        options = [missing_of(c, scope, pieces, percent) for c in value]
        return next((o for o in options if o is not None and len(o) == 1), None)
    filter_ = value.get("filter") or {} if isinstance(value, dict) else {}
    if key == "quantity" and value.get("from") is not None:
        seen = quantity_of(value, scope)
        short = dec(value["from"]) - seen
        if seen > 0 and 0 < short <= pieces:
            return [{"qty": quantity(Fraction(ce(short))), "filter": filter_}]
    if key == "total" and value.get("from") is not None:
        bound = kopecks(value["from"])
        short = bound - total_of(value, scope)
        if scope.matching(filter_) and 0 < short <= bound * percent / 100:
            return [{"amount": money(short), "filter": filter_}]
    return None


def of_nth(
    promo: Promotion, result: dict[str, Any], moment: Moment, pieces: Fraction
) -> list[Wanted]:
    n, m, reward = nth_parts(result)
    found: list[Wanted] = []
    seen = moment.pieces(promo, result.get("filter"), countable=True)
    for bucket in buckets(seen, result.get("same")):
        rest = len(bucket) % n
        if rest == 0 or n - rest > pieces:
            continue
        order = in_order(bucket, "dearest")
        prices = [s.line.price for s in order[len(order) - rest :]]
        prices = sorted([*prices, *[min(s.line.price for s in bucket)] * (n - rest)])[:m]
        kind, value = reward
        if kind == "percent":
            gain = sum(hu(p * value / 100) for p in prices)
        else:
            gain = sum(max(0, hu(p - value)) for p in prices)
        missing = {"qty": str(n - rest), "filter": result.get("filter") or {}}
        found.append((missing, gain))
    return found


def of_set(
    promo: Promotion, result: dict[str, Any], moment: Moment, pieces: Fraction
) -> list[Wanted]:
    slots = slot_pieces(promo, result, moment)
    gone: set[Any] = set()
    while True:
        parts: list[list[Seen]] = []
        taken: set[Any] = set()
        for order, qty in slots:
            parts.append([s for s in order if s.piece not in gone | taken][:qty])
            taken |= {s.piece for s in parts[-1]}
        short = [qty - len(part) for part, (_, qty) in zip(parts, slots, strict=True)]
        if any(short) or not taken:
            break
        gone |= taken
    lacking = [i for i, number in enumerate(short) if number]
    if not taken or len(lacking) != 1 or short[lacking[0]] > pieces:
        return []
    filter_ = result["slots"][lacking[0]].get("filter") or {}
    return [({"qty": str(short[lacking[0]]), "filter": filter_}, None)]

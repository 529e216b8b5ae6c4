"""The accrue and inform stages (section 9)."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

from .amounts import dec, floor_to, kopecks
from .applicable import allowed, claims_allowed, when_holds
from .conditions import Scope, as_date, matches
from .goods import pay_cost
from .later import each_turn, to_pay
from .model import Context, Earned, Lot, Promotion, State

Winners = dict[tuple[str, int], list[Lot]]
"""(promotion, place in `then`) of a competing result: the lots that it has won."""


class Forbidden:
    """Which promotions forbid accrual on what they touched."""

    def __init__(self, ctx: Context) -> None:
        self.ids = {p.id for p in ctx.promotions if p.forbid_accrual}

    def earns(self, lot: Lot) -> bool:
        return lot.line.earns and not lot.touched & self.ids


def earning(result: dict[str, Any], ctx: Context, state: State) -> list[Lot]:
    """The matching lots that earn."""
    forbidden, scope = Forbidden(ctx), Scope(ctx, state)
    return [
        lot
        for lot in state.lots
        if forbidden.earns(lot) and matches(result.get("filter"), lot.line, scope)
    ]


def base_of(lot: Lot, result: dict[str, Any]) -> Fraction:
    return Fraction(lot.list) if result.get("base") == "list" else Fraction(lot.due)


def percent_of(result: dict[str, Any], ctx: Context) -> Fraction | None:
    """The percent of a `percent` or `by_level` result, if it has one for this customer."""
    if result["do"] != "accrue_points":
        return None
    if result.get("percent") is not None:
        return dec(result["percent"])
    if result.get("by_level") is not None:
        value = result["by_level"].get((ctx.customer or {}).get("level"))
        return None if value is None else dec(value)
    return None


def compete(promos: list[Promotion], resolve: str, ctx: Context, state: State) -> Winners:
    """Lot by lot, which percent result of a group gets the lot (per account)."""
    won: Winners = {}
    best: dict[tuple[str, int], tuple[Fraction, tuple[str, int]]] = {}
    lots = list(state.lots)
    for promo in promos:
        for place, result in enumerate(promo.then):
            percent = percent_of(result, ctx)
            if percent is None:
                continue
            won[promo.id, place] = []
            matching = {id(lot) for lot in earning(result, ctx, state)}
            for i, lot in enumerate(lots):
                if id(lot) not in matching:
                    continue
                key = (result["account"], i)
                if key not in best or (resolve == "best" and percent > best[key][0]):
                    best[key] = (percent, (promo.id, place))
    for (_, i), (_, winner) in best.items():
        won[winner].append(lots[i])
    return won


def accrue_stage(ctx: Context, state: State) -> None:
    if ctx.customer is None:
        return
    for group in ctx.groups:
        resolve = group.get("resolve") or "all"
        plain = ctx.of_group(group["id"], "accrue", stack=False)
        if resolve == "all":
            opened = plain
        else:
            opened = [p for p in plain if when_holds(p, Scope(ctx, state))]
        winners: Winners = {}
        if resolve in ("best", "first"):
            opened = in_competition(opened, ctx, state)
            winners = compete(opened, resolve, ctx, state)
        for promo in opened:
            if allowed(promo, ctx, state) and (
                resolve != "all" or when_holds(promo, Scope(ctx, state))
            ):
                run_accrue(promo, ctx, state, winners)
        for promo in ctx.of_group(group["id"], "accrue", stack=True):
            if allowed(promo, ctx, state) and when_holds(promo, Scope(ctx, state)):
                run_accrue(promo, ctx, state, {})


def in_competition(promos: list[Promotion], ctx: Context, state: State) -> list[Promotion]:
    """Of each family only the first that alone would do anything."""
    kept: list[Promotion] = []
    families: set[str] = set()
    for promo in promos:
        if not allowed(promo, ctx, state):
            continue
        if promo.family is not None:
            if promo.family in families:
                continue
            trial = state.copy()
            trial.acted = [a for a in trial.acted if a != promo.id]
            run_accrue(promo, ctx, trial, {})
            if promo.id not in trial.acted:
                continue
            families.add(promo.family)
        kept.append(promo)
    return kept


def run_accrue(promo: Promotion, ctx: Context, state: State, winners: Winners) -> None:
    """The accrue results of a promotion, in order."""
    exact: dict[str, list[Fraction]] = {}
    for place, result in enumerate(promo.then):
        if result["do"] == "accrue_points":
            lots = winners.get((promo.id, place))
            points_result(promo, result, ctx, state, won=lots, exact=exact)
        elif result["do"] == "accrue_chips":
            chips_result(promo, result, ctx, state)
        elif result["do"] == "count":
            count_result(promo, result, ctx, state)
    pay_cost(promo, ctx, state)


def got(account: str, state: State) -> Fraction:
    return sum((e.points for e in state.accrued if e.account == account), Fraction(0))


def points_result(
    promo: Promotion,
    result: dict[str, Any],
    ctx: Context,
    state: State,
    *,
    won: list[Lot] | None,
    exact: dict[str, list[Fraction]],
) -> None:
    """One `accrue_points`. `exact`: what the percents of this promotion came to, and gave."""
    account = result["account"]
    lots = earning(result, ctx, state)
    percent = percent_of(result, ctx)
    proportional = result.get("percent") is not None or result.get("by_level") is not None
    if proportional:
        if percent is None:
            return
        part = lots if won is None else won
        base = sum((base_of(lot, result) for lot in part), Fraction(0))
        value = base / 100 * percent / 100
    elif result.get("per") is not None:
        base = sum((base_of(lot, result) for lot in lots), Fraction(0))
        number = math.floor(base / kopecks(result["per"]["amount"]))
        value = number * dec(result["per"]["points"])
    elif result.get("per_qty") is not None:
        qty = sum((lot.qty for lot in lots), Fraction(0))
        number = math.floor(qty / dec(result["per_qty"]["qty"]))
        value = number * dec(result["per_qty"]["points"])
    elif result.get("fixed") is not None:
        value = dec(result["fixed"]) if lots or not result.get("filter") else Fraction(0)
    else:
        value = got(account, state) * (dec(result["multiply"]) - 1)
    if result.get("cap") is not None:
        value = min(value, dec(result["cap"]))
    if result.get("cap_day") is not None:
        assert ctx.customer is not None
        today = dec((ctx.customer.get("points_today") or {}).get(account) or 0)
        value = min(value, dec(result["cap_day"]) - today - got(account, state))
    value = max(Fraction(0), value)
    precision = ctx.precision(account)
    if proportional:
        so_far = exact.setdefault(account, [Fraction(0), Fraction(0)])
        so_far[0] += value
        value = floor_to(so_far[0], precision) - so_far[1]
        so_far[1] += value
    else:
        value = floor_to(value, precision)
    if value > 0:
        credit(promo, result, value, ctx, state)


def credit(
    promo: Promotion, result: dict[str, Any], value: Fraction, ctx: Context, state: State
) -> None:
    start = ctx.time.date() + timedelta(days=int(result.get("active_after_days") or 0))
    end = as_date(result.get("expires_on"))
    if result.get("expires_after_days") is not None:
        end = start + timedelta(days=int(result["expires_after_days"]))
    expires = None if end is None else end.isoformat()
    for entry in state.accrued:
        same = (entry.account, entry.promotion, entry.active_on, entry.expires_on)
        if same == (result["account"], promo.id, start.isoformat(), expires):
            entry.points += value
            break
    else:
        entry = Earned(result["account"], promo.id, value, start.isoformat(), expires)
        state.accrued.append(entry)
    state.act(promo)


def chips_result(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    lots = earning(result, ctx, state)
    if result.get("per") is not None:
        base = sum((base_of(lot, result) for lot in lots), Fraction(0))
        number = math.floor(base / kopecks(result["per"]["amount"])) * int(result["per"]["chips"])
    elif result.get("per_qty") is not None:
        qty = sum((lot.qty for lot in lots), Fraction(0))
        number = math.floor(qty / dec(result["per_qty"]["qty"])) * int(result["per_qty"]["chips"])
    else:
        number = int(result["fixed"]) if lots or not result.get("filter") else 0
    if result.get("cap") is not None:
        number = min(number, int(result["cap"]))
    if number > 0:
        state.chips.setdefault((result["chips"], promo.id), [0, 0])[0] += number
        state.act(promo)


def count_result(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    name = result["counter"]
    before = state.counters.get(name, Fraction(0))
    lots = earning(result, ctx, state)
    by = result.get("by") or "receipt"
    if result.get("reset"):
        value = Fraction(0)
        if result.get("filter") and not lots:
            return
    elif by == "quantity":
        value = before + math.floor(sum((lot.qty for lot in lots), Fraction(0)))
    elif by == "total":
        value = before + sum(lot.due for lot in lots) // 100
    else:
        value = before + (1 if lots or not result.get("filter") else 0)
    if value != before:
        state.counters[name] = state.counters_set[name] = value
        state.act(promo)


def inform_stage(ctx: Context, state: State) -> None:
    def run(promo: Promotion) -> None:
        for result in promo.results("inform"):
            INFORM[result["do"]](promo, result, ctx, state)
        pay_cost(promo, ctx, state)

    each_turn(ctx, state, "inform", run)


def number_of(
    promo: Promotion, result: dict[str, Any], ctx: Context, state: State, *names: str
) -> int:
    """How many coupons or gifts: fixed or per money paid or quantity of lines that earn."""
    plain, each = names
    per = result.get("per")
    if per is None:
        number = 1 if result.get(plain) is None else int(result[plain])
    else:
        scope = Scope(ctx, state)
        lots = [
            lot
            for lot in state.lots
            if lot.line.earns and matches(per.get("filter"), lot.line, scope)
        ]
        if per.get("amount") is not None:
            full = math.floor(Fraction(sum(lot.due for lot in lots)) / kopecks(per["amount"]))
        else:
            qty = sum((lot.qty for lot in lots), Fraction(0))
            full = math.floor(qty / dec(per["qty"]))
        number = full * (1 if per.get(each) is None else int(per[each]))
    one = number
    if promo.on_claim:
        number *= claims_allowed(promo, ctx, state)
    if result.get("max") is not None:
        number = min(number, int(result["max"]))
    if number > 0:
        times = math.ceil(Fraction(number, one))
        state.count_times(promo, f"given {id(result)}", times)
        state.act(promo)
    return number


def _issue_coupon(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    number = number_of(promo, result, ctx, state, "count", "count")
    if number > 0:
        state.coupons.append({"series": result["series"], "count": number})


def _gift_info(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    number = number_of(promo, result, ctx, state, "qty", "gifts")
    if number > 0:
        row = {"promotion": promo.id, "what": result["what"], "qty": str(number)}
        state.gifts.append(row)


def _message(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    row = {"promotion": promo.id}
    row |= {k: v for k, v in result.items() if k != "do" and v is not None}
    state.messages.append(row)
    state.act(promo)


def _service(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    row: dict[str, Any] = {"promotion": promo.id, "code": result["code"]}
    if result.get("text") is not None:
        row["text"] = result["text"]
    if result.get("donate_to") is not None:
        whole = sum(to_pay(lot, ctx) for lot in state.lots)
        missing = -whole % int(kopecks(result["donate_to"]))
        if not missing:
            return
        row["amount"] = f"{missing // 100}.{missing % 100:02d}"
    state.services.append(row)
    state.act(promo)


INFORM: dict[str, Any] = {
    "issue_coupon": _issue_coupon,
    "gift_info": _gift_info,
    "message": _message,
    "service": _service,
}

"""The receipt, spend and round stages (sections 7 and 8)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from .amounts import allocate, dec, fl, floor_to, hu, kopecks, pour
from .applicable import allowed, claims_allowed, money_left, one_of_each_family, when_holds
from .conditions import Scope, frozen_discounts, matches
from .goods import keep_counts, pay_cost, take_log
from .model import Context, Lot, Promotion, State
from .pieces import reached


def receipt_amount(
    result: dict[str, Any], lots: list[Lot], state: State
) -> tuple[int, bool] | None:
    """D before `cap` and limits, and whether it is an amount (else a percentage)."""
    total = sum(lot.net for lot in lots)
    if result.get("percent") is not None:
        return hu(total * dec(result["percent"]) / 100), False
    if result.get("amount") is not None:
        return int(kopecks(result["amount"])), True
    if result.get("price") is not None:
        return max(0, total - int(kopecks(result["price"]))), True
    if result.get("tiers") is not None:
        whole = Fraction(sum(lot.net for lot in state.lots))
        step = reached(result["tiers"], whole, 100)
        if step is None:
            return None
        if result.get("value") == "amount":
            return int(step * 100), True
        return hu(total * step / 100), False
    if result.get("per") is not None:
        per = result["per"]
        return int(math.floor(total / kopecks(per["each"])) * kopecks(per["amount"])), True
    above = result["above"]
    over = max(Fraction(0), total - kopecks(above["from"]))
    return hu(over * dec(above["percent"]) / 100), False


def receipt_result(promo: Promotion, result: dict[str, Any], ctx: Context, scope: Scope) -> bool:
    """One run of a `discount_receipt`; whether it gave anything."""
    state = scope.state
    lots = [
        lot
        for lot in state.lots
        if not lot.line.kept_out
        and lot.open_to(promo)
        and matches(result.get("filter"), lot.line, scope)
    ]
    found = receipt_amount(result, lots, state)
    if found is None:
        return False
    amount, again = found
    amount = min(amount, sum(lot.net for lot in lots))
    if result.get("cap") is not None:
        amount = min(amount, int(kopecks(result["cap"])))
    left = money_left(promo, ctx, state)
    if left is not None and amount > left:
        state.cut = True
        amount = math.floor(left)
    nets = [lot.net for lot in lots]
    rooms = [lot.room(promo) for lot in lots]
    if again:
        shares = pour(amount, nets, rooms)
    else:
        shares = [min(a, b) for a, b in zip(allocate(amount, nets), rooms, strict=True)]
    for lot, share in zip(lots, shares, strict=True):
        if share > 0:
            state.take(promo, lot, share, {})
    return any(shares)


def run_receipt(
    promo: Promotion, ctx: Context, state: State, frozen: dict[int, bool] | None
) -> int:
    """All `discount_receipt` results of a promotion; gives what it took off."""
    trial = state.copy()
    trial.cut, trial.log = False, []
    runs = claims_allowed(promo, ctx, trial) if promo.on_claim else 1
    for result in promo.results("receipt"):
        for _ in range(runs):
            if receipt_result(promo, result, ctx, Scope(ctx, trial, frozen)):
                trial.count_times(promo, f"runs {id(result)}", 1)
    if trial.cut and promo.skip_excess:
        state.log = []
        return 0
    given = sum(item.discount for item in trial.log)
    if given:
        pay_cost(promo, ctx, trial)
    state.become(trial)
    return given


def receipt_stage(ctx: Context, state: State) -> None:
    for group in ctx.groups:
        resolve = group.get("resolve") or "all"
        RECEIPT_MODES[resolve](ctx.of_group(group["id"], "receipt", stack=False), ctx, state)
        _all(ctx.of_group(group["id"], "receipt", stack=True), ctx, state)


def _all(promos: list[Promotion], ctx: Context, state: State) -> None:
    for promo in promos:
        if allowed(promo, ctx, state) and when_holds(promo, Scope(ctx, state)):
            run_receipt(promo, ctx, state, None)


def entrants(
    promos: list[Promotion], ctx: Context, state: State, frozen: dict[int, bool] | None
) -> list[Promotion]:
    """Who takes part in a group that does not resolve `all`."""
    opened = [p for p in promos if when_holds(p, Scope(ctx, state)) and allowed(p, ctx, state)]
    return one_of_each_family(opened, lambda p: run_receipt(p, ctx, state.copy(), frozen) > 0)


def _sum(promos: list[Promotion], ctx: Context, state: State) -> None:
    frozen = frozen_discounts(ctx, state)
    opened = entrants(promos, ctx, state, frozen)
    results: list[State] = []
    for promo in opened:
        alone = state.copy()
        run_receipt(promo, ctx, alone, frozen)
        results.append(alone)
    for promo, result in zip(opened, results, strict=True):
        if take_log(promo, result, state):
            keep_counts(promo, result, state)


def _first(promos: list[Promotion], ctx: Context, state: State) -> None:
    for promo in entrants(promos, ctx, state, None):
        if run_receipt(promo, ctx, state, None):
            return


def _best(promos: list[Promotion], ctx: Context, state: State) -> None:
    best: tuple[int, State] | None = None
    frozen = frozen_discounts(ctx, state)
    for promo in entrants(promos, ctx, state, frozen):
        trial = state.copy()
        given = run_receipt(promo, ctx, trial, frozen)
        if given and (best is None or given > best[0]):
            best = (given, trial)
    if best is not None:
        state.become(best[1])


RECEIPT_MODES: dict[str, Any] = {"all": _all, "sum": _sum, "first": _first, "best": _best}


def each_turn(ctx: Context, state: State, stage: str, run: Any) -> None:
    """Calls `run(promo)` for the promotions of a stage without modes, at their turns."""
    for group in ctx.groups:
        plain = ctx.of_group(group["id"], stage, stack=False)
        late = (group.get("resolve") or "all") == "all"
        at_start = {p.id: late or when_holds(p, Scope(ctx, state)) for p in plain}
        for promo in plain:
            if not at_start[promo.id] or not allowed(promo, ctx, state):
                continue
            if not late or when_holds(promo, Scope(ctx, state)):
                run(promo)
        for promo in ctx.of_group(group["id"], stage, stack=True):
            if allowed(promo, ctx, state) and when_holds(promo, Scope(ctx, state)):
                run(promo)


def spend_stage(ctx: Context, state: State) -> None:
    def run(promo: Promotion) -> None:
        for result in promo.results("spend"):
            spend_result(promo, result, ctx, state)
        pay_cost(promo, ctx, state)

    each_turn(ctx, state, "spend", run)


def spend_result(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    """One `spend_points`, and what could be spent by it."""
    account = result["account"]
    if account in state.spent_accounts or ctx.customer is None:
        return
    scope = Scope(ctx, state)
    forbid = {p.id for p in ctx.promotions if p.forbid_spend}
    lots = [
        lot
        for lot in state.lots
        if not lot.line.kept_out
        and not lot.touched & forbid
        and matches(result.get("filter"), lot.line, scope)
    ]
    keep = kopecks(result.get("keep_each") or 0)
    rooms = []
    for lot in lots:
        low = max(lot.line.floor(lot.qty, promo), Fraction(hu(keep * lot.qty)))
        rooms.append(max(0, lot.due - int(low)))
    percent = dec(100 if result.get("max_percent") is None else result["max_percent"])
    limit = min(
        fl(sum(lot.net for lot in lots) * percent / 100),
        sum(rooms),
        sum(lot.due for lot in state.lots) - int(kopecks(result.get("keep_total") or 0)),
    )
    limit = max(0, limit)
    rate = ctx.rate(account)
    balance = state.balances.get(account, Fraction(0))
    cost = promo.cost
    if cost is not None and cost["account"] == account and promo.id not in state.paid_times:
        balance -= dec(cost["points"])
    step = dec(result["step"]) if result.get("step") is not None else ctx.precision(account)
    most = floor_to(min(max(Fraction(0), balance), limit / rate), step)
    if fl(most * rate) > 0:
        state.spendable.setdefault(account, most)
    request = ctx.receipt.get("spend")
    if not request or request.get("account") != account:
        return
    asked = request.get("points")
    if asked is None:
        return
    points = most if asked == "max" else floor_to(min(most, dec(asked)), step)
    worth = fl(points * rate)
    if worth <= 0:
        return
    for lot, share in zip(lots, pour(worth, [x.due for x in lots], rooms), strict=True):
        lot.points += share
    state.balances[account] = state.balances.get(account, Fraction(0)) - points
    state.spent.append((account, "", points))
    state.spent_accounts.add(account)
    state.act(promo)


def round_stage(ctx: Context, state: State) -> None:
    def run(promo: Promotion) -> None:
        trial = state.copy()
        trial.cut = False
        for result in promo.results("round"):
            round_result(promo, result, ctx, trial)
        if trial.cut and promo.skip_excess:
            return
        pay_cost(promo, ctx, trial)
        state.become(trial)

    each_turn(ctx, state, "round", run)


def to_pay(lot: Lot, ctx: Context) -> int:
    return lot.net if ctx.payment else lot.due


def round_result(promo: Promotion, result: dict[str, Any], ctx: Context, state: State) -> None:
    """One `round_total`."""
    multiple = int(kopecks(result["to"]))
    lines = [line for line in ctx.lines if not line.kept_out]
    lines.sort(key=lambda x: (-state.line_net(x.number), x.number))
    if result.get("each_line"):
        for line in sorted(lines, key=lambda x: x.number):
            whole = sum(to_pay(lot, ctx) for lot in state.lots if lot.line is line)
            take_excess(promo, whole % multiple, [line.number], ctx, state)
    else:
        whole = sum(to_pay(lot, ctx) for lot in state.lots)
        take_excess(promo, whole % multiple, [x.number for x in lines], ctx, state)


def take_excess(
    promo: Promotion, excess: int, numbers: list[int], ctx: Context, state: State
) -> None:
    """Takes the whole excess off these lines in order, or nothing."""
    left = money_left(promo, ctx, state)
    if excess and left is not None and excess > left:
        state.cut = True
        return
    if not excess:
        return
    takes: list[tuple[Lot, int]] = []
    for number in numbers:
        lots = [lot for lot in state.lots if lot.line.number == number]
        rooms = [max(0, lot.due - int(lot.line.floor(lot.qty, promo))) for lot in lots]
        part = min(excess, sum(rooms))
        takes += zip(lots, pour(part, [lot.due for lot in lots], rooms), strict=True)
        excess -= part
    if excess:
        return
    for lot, share in takes:
        if share:
            state.take(promo, lot, share, {})

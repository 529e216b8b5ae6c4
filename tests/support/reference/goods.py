"""Taking the applications of a goods plan, and the modes of the goods stage (section 6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from .amounts import allocate, dec, hu, kopecks, pour
from .applicable import (
    allowed,
    claims_allowed,
    money_left,
    one_of_each_family,
    pieces_left,
    when_holds,
)
from .best import choose
from .conditions import Scope, frozen_discounts
from .model import Context, Lot, Piece, Promotion, State
from .pieces import POOL, App, Moment, Plan, Reward
from .plans import chips_left, deal_paid, make_plan

Anywhere = Callable[[Piece], bool]


def anywhere(piece: Piece) -> bool:
    return True


def within_limits(apps: list[App], plan: Plan, ctx: Context, state: State) -> list[App]:
    """The applications that `per_receipt`, claims and `qty` leave, in order."""
    promo = plan.promo
    count: int | None = None
    if promo.per_receipt is not None:
        count = promo.per_receipt - state.applications.get(promo.id, 0)
    if promo.on_claim and plan.claimed:
        done = [n for k, n in state.times.get(promo.id, {}).items() if k.startswith("claimed")]
        claims = claims_allowed(promo, ctx, state) - sum(done)
        count = claims if count is None else min(count, claims)
    left = pieces_left(promo, ctx, state)
    chosen: list[App] = []
    pieces: set[Piece] = set()
    for app in apps:
        if count is not None and len(chosen) >= count:
            break
        new = {p for p, _ in app.taken} - state.discounted.get(promo.id, set())
        if left is not None and len(pieces | new) > left:
            state.cut = True
            continue
        pieces |= new
        chosen.append(app)
    return chosen


def raw_discount(lot: Lot, reward: Reward, promo: Promotion) -> int:
    """The discount on a lot by itself, cut at its floor."""
    kind, value = reward
    if kind == "percent":
        off = hu(lot.net * value / 100)
    elif kind == "each":
        off = hu(value * lot.qty)
    else:
        off = max(0, lot.net - hu(value * lot.qty))
    return min(off, lot.room(promo))


def groups_of(apps: list[App], idle: list[Piece], state: State) -> list[tuple[list[Piece], Reward]]:
    """Pieces of one lot treated alike, in the order taken."""
    groups: dict[tuple[int, Reward], list[Piece]] = {}
    for piece, reward in [t for a in apps for t in a.taken] + [(p, POOL) for p in idle]:
        groups.setdefault((id(state.lot_of(piece)), reward), []).append(piece)
    return [(pieces, reward) for (_, reward), pieces in groups.items()]


def cut_to_cap(discounts: list[int], lots: list[Lot], cap: Fraction | None) -> list[int]:
    """The cap of a result: cut in proportion to its discounts."""
    if cap is None or sum(discounts) <= cap:
        return discounts
    order = sorted(range(len(lots)), key=lambda i: lots[i].pieces[0])
    shares = allocate(int(cap), [discounts[i] for i in order])
    found = [0] * len(lots)
    for i, share in zip(order, shares, strict=True):
        found[i] = share
    return found


def pooled(amount: int, lots: list[Lot], promo: Promotion) -> list[int]:
    """An amount over lots by net, allocated again where floors cut it."""
    order = sorted(range(len(lots)), key=lambda i: lots[i].pieces[0])
    amount = min(amount, sum(lot.net for lot in lots))
    nets = [lots[i].net for i in order]
    shares = pour(amount, nets, [lots[i].room(promo) for i in order])
    found = [0] * len(lots)
    for i, share in zip(order, shares, strict=True):
        found[i] = share
    return found


def cut_to_money(discounts: list[int], left: Fraction | None, state: State) -> list[int]:
    """A money limit cuts lot by lot in the order taken."""
    if left is None:
        return discounts
    room = math.floor(left)
    found = []
    for d in discounts:
        found.append(min(d, room))
        room -= found[-1]
    if found != discounts:
        state.cut = True
    return found


def commit(
    state: State,
    plan: Plan,
    apps: list[App],
    groups: list[tuple[list[Piece], Reward]],
    discounts: list[int],
) -> int:
    """Takes the discounts off; what gets none is not split off. Gives what was taken."""
    promo = plan.promo
    price = {p: a.chips for a in apps for p, _ in a.taken}
    given: set[Piece] = set()
    total = 0
    for (pieces, _), wanted in zip(groups, discounts, strict=True):
        if wanted <= 0:
            continue
        lot = state.split(pieces)
        # A part before it that got nothing was not split off, so a kopeck may lie elsewhere.
        discount = min(wanted, lot.room(promo))
        if discount > 0:
            chips = {}
            if plan.chips is not None:
                chips = {(plan.chips, p): price[p] for p in lot.pieces}
            state.take(promo, lot, discount, chips)
            given |= set(pieces)
            total += discount
    done = [a for a in apps if any(p in given for p, _ in a.taken)]
    state.applications[promo.id] = state.applications.get(promo.id, 0) + len(done)
    state.used += [p for a in done for p in a.used]
    if done and plan.claimed:
        state.count_times(promo, f"claimed {id(plan.result)}", len(done))
    elif done and plan.gifts:
        times = math.ceil(Fraction(len(done), plan.gifts))
        state.count_times(promo, f"gifts {id(plan.result)}", times)
    return total


def run_plan(plan: Plan, ctx: Context, state: State, *, all_chosen: bool = False) -> None:
    """Takes a plan from the running state. `all_chosen`: `best` has applied the limits already."""
    if plan.kind == "set":
        _run_sets(plan, ctx, state, all_chosen=all_chosen)
    elif plan.kind == "pool":
        _run_pool(plan, ctx, state, all_chosen=all_chosen)
    else:
        _run_each(plan, ctx, state, all_chosen=all_chosen)
    if plan.counter is not None:
        name, moved = plan.counter
        if moved:
            value = state.counters.get(name, Fraction(0)) + moved
            state.counters[name] = state.counters_set[name] = value
            state.act(plan.promo)


def _run_each(plan: Plan, ctx: Context, state: State, *, all_chosen: bool) -> None:
    apps = [a for a in plan.apps if all_chosen or a.gains]
    cut = state.cut
    while apps:
        state.cut = cut
        chosen = apps if all_chosen else within_limits(apps, plan, ctx, state)
        trial = state.copy()
        groups = groups_of(chosen, [], trial)
        lots = [trial.split(pieces) for pieces, _ in groups]
        discounts = [
            raw_discount(lot, reward, plan.promo)
            for lot, (_, reward) in zip(lots, groups, strict=True)
        ]
        nothing = {
            (id(state.lot_of(pieces[0])), reward)
            for (pieces, reward), d in zip(groups, discounts, strict=True)
            if d == 0
        }
        if not nothing:
            discounts = cut_to_cap(discounts, lots, plan.cap)
            left = money_left(plan.promo, ctx, state)
            discounts = cut_to_money(discounts, left, state)
            if plan.paid and not all_chosen:
                deal_paid(plan, chosen)
            commit(state, plan, chosen, groups, discounts)
            return
        for app in apps:
            app.taken = [t for t in app.taken if (id(state.lot_of(t[0])), t[1]) not in nothing]
        apps = [a for a in apps if a.taken]


def _run_pool(plan: Plan, ctx: Context, state: State, *, all_chosen: bool) -> None:
    if all_chosen:
        chosen = plan.apps
    else:
        chosen = within_limits([a for a in plan.apps if a.gains], plan, ctx, state)
    if not chosen:
        return
    amount = hu(plan.pool)
    if all_chosen:
        amount = hu(sum((a.gain for a in chosen), Fraction(0)))
    groups = groups_of(chosen, [] if all_chosen else plan.idle, state)
    trial = state.copy()
    lots = [trial.split(pieces) for pieces, _ in groups]
    amount = min(amount, sum(lot.net for lot in lots))
    left = money_left(plan.promo, ctx, state)
    capped = plan.cap is not None and left is not None and plan.cap <= left
    if left is not None and not capped and amount > left:
        state.cut = True
        amount = math.floor(left)
    discounts = cut_to_cap(pooled(amount, lots, plan.promo), lots, plan.cap)
    commit(state, plan, chosen, groups, discounts)


def _run_sets(plan: Plan, ctx: Context, state: State, *, all_chosen: bool) -> None:
    promo, result = plan.promo, plan.result
    for app in plan.apps:
        if not all_chosen and not within_limits([app], plan, ctx, state):
            continue
        left = money_left(promo, ctx, state)
        groups = groups_of([app], [], state)
        trial = state.copy()
        lots = [trial.split(pieces) for pieces, _ in groups]
        net = sum(lot.net for lot in lots)
        if result.get("price") is not None:
            amount = max(0, net - int(kopecks(result["price"])))
        elif result.get("amount") is not None:
            amount = min(net, int(kopecks(result["amount"])))
        else:
            amount = hu(net * dec(result["percent"]) / 100)
        if left is not None and amount > left:
            state.cut = True
            amount = math.floor(left)
        if result.get("percent") is not None:
            discounts = cut_at_floors(amount, lots, promo)
        else:
            discounts = pooled(amount, lots, promo)
        if not commit(state, plan, [app], groups, discounts):
            return


def cut_at_floors(amount: int, lots: list[Lot], promo: Promotion) -> list[int]:
    """A percentage in all: allocated by net, cut at the floors, the rest lost."""
    order = sorted(range(len(lots)), key=lambda i: lots[i].pieces[0])
    shares = allocate(amount, [lots[i].net for i in order])
    found = [0] * len(lots)
    for i, share in zip(order, shares, strict=True):
        found[i] = min(share, lots[i].room(promo))
    return found


def run_goods(
    promo: Promotion,
    ctx: Context,
    state: State,
    frozen: dict[int, bool] | None,
    may_use: Anywhere = anywhere,
) -> bool:
    """The goods results of a promotion, in order; True if `on_excess` made it not applicable."""
    trial = state.copy()
    trial.cut = False
    trial.used = []
    trial.log = []
    for result in promo.results("goods"):
        plan = make_plan(promo, result, Moment(Scope(ctx, trial, frozen), may_use))
        if plan is not None:
            run_plan(plan, ctx, trial)
    if trial.cut and promo.skip_excess:
        state.log, state.used = [], []
        return True
    pay_cost(promo, ctx, trial)
    state.become(trial)
    return False


def pay_cost(promo: Promotion, ctx: Context, state: State) -> None:
    """Takes the points of `cost` for the times that the promotion has acted so far."""
    if promo.cost is None or promo.id not in state.acted:
        return
    done = state.times.get(promo.id, {}) if promo.on_claim else {}
    times = max([1, *done.values()])
    new = times - state.paid_times.get(promo.id, 0)
    if new <= 0:
        return
    state.paid_times[promo.id] = times
    account, price = promo.cost["account"], dec(promo.cost["points"])
    state.balances[account] = state.balances.get(account, Fraction(0)) - price * new
    state.spent.append((account, promo.id, price * new))


def goods_stage(ctx: Context, state: State) -> None:
    for group in ctx.groups:
        resolve = group.get("resolve") or "all"
        promos = ctx.of_group(group["id"], "goods", stack=False)
        MODES[resolve](promos, ctx, state)
        _all(ctx.of_group(group["id"], "goods", stack=True), ctx, state)


def _all(promos: list[Promotion], ctx: Context, state: State) -> None:
    for promo in promos:
        if allowed(promo, ctx, state) and when_holds(promo, Scope(ctx, state)):
            run_goods(promo, ctx, state, None)


def entrants(
    promos: list[Promotion], ctx: Context, state: State, frozen: dict[int, bool] | None
) -> list[Promotion]:
    """Who takes part in a group that does not resolve `all`."""

    def acts(promo: Promotion) -> bool:
        trial = state.copy()
        run_goods(promo, ctx, trial, frozen)
        return promo.id in trial.acted

    opened = [p for p in promos if when_holds(p, Scope(ctx, state)) and allowed(p, ctx, state)]
    return one_of_each_family(opened, acts)


def _first(promos: list[Promotion], ctx: Context, state: State) -> None:
    opened = entrants(promos, ctx, state, None)
    owner: dict[Piece, str] = {}
    for promo in opened:
        if not allowed(promo, ctx, state):
            continue
        name = promo.id
        run_goods(promo, ctx, state, None, lambda p, name=name: owner.get(p, name) == name)  # type: ignore[misc]
        for piece in state.used:
            owner[piece] = name
        state.used = []


def _sum(promos: list[Promotion], ctx: Context, state: State) -> None:
    frozen = frozen_discounts(ctx, state)
    opened = entrants(promos, ctx, state, frozen)
    results: list[State] = []
    chips = state.chips
    for promo in opened:
        alone = state.copy()
        alone.chips = {k: list(v) for k, v in chips.items()}
        run_goods(promo, ctx, alone, frozen)
        chips = alone.chips
        results.append(alone)
    before = dict(state.counters)
    for promo, result in zip(opened, results, strict=True):
        acted = take_log(promo, result, state)
        for name, value in result.counters_set.items():
            moved = value - before.get(name, Fraction(0))
            if moved:
                now = state.counters.get(name, Fraction(0)) + moved
                state.counters[name] = state.counters_set[name] = now
                state.act(promo)
                acted = True
        if acted:
            keep_counts(promo, result, state)


def keep_counts(promo: Promotion, result: State, state: State) -> None:
    """What a promotion counted of its limits while it was computed elsewhere."""
    state.applications[promo.id] = result.applications.get(promo.id, 0)
    state.times[promo.id] = result.times.get(promo.id, {})


def take_log(promo: Promotion, result: State, state: State) -> bool:
    """Takes discounts computed elsewhere, each cut to the room left; whether anything was."""
    acted = False
    for item in result.log:
        wanted = set(item.pieces)
        lots = [lot for lot in state.lots if wanted & set(lot.pieces)]
        parts = [[p for p in lot.pieces if p in wanted] for lot in lots]
        shares = allocate(item.discount, [len(p) for p in parts])
        for lot, pieces, share in zip(lots, parts, shares, strict=True):
            if not lot.open_to(promo):
                continue
            scratch = state.copy()
            room = scratch.split(pieces).room(promo)
            discount = min(share, room)
            if discount > 0:
                chips = {k: v for k, v in item.chips.items() if k[1] in pieces}
                state.take(promo, state.split(pieces), discount, chips)
                acted = True
    return acted


def _best(promos: list[Promotion], ctx: Context, state: State) -> None:
    frozen = frozen_discounts(ctx, state)
    plans: list[Plan] = []
    for promo in entrants(promos, ctx, state, frozen):
        if run_goods(promo, ctx, state.copy(), frozen):
            continue
        moment = Moment(Scope(ctx, state, frozen), anywhere)
        for result in promo.results("goods"):
            plan = make_plan(promo, result, moment)
            if plan is not None:
                plans.append(plan)
    chosen = choose(plans, ctx, state, lambda a: chips_left(a, Moment(Scope(ctx, state), anywhere)))
    for plan, apps in zip(plans, chosen, strict=True):
        plan.apps = apps
        run_plan(plan, ctx, state, all_chosen=True)


MODES: dict[str, Any] = {"all": _all, "first": _first, "sum": _sum, "best": _best}

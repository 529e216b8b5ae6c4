"""Which applications a goods result would take from the pieces it may use (sections 5 and 6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from .amounts import dec, kopecks, pour_exact
from .applicable import claims_allowed
from .conditions import under
from .model import Line, Piece, Promotion
from .pieces import POOL, WORTHLESS, App, Moment, Plan, Reward, Seen, in_order, reached


def make_plan(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan | None:
    """The plan of a goods result, or None if it does nothing at all."""
    return MAKERS[result["do"]](promo, result, moment)


def _piecewise(
    promo: Promotion, result: dict[str, Any], rewarded: list[tuple[Seen, Reward]]
) -> Plan:
    """A plan in which each piece is an application of its own."""
    plan = Plan("each", promo, result, [s for s, _ in rewarded])
    for seen, reward in rewarded:
        gain, gains = seen.gain(reward, promo), seen.gains(reward, promo)
        if gain > 0 or gains:
            plan.apps.append(App([seen.piece], [(seen.piece, reward)], gain, gains=gains))
    return plan


def _pool(promo: Promotion, result: dict[str, Any], seen: list[Seen], amount: Fraction) -> Plan:
    """A plan of an amount in all, spread over pieces by net."""
    plan = Plan("pool", promo, result, seen, pool=amount)
    seen = sorted(seen, key=lambda s: s.piece)
    total = sum((s.net for s in seen), Fraction(0))
    nets, rooms = [s.net for s in seen], [s.room(promo) for s in seen]
    shares = dict(
        zip([s.piece for s in seen], pour_exact(min(amount, total), nets, rooms), strict=True)
    )
    for s in plan.seen:
        gains = amount > 0 and s.net > 0 and s.lot.room(promo) > 0
        if gains or shares[s.piece] > 0:
            plan.apps.append(App([s.piece], [(s.piece, POOL)], shares[s.piece], gains=gains))
        if not gains:
            plan.idle.append(s.piece)
    return plan


def _positions(result: dict[str, Any], seen: list[Seen], default: str) -> list[Seen]:
    """Pieces in the order of choice, after `skip`, up to `max_qty`."""
    order = in_order(seen, result.get("choose") or default)[int(result.get("skip") or 0) :]
    if result.get("max_qty") is None:
        return order
    most = int(result["max_qty"])
    by = result.get("max_qty_by") or "receipt"
    counts: dict[Any, int] = {}
    kept = []
    for s in order:
        key = {"receipt": None, "line": s.line.number, "sku": s.line.sku}[by]
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= most:
            kept.append(s)
    return kept


def _discount_goods(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan | None:
    filter_ = result.get("filter")
    seen = _positions(result, moment.pieces(promo, filter_), "line")
    plan: Plan | None
    if result.get("percent") is not None:
        plan = _piecewise(promo, result, [(s, ("percent", dec(result["percent"]))) for s in seen])
    elif result.get("amount_each") is not None:
        each = kopecks(result["amount_each"])
        plan = _piecewise(promo, result, [(s, ("each", each)) for s in seen])
    elif result.get("amount") is not None:
        plan = _pool(promo, result, seen, kopecks(result["amount"]))
    elif result.get("tiers") is not None:
        plan = _tiers(promo, result, moment, seen)
    elif result.get("steps") is not None:
        steps = [dec(x) for x in result["steps"]]
        percents = [steps[min(i, len(steps) - 1)] for i in range(len(seen))]
        pairs = zip(seen, percents, strict=True)
        plan = _piecewise(promo, result, [(s, ("percent", p)) for s, p in pairs])
    else:
        nodes = result["by_category"]
        plan = _piecewise(promo, result, [(s, _by_category(s.line, nodes)) for s in seen])
    if plan is not None and result.get("cap") is not None:
        plan.cap = kopecks(result["cap"])
    return plan


def _tiers(
    promo: Promotion, result: dict[str, Any], moment: Moment, seen: list[Seen]
) -> Plan | None:
    tiers = result["tiers"]
    by = tiers.get("by") or "quantity"
    value = moment.sum_of(moment.base(result.get("filter")), by)
    step = reached(tiers["steps"], value, 100 if by == "total" else 1)
    if step is None:
        return None
    kind = tiers.get("value") or "percent"
    if kind == "amount":
        return _pool(promo, result, seen, step * 100)
    reward = ("each", step * 100) if kind == "amount_each" else ("percent", step)
    return _piecewise(promo, result, [(s, reward) for s in seen])


def _by_category(line: Line, nodes: dict[str, Any]) -> Reward:
    category = line.raw.get("category") or ""
    found = [node for node in nodes if under(category, node)]
    return ("percent", dec(nodes[max(found, key=len)])) if found else WORTHLESS


def _set_price(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan:
    seen = _positions(result, moment.pieces(promo, result.get("filter")), "line")
    rewarded: list[tuple[Seen, Reward]] = []
    for s in seen:
        reward = WORTHLESS
        if result.get("price") is not None:
            reward = ("price", kopecks(result["price"]))
        elif result.get("price_type") is not None:
            price = (s.line.raw.get("prices") or {}).get(result["price_type"])
            if price is not None:
                reward = ("price", kopecks(price))
        else:
            target = ending_below(s.price, kopecks(result["ending"]))
            if target is not None:
                reward = ("price", target)
        rewarded.append((s, reward))
    return _piecewise(promo, result, rewarded)


def ending_below(price: Fraction, ending: Fraction) -> Fraction | None:
    """The nearest unit price at or below `price` with this ending, never zero."""
    period = 100
    while period <= ending:
        period *= 10
    target = ending + period * math.floor((price - ending) / period)
    return target if target > 0 else None


def reward_of(result: dict[str, Any], default: Reward | None) -> Reward | None:
    if result.get("price") is not None:
        return ("price", kopecks(result["price"]))
    if result.get("percent") is not None:
        return ("percent", dec(result["percent"]))
    return default


def buckets(seen: list[Seen], same: str | None) -> list[list[Seen]]:
    """Pieces that may stand in one run of an `nth`; in the order of their first lines."""
    found: dict[Any, list[Seen]] = {}
    for s in sorted(seen, key=lambda s: s.piece):
        key = {None: None, "sku": s.line.sku, "line": s.line.number}[same]
        found.setdefault(key, []).append(s)
    return list(found.values())


def nth_parts(result: dict[str, Any]) -> tuple[int, int, Reward]:
    reward = reward_of(result, ("percent", Fraction(100)))
    assert reward is not None
    take = result.get("take")
    return int(result["every"]), 1 if take is None else int(take), reward


def nth_app(
    run: list[Seen], taken: list[Seen], reward: Reward, promo: Promotion, *, exact: bool = False
) -> App:
    """A run; pieces that would gain nothing (`exact`: before rounding) are used, not discounted."""
    gaining = [s for s in taken if (s.gain(reward, promo) > 0 if exact else s.gains(reward, promo))]
    return App(
        [s.piece for s in run],
        [(s.piece, reward) for s in gaining],
        sum((s.gain(reward, promo) for s in taken), Fraction(0)),
        gains=bool(gaining),
    )


def _nth(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan:
    n, m, reward = nth_parts(result)
    seen = moment.pieces(promo, result.get("filter"), countable=True)
    plan = Plan("each", promo, result, seen, claimed=True)
    for bucket in buckets(seen, result.get("same")):
        runs = len(bucket) // n
        if (result.get("grouping") or "chunks") == "chunks":
            order = in_order(bucket, "dearest")
            for i in range(runs):
                run = order[i * n : (i + 1) * n]
                plan.apps.append(nth_app(run, run[n - m :], reward, promo))
        else:
            order = in_order(bucket, "cheapest")
            for i in range(runs):
                taken = order[i * m : (i + 1) * m]
                app = nth_app(taken, taken, reward, promo)
                plan.apps.append(app)
                plan.paid[id(app)] = ([s.piece for s in order], n - m)
    plan.apps = [a for a in plan.apps if a.gains]
    return plan


def deal_paid(plan: Plan, chosen: list[App]) -> None:
    """The paid pieces of `cheapest`: the next after the last that is taken, run after run."""
    last: dict[Piece, int] = {}
    for app in chosen:
        order, _ = plan.paid[id(app)]
        last[order[0]] = max(last.get(order[0], 0), order.index(app.used[-1]) + 1)
    for app in chosen:
        order, number = plan.paid[id(app)]
        at = last[order[0]]
        app.used = app.used + order[at : at + number]
        last[order[0]] = at + number


def slot_rewards(result: dict[str, Any]) -> list[Reward | None] | None:
    """The rewards of the slots, or None when the whole set has one."""
    if any(result.get(k) is not None for k in ("price", "percent", "amount")):
        return None
    return [reward_of(slot, None) for slot in result["slots"]]


def set_gain(seen: Seen, slot: int, result: dict[str, Any], promo: Promotion) -> Fraction:
    """What a piece of a slot gains by itself; nothing where the set is priced as a whole."""
    if result.get("percent") is not None:
        return seen.gain(("percent", dec(result["percent"])), promo)
    rewards = slot_rewards(result)
    reward = None if rewards is None else rewards[slot]
    return Fraction(0) if reward is None else seen.gain(reward, promo)


def slot_pieces(
    promo: Promotion, result: dict[str, Any], moment: Moment
) -> list[tuple[list[Seen], int]]:
    """Per slot: its candidates in the order of its choice, and how many it takes."""
    found = []
    for slot in result["slots"]:
        seen = moment.pieces(promo, slot.get("filter"), countable=True)
        order = in_order(seen, slot.get("choose") or "dearest")
        found.append((order, int(slot.get("qty") or 1)))
    return found


def set_app(
    result: dict[str, Any], promo: Promotion, chosen: list[list[Seen]], *, exact: bool = False
) -> App:
    """One set, filled: its exact gain and what it discounts."""
    rewards = slot_rewards(result)
    used = [s for part in chosen for s in part]
    pieces = [s.piece for s in used]
    if rewards is not None:
        pairs = [
            (s, r) for part, r in zip(chosen, rewards, strict=True) if r is not None for s in part
        ]
        taken = [
            (s.piece, r) for s, r in pairs if (s.gain(r, promo) > 0 if exact else s.gains(r, promo))
        ]
        value = sum((s.gain(r, promo) for s, r in pairs), Fraction(0))
        return App(pieces, taken, value, gains=bool(taken))
    net = sum((s.net for s in used), Fraction(0))
    if result.get("percent") is not None:
        percent = dec(result["percent"])
        off = net * percent / 100
        gain = sum((s.gain(("percent", percent), promo) for s in used), Fraction(0))
    else:
        if result.get("price") is not None:
            off = max(Fraction(0), net - kopecks(result["price"]))
        else:
            off = min(net, kopecks(result["amount"]))
        gain = min(off, sum((s.room(promo) for s in used), Fraction(0)))
    gains = off > 0 and any(s.net > 0 and s.lot.room(promo) > 0 for s in used)
    return App(pieces, [(p, POOL) for p in pieces], gain, gains=gains)


def _set(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan:
    slots = slot_pieces(promo, result, moment)
    kind = "set" if slot_rewards(result) is None else "each"
    plan = Plan(kind, promo, result, [s for order, _ in slots for s in order], claimed=True)
    plan.slots = slots
    gone: set[Piece] = set()
    while True:
        chosen: list[list[Seen]] = []
        taken: set[Piece] = set()
        for order, qty in slots:
            part = [s for s in order if s.piece not in gone | taken][:qty]
            if len(part) < qty:
                return plan
            taken |= {s.piece for s in part}
            chosen.append(part)
        app = set_app(result, promo, chosen)
        if not app.gains:
            return plan
        plan.apps.append(app)
        gone |= taken


def times_of(per: dict[str, Any], moment: Moment, own_filter: Any) -> int:
    """How many full amounts or quantities there are."""
    lines = moment.base(per["filter"] if per.get("filter") is not None else own_filter)
    if per.get("amount") is not None:
        return math.floor(moment.sum_of(lines, "total") / kopecks(per["amount"]))
    return math.floor(moment.sum_of(lines, "quantity") / dec(per["qty"]))


def _gift_goods(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan:
    per = result.get("per")
    if per is not None:
        number = times_of(per, moment, result.get("filter")) * int(per.get("gifts") or 1)
    else:
        number = 1 if result.get("qty") is None else int(result["qty"])
    one = number
    if promo.on_claim:
        number *= claims_allowed(promo, moment.scope.ctx, moment.scope.state)
    if result.get("max") is not None:
        number = min(number, int(result["max"]))
    order = in_order(moment.pieces(promo, result.get("filter")), result.get("choose") or "dearest")
    reward: Reward = ("price", kopecks(result.get("price") or 0))
    plan = _piecewise(promo, result, [(s, reward) for s in order[:number]])
    plan.gifts = one
    return plan


def chips_left(account: str, moment: Moment) -> int:
    """Chips of the customer that this receipt may still spend."""
    ctx, state = moment.scope.ctx, moment.scope.state
    if ctx.customer is None:
        return 0
    left = int((ctx.customer.get("chips") or {}).get(account) or 0)
    request = (ctx.receipt.get("chips") or {}).get(account)
    if request is not None:
        left = min(left, int(request))
    return left - sum(v[1] for (a, _), v in state.chips.items() if a == account)


def _chips_price(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan:
    account = result["chips"]
    left = chips_left(account, moment)
    seen = _positions(result, moment.pieces(promo, result.get("filter")), "dearest")
    plan = Plan("each", promo, result, seen, chips=account)
    for s in seen:
        if result.get("ladder") is not None:
            steps = [(int(a), dec(b)) for a, b in result["ladder"] if int(a) <= left]
            if not steps:
                break
            price, percent = max(steps)
            reward: Reward | None = ("percent", percent)
        else:
            price, reward = int(result["each"]), reward_of(result, None)
        assert reward is not None
        if not s.gains(reward, promo) or price > left:
            continue
        plan.apps.append(App([s.piece], [(s.piece, reward)], s.gain(reward, promo), price))
        left -= price
    return plan


def _counter_nth(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan | None:
    if moment.scope.ctx.customer is None:
        return None
    before = moment.scope.state.counters.get(result["counter"], Fraction(0))
    seen = moment.pieces(promo, result.get("filter"))
    reward: Reward = ("price", kopecks(result.get("price") or 0))
    every = int(result["every"])
    hit = [s for i, s in enumerate(seen, 1) if (before + i) % every == 0]
    plan = _piecewise(promo, result, [(s, reward) for s in hit])
    plan.counter = (result["counter"], len(seen))
    return plan


def _manual(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan | None:
    manual = moment.scope.ctx.receipt.get("manual")
    if not manual or manual.get("percent") is None:
        return None
    percent = dec(manual["percent"])
    if result.get("max_percent") is not None and percent > dec(result["max_percent"]):
        return None
    rights = result.get("permission")
    if rights is not None and manual.get("permission") not in rights:
        return None
    lines = manual.get("lines")
    seen = moment.pieces(promo, result.get("filter"))
    chosen = [s for s in seen if lines is None or s.line.number in lines]
    return _piecewise(promo, result, [(s, ("percent", percent)) for s in chosen])


def _external(promo: Promotion, result: dict[str, Any], moment: Moment) -> Plan | None:
    answer = (moment.scope.ctx.receipt.get("external") or {}).get(result["service"])
    if not answer or answer.get("amount") is None:
        return None
    seen = moment.pieces(promo, result.get("filter"))
    return _pool(promo, result, seen, kopecks(answer["amount"]))


MAKERS: dict[str, Callable[[Promotion, dict[str, Any], Moment], Plan | None]] = {
    "discount_goods": _discount_goods,
    "set_price": _set_price,
    "nth": _nth,
    "set": _set,
    "gift_goods": _gift_goods,
    "chips_price": _chips_price,
    "counter_nth": _counter_nth,
    "manual": _manual,
    "external": _external,
}

"""Pricing a receipt and writing the answer of section 10."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from .accrue import accrue_stage, inform_stage
from .amounts import money, number, points, quantity
from .goods import goods_stage
from .hints import hints
from .later import receipt_stage, round_stage, spend_stage, to_pay
from .model import Context, Line, State, start


def price(programme: dict[str, Any], receipt: dict[str, Any]) -> dict[str, Any]:
    """The answer for a valid programme and receipt, both as parsed JSON; no trace."""
    ctx = Context(programme, receipt)
    state = start(ctx)
    goods_stage(ctx, state)
    receipt_stage(ctx, state)
    spend_stage(ctx, state)
    round_stage(ctx, state)
    accrue_stage(ctx, state)
    inform_stage(ctx, state)
    return answer(ctx, state)


def answer(ctx: Context, state: State) -> dict[str, Any]:
    sums = {line.number: sums_of(line, ctx, state) for line in ctx.lines}
    columns = ("list", "discount", "net", "points_spent", "to_pay")
    return {
        "receipt_id": ctx.receipt.get("receipt_id"),
        "programme": ctx.programme.get("programme"),
        "version": ctx.programme.get("version"),
        "optimal": True,
        "lines": [
            {
                "line": line.number,
                **{c: money(sums[line.number][c]) for c in columns},
                "applied": applied(line, state),
                "parts": parts(line, ctx, state),
            }
            for line in ctx.lines
        ],
        "total": {c: money(sum(s[c] for s in sums.values())) for c in columns},
        "accrued": [
            {
                "account": e.account,
                "promotion": e.promotion,
                "points": points(e.points),
                "active_on": e.active_on,
                "expires_on": e.expires_on,
            }
            for e in state.accrued
        ],
        "spent": spent(ctx, state),
        "spendable": [
            {"account": a, "points": points(state.spendable.get(a, Fraction(0)))}
            for a in ctx.accounts
        ],
        "chips": [
            {"account": account, "promotion": promotion, "earned": earned, "spent": gone}
            for (account, promotion), (earned, gone) in state.chips.items()
            if earned or gone
        ],
        "counters": [
            {"id": name, "value": number(value)} for name, value in state.counters_set.items()
        ],
        "coupons": state.coupons,
        "messages": state.messages,
        "gifts": state.gifts,
        "services": state.services,
        "applied": state.acted,
        "hints": hints(ctx, state),
    }


def sums_of(line: Line, ctx: Context, state: State) -> dict[str, int]:
    lots = [lot for lot in state.lots if lot.line is line]
    net = sum(lot.net for lot in lots)
    discount = sum(state.applied.get(line.number, {}).values())
    assert net + discount == line.list
    return {
        "list": line.list,
        "discount": discount,
        "net": net,
        "points_spent": sum(lot.points for lot in lots),
        "to_pay": sum(to_pay(lot, ctx) for lot in lots),
    }


def applied(line: Line, state: State) -> list[dict[str, str]]:
    """What each promotion took off a line, in the order in which they first did."""
    rows = []
    for promotion, discount in state.applied.get(line.number, {}).items():
        pieces = {p for p in state.discounted[promotion] if p[0] == line.number}
        qty = Fraction(len(pieces)) if line.countable else line.qty
        rows.append({"promotion": promotion, "discount": money(discount), "qty": quantity(qty)})
    return rows


def parts(line: Line, ctx: Context, state: State) -> list[dict[str, str]]:
    """Pieces with the same sum to pay together, dearest first."""
    lots = [lot for lot in state.lots if lot.line is line]
    if not line.countable:
        return [{"qty": quantity(line.qty), "to_pay": money(sum(to_pay(x, ctx) for x in lots))}]
    counts: dict[int, int] = {}
    for lot in lots:
        each, more = divmod(to_pay(lot, ctx), len(lot.pieces))
        for i in range(len(lot.pieces)):
            value = each + (i < more)
            counts[value] = counts.get(value, 0) + 1
    return [
        {"qty": str(n), "to_pay": money(value * n)}
        for value, n in sorted(counts.items(), reverse=True)
    ]


def spent(ctx: Context, state: State) -> list[dict[str, str]]:
    """One row for each account, then what `cost` took, with its promotion."""
    rows = []
    for account in ctx.accounts:
        total = sum((p for a, promo, p in state.spent if a == account and not promo), Fraction(0))
        rows.append({"account": account, "points": points(total)})
    costs: dict[tuple[str, str], Fraction] = {}
    for account, promo, value in state.spent:
        if promo:
            costs[account, promo] = costs.get((account, promo), Fraction(0)) + value
    for (account, promo), value in costs.items():
        rows.append({"account": account, "promotion": promo, "points": points(value)})
    return rows

"""Points pay a part of the receipt, and sums are rounded (section 8)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.engine.allocate import allocate_with_room
from shared.engine.conditions import Situation
from shared.engine.lots import LineState, Lot, amount_of, floor_minor
from shared.engine.program import Account, Promotion, RoundTotal, SpendPoints
from shared.money import POINTS_SCALE, PPM, divide_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendPlan:
    """How many points an account may pay with here, and over which lots their worth is shared."""

    spendable_centi: int
    points_centi: int
    worth_minor: int
    lots: list[Lot]
    rooms_minor: list[int]


def plan_spend(
    at: Situation,
    promotion: Promotion,
    result: SpendPoints,
    account: Account,
    *,
    forbidden: frozenset[str],
) -> SpendPlan:
    """What may be spent by this result; ``forbidden``: promotions whose lots take no points."""
    lots = [
        lot
        for line in at.lines(result.filter)
        if line.takes_benefits
        for lot in line.lots
        if forbidden.isdisjoint(lot.touched)
    ]
    rooms = [max(_room(at, promotion, result, lot), 0) for lot in lots]
    net_minor = sum(lot.net_minor - lot.points_minor for lot in lots)
    whole_minor = sum(
        lot.net_minor - lot.points_minor for line in at.state.lines for lot in line.lots
    )
    limit_minor = max(
        min(
            divide_floor(net_minor * result.max_percent_ppm, PPM),
            sum(rooms),
            whole_minor - result.keep_total_minor,
        ),
        0,
    )
    assert at.customer is not None, "only a known customer has points"
    balance_centi = max(at.customer.points_centi.get(account.id, 0), 0)
    step_centi = account.precision_centi if result.step_centi is None else result.step_centi
    most_centi = min(balance_centi, limit_minor * POINTS_SCALE // account.rate_minor)
    spendable_centi = most_centi - most_centi % step_centi
    request = at.receipt.spend
    points_centi = 0
    if request is not None and request.account == account.id:
        wanted = spendable_centi if request.points_centi is None else request.points_centi
        points_centi = min(wanted, most_centi)
        points_centi -= points_centi % step_centi
    return SpendPlan(
        spendable_centi=spendable_centi,
        points_centi=points_centi,
        worth_minor=points_centi * account.rate_minor // POINTS_SCALE,
        lots=lots,
        rooms_minor=rooms,
    )


def _room(at: Situation, promotion: Promotion, result: SpendPoints, lot: Lot) -> int:
    floor = floor_minor(
        lot.line.line,
        lot.quantity_milli,
        promotion=promotion,
        max_discount_ppm=at.state.max_discount_ppm,
    )
    keep_minor = amount_of(result.keep_each_minor, lot.quantity_milli)
    return lot.net_minor - lot.points_minor - max(floor, keep_minor)


def apply_spend(plan: SpendPlan) -> None:
    """Share the worth of the points over the lots, by net, within their rooms."""
    weights = [lot.net_minor for lot in plan.lots]
    given = allocate_with_room(plan.worth_minor, weights, plan.rooms_minor, again=True)
    assert sum(given) == plan.worth_minor, "the limit never exceeds the room"
    for lot, share_minor in zip(plan.lots, given, strict=True):
        lot.points_minor += share_minor


def apply_rounding(at: Situation, promotion: Promotion, result: RoundTotal) -> int:
    """Round the sum to pay, or each line's, down to the multiple; what was taken off."""
    lines = [line for line in at.state.lines if line.takes_benefits]
    if result.each_line:
        return sum(_take(at, promotion, [line], _to_pay(line) % result.to_minor) for line in lines)
    excess_minor = sum(_to_pay(line) for line in at.state.lines) % result.to_minor
    ordered = sorted(lines, key=lambda line: (-line.net_minor, line.line.line))
    return _take(at, promotion, ordered, excess_minor)


def _to_pay(line: LineState) -> int:
    return sum(lot.net_minor - lot.points_minor for lot in line.lots)


def _take(at: Situation, promotion: Promotion, lines: list[LineState], excess_minor: int) -> int:
    """Take the whole excess off the lines in this order, or nothing."""
    if excess_minor == 0:
        return 0
    takes: list[tuple[Lot, int]] = []
    left_minor = excess_minor
    for line in lines:
        for lot in sorted(line.lots, key=lambda lot: (-lot.net_minor, lot.ranges[0][0])):
            room_minor = min(
                at.state.room_minor(lot, lot.quantity_milli, lot.net_minor, promotion),
                lot.net_minor - lot.points_minor,
            )
            taken_minor = min(room_minor, left_minor)
            if taken_minor > 0:
                takes.append((lot, taken_minor))
                left_minor -= taken_minor
    if left_minor > 0:
        return 0
    for lot, taken_minor in takes:
        lot.discount(promotion, taken_minor)
    return excess_minor

"""Points pay a part of the receipt, and sums are rounded (section 8)."""

from __future__ import annotations

from shared.engine.allocate import allocate_with_room
from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.lots import LineState, Lot, amount_of
from shared.engine.program import Account, Promotion, RoundTotal, SpendPoints
from shared.money import POINTS_SCALE, PPM, divide_floor


class SpendPlan:
    """How many points an account may pay with here, and over which lots their worth is shared."""

    __slots__ = ("lots", "points_centi", "rooms_minor", "spendable_centi", "worth_minor")

    def __init__(self, lots: list[Lot], rooms_minor: list[int]) -> None:
        self.lots: list[Lot] = lots
        self.rooms_minor: list[int] = rooms_minor
        self.spendable_centi: int = 0
        self.points_centi: int = 0
        self.worth_minor: int = 0


def plan_spend(
    at: Situation,
    promotion: Promotion,
    result: SpendPoints,
    account: Account,
    balance_centi: int,
) -> SpendPlan:
    """What may be spent by this result; ``balance_centi`` is what the account still holds."""
    lots = [
        lot
        for line in at.lines(result.filter)
        if line.takes_benefits
        for lot in line.lots
        if not lot.forbids_spending()
    ]
    rooms = [max(_room(promotion, result, lot), 0) for lot in lots]
    plan = SpendPlan(lots, rooms)
    net_minor = sum([lot.net_minor for lot in lots])
    left_minor = sum([lot.net_minor - lot.points_minor for lot in at.state.lots()])
    limit_minor = max(
        min(
            divide_floor(net_minor * result.max_percent_ppm, PPM),
            sum(rooms),
            left_minor - result.keep_total_minor,
        ),
        0,
    )
    step_centi = account.precision_centi if result.step_centi is None else result.step_centi
    most_centi = min(max(balance_centi, 0), limit_minor * POINTS_SCALE // account.rate_minor)
    plan.spendable_centi = _worth_something(most_centi - most_centi % step_centi, account)
    request = at.receipt.spend
    if request is not None and request.account == account.id:
        wanted = plan.spendable_centi if request.points_centi is None else request.points_centi
        points_centi = min(wanted, most_centi)
        plan.points_centi = _worth_something(points_centi - points_centi % step_centi, account)
    plan.worth_minor = plan.points_centi * account.rate_minor // POINTS_SCALE
    return plan


def _worth_something(points_centi: int, account: Account) -> int:
    """The points, or none where they are worth less than the smallest unit of money."""
    return points_centi if points_centi * account.rate_minor >= POINTS_SCALE else 0


def _room(promotion: Promotion, result: SpendPoints, lot: Lot) -> int:
    floor = lot.line.floor_minor(lot.quantity_milli, promotion)
    keep_minor = amount_of(result.keep_each_minor, lot.quantity_milli)
    return lot.net_minor - lot.points_minor - max(floor, keep_minor)


def apply_spend(plan: SpendPlan) -> None:
    """Share the worth of the points over the lots, by net, within their rooms."""
    weights = [lot.net_minor for lot in plan.lots]
    given = allocate_with_room(plan.worth_minor, weights, plan.rooms_minor, again=True)
    assert sum(given) == plan.worth_minor, "the limit never exceeds the room"
    for lot, share_minor in zip(plan.lots, given, strict=True):
        lot.points_minor += share_minor


def apply_rounding(
    at: Situation,
    promotion: Promotion,
    result: RoundTotal,
    allowance: Allowance,
    *,
    points_are_payment: bool,
) -> int:
    """Round the sum to pay, or each line's, down to the multiple; what was taken off.

    Where floors or the promotion's limits leave too little for the whole excess, nothing is done.
    """
    lines = [line for line in at.state.lines if line.takes_benefits]
    if result.each_line:
        return sum(
            [
                _take(
                    at,
                    promotion,
                    [line],
                    _to_pay(line, points_are_payment=points_are_payment) % result.to_minor,
                    allowance,
                )
                for line in lines
            ]
        )
    whole_minor = sum(
        [_to_pay(line, points_are_payment=points_are_payment) for line in at.state.lines]
    )
    ordered = sorted(lines, key=_largest_net)
    return _take(at, promotion, ordered, whole_minor % result.to_minor, allowance)


def _largest_net(line: LineState) -> tuple[int, int]:
    return (-line.net_minor, line.index)


def _to_pay(line: LineState, *, points_are_payment: bool) -> int:
    if points_are_payment:
        return line.net_minor
    return sum([lot.net_minor - lot.points_minor for lot in line.lots])


def _take(
    at: Situation,
    promotion: Promotion,
    lines: list[LineState],
    excess_minor: int,
    allowance: Allowance,
) -> int:
    """Take the whole excess off the lines in this order, or nothing."""
    if excess_minor == 0 or allowance.money(excess_minor) < excess_minor:
        return 0
    takes: list[tuple[Lot, int]] = []
    left_minor = excess_minor
    for line in lines:
        lots = line.lots
        rooms = [
            # What is left to pay stays at the floor, whatever points have paid.
            at.state.room_minor(
                line, lot.quantity_milli, lot.net_minor - lot.points_minor, promotion
            )
            for lot in lots
        ]
        taken_minor = min(sum(rooms), left_minor)
        # Within a line by what is left to pay, as everywhere else.
        weights = [lot.net_minor - lot.points_minor for lot in lots]
        given = allocate_with_room(taken_minor, weights, rooms, again=True)
        takes.extend(zip(lots, given, strict=True))
        left_minor -= taken_minor
    if left_minor > 0:
        return 0
    for lot, given_minor in takes:
        if given_minor > 0:
            lot.discount(promotion, given_minor)
    allowance.give(excess_minor)
    return excess_minor

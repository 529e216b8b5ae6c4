"""The receipt stage: a discount on lines together, shared over their lots (section 7)."""

from __future__ import annotations

from shared.engine.allocate import allocate_with_room
from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.offers import step_value
from shared.engine.program import DiscountReceipt, Promotion
from shared.money import PPM, divide_half_up


def apply_receipt_discount(
    at: Situation, promotion: Promotion, result: DiscountReceipt, allowance: Allowance
) -> int:
    """Take the discount off; what was taken, in minor units.

    A percentage that a floor cuts loses the rest; an amount is shared again over lots with room.
    """
    lots = [
        lot
        for line in at.lines(result.filter)
        if line.takes_benefits
        for lot in line.lots
        if lot.is_open_to(promotion)
    ]
    nets = [lot.net_minor for lot in lots]
    matching_minor = sum(nets)
    if not matching_minor:
        return 0
    discount_minor, is_amount = _discount(at, result, matching_minor)
    discount_minor = min(discount_minor, matching_minor)
    if result.cap_minor is not None:
        discount_minor = min(discount_minor, result.cap_minor)
    discount_minor = allowance.money(discount_minor)
    if not discount_minor:
        return 0
    state = at.state
    rooms = [
        state.room_minor(lot.line, lot.quantity_milli, lot.net_minor, promotion) for lot in lots
    ]
    given = allocate_with_room(discount_minor, nets, rooms, again=is_amount)
    for lot, share_minor in zip(lots, given, strict=True):
        if share_minor > 0:
            lot.discount(promotion, share_minor)
    taken = sum(given)
    allowance.give(taken)
    return taken


def _discount(at: Situation, result: DiscountReceipt, matching_minor: int) -> tuple[int, bool]:
    """The discount before caps and floors, and whether it is an amount (not a percentage)."""
    if result.percent_ppm is not None:
        return divide_half_up(matching_minor * result.percent_ppm, PPM), False
    if result.amount_minor is not None:
        return result.amount_minor, True
    if result.price_minor is not None:
        return max(matching_minor - result.price_minor, 0), True
    if result.tiers is not None:
        value = step_value(result.tiers, at.state.net_minor())
        if result.tiers_in_money:
            return value, True
        return divide_half_up(matching_minor * value, PPM), False
    if result.per_each_minor is not None:
        return matching_minor // result.per_each_minor * result.per_amount_minor, True
    assert result.above_from_minor is not None, "a receipt discount says how much"
    excess_minor = max(matching_minor - result.above_from_minor, 0)
    return divide_half_up(excess_minor * result.above_percent_ppm, PPM), False

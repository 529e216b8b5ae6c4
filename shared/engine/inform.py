"""The inform stage: coupons to issue, messages, gifts to hand out, services (section 5)."""

from __future__ import annotations

from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.program import (
    EVERYTHING,
    GiftInfo,
    IssueCoupon,
    Message,
    PerSum,
    Promotion,
    Service,
)
from shared.wire.answer import CouponIssued, GiftOffered, MessageShown, ServiceOffered


class Informed:
    """What the till shall say, print or hand out."""

    __slots__ = ("coupons", "gifts", "messages", "services")

    def __init__(self) -> None:
        self.coupons: list[CouponIssued] = []
        self.messages: list[MessageShown] = []
        self.gifts: list[GiftOffered] = []
        self.services: list[ServiceOffered] = []


def inform(
    at: Situation,
    promotion: Promotion,
    result: IssueCoupon | Message | GiftInfo | Service,
    allowance: Allowance,
    told: Informed,
    *,
    points_are_payment: bool,
) -> int:
    """Run one result; how many times it acted for its claim, 0 where it had nothing to say."""
    if isinstance(result, Message):
        told.messages.append(
            MessageShown(
                promotion=promotion.id,
                to=result.to,
                at=result.at,
                text=result.text,
                qr=result.qr,
                image=result.image,
                confirm=result.confirm,
            )
        )
        return 1
    if isinstance(result, Service):
        return _serve(at, promotion, result, told, points_are_payment=points_are_payment)
    each = result.count if isinstance(result, IssueCoupon) else result.quantity
    if result.per is not None:
        each = _times(at, result.per) * result.per.count
    count = each * allowance.claims
    if result.count_max is not None:
        count = min(count, result.count_max)
    if count <= 0:
        return 0
    if isinstance(result, IssueCoupon):
        told.coupons.append(
            CouponIssued(
                series=result.series,
                count=count,
                promotion=promotion.id,
                valid_days=result.valid_days,
                text=result.text,
            )
        )
    else:
        told.gifts.append(
            GiftOffered(
                promotion=promotion.id,
                what=result.what,
                is_choice=result.is_choice,
                quantity=count,
            )
        )
    return min(-(-count // each), allowance.claims)


def _serve(
    at: Situation,
    promotion: Promotion,
    result: Service,
    told: Informed,
    *,
    points_are_payment: bool,
) -> int:
    amount: int | None = None
    if result.donate_to_minor is not None:
        to_pay = at.state.net_minor()
        if not points_are_payment:
            to_pay -= sum([lot.points_minor for lot in at.state.lots()])
        amount = -to_pay % result.donate_to_minor
        if amount == 0:
            return 0
    told.services.append(
        ServiceOffered(
            promotion=promotion.id, code=result.code, text=result.text, amount_minor=amount
        )
    )
    return 1


def _times(at: Situation, per: PerSum) -> int:
    """Full amounts of money paid, or full quantities, of lines that earn."""
    lines = [
        line for line in at.lines(EVERYTHING if per.filter is None else per.filter) if line.earns
    ]
    if per.amount_minor is not None:
        paid = sum([lot.net_minor - lot.points_minor for line in lines for lot in line.lots])
        return paid // per.amount_minor
    assert per.quantity_milli is not None, "it is per an amount or a quantity"
    return sum([line.quantity_milli for line in lines]) // per.quantity_milli

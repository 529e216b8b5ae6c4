"""Sums of a shop day. Pure; money in minor units, points in hundredths."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.wire.facts import ReceiptCommitted, ReceiptReturned


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A day of one register, or of all."""

    sales: int = 0
    list_minor: int = 0
    discount_minor: int = 0
    points_spent_minor: int = 0
    to_pay_minor: int = 0
    points_earned_centi: int = 0
    returns: int = 0
    returned_minor: int = 0
    incidents: int = 0

    @property
    def net_minor(self) -> int:
        """What sales brought less what returns took."""
        return self.to_pay_minor - self.returned_minor


def totals_of(sales: Iterable[ReceiptCommitted], returns: Iterable[ReceiptReturned]) -> Totals:
    """The sums of these sales and returns."""
    kept, back = list(sales), list(returns)
    sums = [sale.answer.total for sale in kept]
    return Totals(
        sales=len(kept),
        list_minor=sum(each.list_minor for each in sums),
        discount_minor=sum(each.discount_minor for each in sums),
        points_spent_minor=sum(each.points_spent_minor for each in sums),
        to_pay_minor=sum(each.to_pay_minor for each in sums),
        points_earned_centi=sum(
            earned.points_centi for sale in kept for earned in sale.answer.accrued
        ),
        returns=len(back),
        returned_minor=sum(each.refund.money_minor for each in back),
        incidents=sum(bool(each.incidents) for each in kept)
        + sum(bool(each.incidents) for each in back),
    )

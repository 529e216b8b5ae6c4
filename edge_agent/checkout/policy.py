"""What a sale takes of what is limited, and what about it did not fit. Pure.

A sale is a fact: nothing here refuses one. What no lease covers is recorded without a lease and
named as an incident; central books it to the store's shortage.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from edge_agent.leases.policy import Paid, Wanted
from shared.money import format_centi, format_minor
from shared.uses import Used, budget_uses, customer_uses, limit_asset
from shared.wire.answer import Answer
from shared.wire.assets import AssetKind, asset_of, asset_parts, points_asset
from shared.wire.facts import Incident, LeaseSpend, PromotionUse, RightSpend
from shared.wire.receipt import Receipt

_NAMED: Final = 5
"""Rights that an incident names; a receipt may have used thousands."""


def wanted_of(
    receipt: Receipt, answer: Answer, used: Sequence[Used] = (), coupons: Sequence[str] = ()
) -> list[Wanted]:
    """What the answer takes, by owner and asset: points and coupons of the customer, budgets.

    ``used``: what it used of limited promotions. Limits of a customer are spent where they are
    strict, and else only counted.
    ``coupons``: the personal codes that it used up.
    """
    customer = receipt.customer
    owner = customer.id if customer is not None and customer.id is not None else ""
    amounts: dict[str, int] = {}
    for spent in answer.spent:
        if spent.points_centi > 0:
            asset = points_asset(spent.account)
            amounts[asset] = amounts.get(asset, 0) + spent.points_centi
    return [
        *(Wanted(owner=owner, asset=asset, amount=amount) for asset, amount in amounts.items()),
        *(
            Wanted(owner=owner, asset=asset_of(AssetKind.COUPON, code), amount=1)
            for code in coupons
        ),
        *(
            Wanted(owner=each.promotion, asset=each.asset, amount=each.amount)
            for each in budget_uses(used)
        ),
        *_strictly(receipt, owner, used),
    ]


def _strictly(receipt: Receipt, owner: str, used: Sequence[Used]) -> list[Wanted]:
    strict = [each for each in used if each.strict]
    if not strict or not owner:
        return []
    day = dt.datetime.fromisoformat(receipt.time).date().isoformat()
    return [
        Wanted(
            owner=owner,
            asset=limit_asset(use.promotion, use.measure, use.period),
            amount=use.amount,
        )
        for use in customer_uses(strict, day)
    ]


def lease_spends_of(paid: Sequence[Paid]) -> list[LeaseSpend]:
    """The same as the receipt tells it: the second source of every spend."""
    return [
        LeaseSpend(
            lease_id=part.lease_id,
            account=name,
            points_centi=part.amount,
            spend_uid=part.spend_uid,
            sub_lease_id=part.sub_lease_id,
        )
        for each in paid
        for kind, name in [asset_parts(each.wanted.asset)]
        if kind == AssetKind.POINTS
        for part in each.parts
    ]


def right_spends_of(paid: Sequence[Paid]) -> list[RightSpend]:
    """The same of everything that is not points."""
    return [
        RightSpend(
            owner=each.wanted.owner,
            asset=each.wanted.asset,
            amount=part.amount,
            lease_id=part.lease_id,
            spend_uid=part.spend_uid,
            sub_lease_id=part.sub_lease_id,
        )
        for each in paid
        if asset_parts(each.wanted.asset)[0] != AssetKind.POINTS
        for part in each.parts
    ]


def uses_of(receipt: Receipt, used: Sequence[Used], business_date: str) -> list[PromotionUse]:
    """What counts against the limits of a customer whom somebody can count for."""
    if receipt.customer is None or receipt.customer.id is None:
        return []
    return customer_uses(used, business_date)


def incidents_of(
    answer: Answer,
    spends: Sequence[LeaseSpend],
    to_pay_told_minor: int | None,
    rights: Sequence[RightSpend] = (),
) -> list[Incident]:
    """What is beyond every lease, and a sum that is not what the till took."""
    incidents = [
        Incident(
            code="points_without_lease",
            detail=f"{format_centi(spend.points_centi)} points of {spend.account}",
        )
        for spend in spends
        if spend.lease_id is None
    ]
    uncovered = [spend for spend in rights if spend.lease_id is None]
    if uncovered:
        named = [f"{each.amount} of {each.asset} of {each.owner}" for each in uncovered[:_NAMED]]
        more = "" if len(uncovered) <= _NAMED else f", {len(uncovered) - _NAMED} more"
        incidents.append(Incident(code="right_without_lease", detail=", ".join(named) + more))
    if to_pay_told_minor is not None and to_pay_told_minor != answer.total.to_pay_minor:
        incidents.append(
            Incident(
                code="to_pay_differs",
                detail=f"till {format_minor(to_pay_told_minor)}, "
                f"here {format_minor(answer.total.to_pay_minor)}",
            )
        )
    return incidents

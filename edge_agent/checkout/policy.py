"""What a sale takes of what is limited, and what about it did not fit. Pure.

A sale is a fact: nothing here refuses one. Points that no lease covers are recorded without a
lease and named as an incident; central books them to the store's shortage.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.leases.policy import Paid, Wanted
from shared.money import format_centi, format_minor
from shared.wire.answer import Answer
from shared.wire.assets import AssetKind, asset_parts, points_asset
from shared.wire.facts import Incident, LeaseSpend
from shared.wire.receipt import Receipt


def wanted_of(receipt: Receipt, answer: Answer) -> list[Wanted]:
    """What the answer takes, by owner and asset; points are the customer's.

    Uses of personal coupons, limits of a customer and budgets of promotions are not among it: an
    answer does not say how much of them it used.
    """
    customer = receipt.customer
    owner = customer.id if customer is not None and customer.id is not None else ""
    amounts: dict[str, int] = {}
    for spent in answer.spent:
        if spent.points_centi > 0:
            asset = points_asset(spent.account)
            amounts[asset] = amounts.get(asset, 0) + spent.points_centi
    return [Wanted(owner=owner, asset=asset, amount=amount) for asset, amount in amounts.items()]


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


def incidents_of(
    answer: Answer, spends: Sequence[LeaseSpend], to_pay_told_minor: int | None
) -> list[Incident]:
    """Points beyond every lease, and a sum that is not what the till took."""
    incidents = [
        Incident(
            code="points_without_lease",
            detail=f"{format_centi(spend.points_centi)} points of {spend.account}",
        )
        for spend in spends
        if spend.lease_id is None
    ]
    if to_pay_told_minor is not None and to_pay_told_minor != answer.total.to_pay_minor:
        incidents.append(
            Incident(
                code="to_pay_differs",
                detail=f"till {format_minor(to_pay_told_minor)}, "
                f"here {format_minor(answer.total.to_pay_minor)}",
            )
        )
    return incidents

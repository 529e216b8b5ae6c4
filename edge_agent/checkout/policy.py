"""What a sale takes from which lease, and what about it did not fit. Pure.

A sale is a fact: nothing here refuses one. Points that no lease covers are recorded without a
lease and named as an incident; central books them to the store's shortage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.money import format_centi, format_minor
from shared.wire.answer import Answer
from shared.wire.facts import Incident, LeaseSpend


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What may still be spent from one open lease now, in hundredths of a point."""

    lease_id: str
    account: str
    spend_until_ms: int
    left_centi: int


def take_from_leases(answer: Answer, rights: Sequence[Right], now_ms: int) -> list[LeaseSpend]:
    """Cover the answer's spent points, the lease that ends first first; the rest has no lease."""
    left = {right.lease_id: right.left_centi for right in rights}
    spends: list[LeaseSpend] = []
    for spent in answer.spent:
        wanted_centi = spent.points_centi
        usable = [r for r in rights if r.account == spent.account and now_ms < r.spend_until_ms]
        for right in sorted(usable, key=lambda r: (r.spend_until_ms, r.lease_id)):
            taken_centi = min(wanted_centi, left[right.lease_id])
            if taken_centi > 0:
                left[right.lease_id] -= taken_centi
                wanted_centi -= taken_centi
                spends.append(_spend(right.lease_id, spent.account, taken_centi))
        if wanted_centi > 0:
            spends.append(_spend(None, spent.account, wanted_centi))
    total_centi = sum(spent.points_centi for spent in answer.spent)
    assert sum(spend.points_centi for spend in spends) == total_centi, "every point is accounted"
    return spends


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


def _spend(lease_id: str | None, account: str, points_centi: int) -> LeaseSpend:
    return LeaseSpend(lease_id=lease_id, account=account, points_centi=points_centi)

"""What a receipt used of promotions that are limited, and in which periods that counts. Pure.

Limits (section 3 of the language) count receipts in which a promotion did something (``times``),
pieces that it discounted (``qty``) and money that it gave (``discount``): for one customer in a
period of the shop's days, or for everybody. All of it stands in the answer.
"""

from __future__ import annotations

import calendar
import datetime as dt
import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shared.engine.program import CustomerLimit, Limits
from shared.wire.answer import Answer
from shared.wire.assets import AssetKind, asset_of, asset_parts
from shared.wire.facts import PromotionUse
from shared.wire.receipt import Receipt, Usage

EVER: Final = "ever"
"""The period that does not end."""
_PIECE_MILLI: Final = 1000
_PERIOD: Final = re.compile("[0-9]{4}(-W[0-9]{2}|-[0-9]{2}(-[0-9]{2})?)?")


class Measure(enum.StrEnum):
    """What a limit counts."""

    TIMES = "times"
    """Receipts in which the promotion did something."""
    QUANTITY = "qty"
    """Thousandths of pieces that it discounted; what is not counted in pieces is one."""
    DISCOUNT = "discount"
    """Minor units that it gave."""


BUDGET_TIMES: Final = asset_of(AssetKind.BUDGET, Measure.TIMES)
BUDGET_DISCOUNT: Final = asset_of(AssetKind.BUDGET, Measure.DISCOUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one receipt used of one promotion, whose limits are these.

    ``strict``: where it is limited for a customer, a right to it is spent.
    """

    promotion: str
    limits: Limits
    quantity_milli: int
    discount_minor: int
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """What one receipt takes of what everybody together may have of a promotion."""

    promotion: str
    asset: str
    amount: int


def used_of(
    receipt: Receipt, answer: Answer, limited: Mapping[str, Limits], *, strict: bool = False
) -> list[Used]:
    """What the receipt used of the promotions in ``limited``, in the order in which they acted."""
    acted = [promotion for promotion in answer.applied if promotion in limited]
    if not acted:
        return []
    quantity_milli = dict.fromkeys(acted, 0)
    discount_minor = dict.fromkeys(acted, 0)
    countable = {line.line: line.countable for line in receipt.lines}
    for line in answer.lines:
        for applied in line.applied:
            name = applied.promotion
            if name in quantity_milli:
                pieces_milli = applied.quantity_milli if countable[line.line] else _PIECE_MILLI
                quantity_milli[name] += pieces_milli
                discount_minor[name] += applied.discount_minor
    return [
        Used(
            promotion=name,
            limits=limited[name],
            quantity_milli=quantity_milli[name],
            discount_minor=discount_minor[name],
            strict=strict,
        )
        for name in acted
    ]


def customer_uses(used: Iterable[Used], business_date: str) -> list[PromotionUse]:
    """What counts against the limits of the receipt's customer; ``business_date``: shop's day."""
    found: list[PromotionUse] = []
    for each in used:
        mine = each.limits.per_customer
        if mine is None:
            continue
        period = period_of(mine.per, business_date)
        amounts = {
            Measure.TIMES: 1,
            Measure.QUANTITY: each.quantity_milli,
            Measure.DISCOUNT: each.discount_minor,
        }
        for measure, limit in measured(mine).items():
            if amounts[measure] > 0:
                found.append(
                    PromotionUse(
                        promotion=each.promotion,
                        measure=measure.value,
                        period=period,
                        amount=amounts[measure],
                        limit=limit,
                    )
                )
    return found


def budget_uses(used: Iterable[Used]) -> list[BudgetUse]:
    """What it takes of budgets."""
    amounts = [
        BudgetUse(promotion=each.promotion, asset=asset, amount=amount)
        for each in used
        for asset, amount in ((BUDGET_TIMES, 1), (BUDGET_DISCOUNT, each.discount_minor))
        if asset in budgets_of(each.limits)
    ]
    return [each for each in amounts if each.amount > 0]


def limit_asset(promotion: str, measure: str, period: str) -> str:
    """What a customer may still use of a promotion in a period, as a right: the asset's name."""
    return asset_of(AssetKind.LIMIT, f"{promotion}/{measure}/{period}")


def limit_parts(asset: str) -> tuple[str, str, str] | None:
    """Promotion, measure and period of such an asset; None where it is none."""
    kind, name = asset_parts(asset)
    parts = name.rsplit("/", 2)
    if kind != AssetKind.LIMIT or len(parts) != 3 or not parts[0]:
        return None
    return parts[0], parts[1], parts[2]


def measured(limit: CustomerLimit) -> dict[Measure, int]:
    """The measures that a limit of customers bounds, each with its bound."""
    bounds = {
        Measure.TIMES: limit.times,
        Measure.QUANTITY: limit.quantity_milli,
        Measure.DISCOUNT: limit.discount_minor,
    }
    return {measure: bound for measure, bound in bounds.items() if bound is not None}


def budgets_of(limits: Limits) -> dict[str, int]:
    """The budgets of a promotion: by asset, what everybody together may use."""
    bounds = {BUDGET_TIMES: limits.total_times, BUDGET_DISCOUNT: limits.total_discount_minor}
    return {asset: bound for asset, bound in bounds.items() if bound is not None}


def usage_of_customer(limit: CustomerLimit, used: Mapping[Measure, int]) -> Usage:
    """Sums of one customer and period as a receipt has them; nothing used is not named."""
    return Usage(
        times=_of(limit.per, used.get(Measure.TIMES, 0)),
        quantity_milli=_of(limit.per, used.get(Measure.QUANTITY, 0)),
        discount_minor=_of(limit.per, used.get(Measure.DISCOUNT, 0)),
    )


def usage_of_everybody(limits: Limits, rights: Mapping[str, int]) -> Usage:
    """The usage that leaves a receipt what the rights here reach for; ``rights``: by asset.

    What everybody has used is not known in a shop. But what this shop may still give is, so the
    rest of the limit counts as used.
    """
    used = {
        asset: max(bound - rights.get(asset, 0), 0) for asset, bound in budgets_of(limits).items()
    }
    return Usage(
        times=_of("total", used.get(BUDGET_TIMES, 0)),
        discount_minor=_of("total", used.get(BUDGET_DISCOUNT, 0)),
    )


def usage_told(filled: Usage, told: Usage | None) -> Usage:
    """The usage that is known, with what the till itself says in its place."""
    if told is None:
        return filled
    return Usage(
        times={**filled.times, **told.times},
        quantity_milli={**filled.quantity_milli, **told.quantity_milli},
        discount_minor={**filled.discount_minor, **told.discount_minor},
    )


def counted(parts: Iterable[tuple[int, int]], mine: Mapping[int, int]) -> int:
    """What was used in all places: ``parts`` as told, by edge, and ``mine``, this shop's own.

    Each edge's count only grows, so of two the greater one is the newer; whatever order, however
    often they are told.
    """
    greatest = dict(mine)
    for edge_id, amount in parts:
        greatest[edge_id] = max(greatest.get(edge_id, 0), amount)
    return sum(greatest.values())


def period_of(per: str, business_date: str) -> str:
    """The period of a shop's day: ``2026-11-23``, ``2026-W48``, ``2026-11``, ``2026``, ``ever``."""
    if per == "day":
        return business_date
    if per == "week":
        year, week, _ = dt.date.fromisoformat(business_date).isocalendar()
        return f"{year:04d}-W{week:02d}"
    if per == "month":
        return business_date[:7]
    if per == "year":
        return business_date[:4]
    assert per == "lifetime", "the compiler lets no other period in"
    return EVER


def last_day_of(period: str) -> str | None:
    """The last day of a period; None: it does not end.

    Raises:
        ValueError: it has the form of no period.
    """
    if period == EVER:
        return None
    if _PERIOD.fullmatch(period) is None:
        raise ValueError("this is the form of no period")
    if len(period) == len("2026"):
        return dt.date(int(period), 12, 31).isoformat()
    if "W" in period:
        return dt.date.fromisoformat(f"{period}-7").isoformat()
    if len(period) == len("2026-11"):
        first = dt.date.fromisoformat(f"{period}-01")
        return first.replace(day=calendar.monthrange(first.year, first.month)[1]).isoformat()
    return dt.date.fromisoformat(period).isoformat()


def limits_of(promotions: Iterable[tuple[str, Limits | None]]) -> dict[str, Limits]:
    """Of promotions (id, limits), those that are limited for a customer or for everybody."""
    return {
        name: limits
        for name, limits in promotions
        if limits is not None and (limits.per_customer is not None or budgets_of(limits))
    }


def _of(period: str, amount: int) -> dict[str, int]:
    return {period: amount} if amount else {}

"""Which limited promotions a receipt may meet, and what it is told of their use. Pure.

A programme may limit thousands of promotions, and a receipt meets a few of them: only those that
its index offers are looked up and filled in, so that trace and hints are right for them too. A
programme that limits nothing costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from shared.engine.program import Index, Limits, Promotion
from shared.engine.ready import Ready
from shared.uses import (
    Measure,
    Used,
    budget_uses,
    budgets_of,
    limit_asset,
    limits_of,
    measured,
    period_of,
    usage_of_customer,
    usage_of_everybody,
    usage_told,
)
from shared.wire.receipt import Receipt, Usage

_RECEIPTS_AHEAD: Final = 3
"""For so many receipts as this one a shop should have rights, the one at hand among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUses:
    """What is known of the promotions that are offered.

    ``mine``: by promotion, what the receipt's customer used in the present period. ``rights``: by
    promotion and asset, what this receipt may take of its budgets. ``strict``: ``mine`` is what is
    not left of rights that are here.
    """

    mine: Mapping[str, Mapping[Measure, int]] = field(default_factory=dict)
    rights: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    strict: bool = False


NO_USES: Final = KnownUses()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A budget of which this shop should have more: a receipt wanted ``amount`` of it."""

    promotion: str
    asset: str
    amount: int


class Limited:
    """The limited promotions of a programme, by what a receipt reaches them."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        promotions = [each for group in ready.program.groups for each in group.promotions]
        self.limits: Mapping[str, Limits] = limits_of((each.id, each.limits) for each in promotions)
        self.has_customers = any(each.per_customer is not None for each in self.limits.values())
        """Whether any of them is limited for each customer."""
        index = ready.index if self.limits else Index()
        self._everybody = index is None
        self._by = _Reached(promotions, self.limits, index or Index())

    def offered(self, receipt: Receipt) -> Mapping[str, Limits]:
        """Those that may act on this receipt; one that is not among them cannot."""
        if not self.limits or self._everybody:
            return self.limits
        return {name: self.limits[name] for name in self._by.reached(receipt)}


def with_budgets(offered: Mapping[str, Limits]) -> list[str]:
    """Those of which everybody together may have so much."""
    return [name for name, limits in offered.items() if budgets_of(limits)]


def limit_assets(
    offered: Mapping[str, Limits], business_date: str
) -> dict[str, dict[Measure, tuple[str, int]]]:
    """The rights to limits of a customer on this day: by promotion and measure, asset and bound."""
    return {
        name: {
            measure: (limit_asset(name, measure, period_of(mine.per, business_date)), bound)
            for measure, bound in measured(mine).items()
        }
        for name, limits in offered.items()
        for mine in [limits.per_customer]
        if mine is not None
    }


def fill_usage(receipt: Receipt, offered: Mapping[str, Limits], known: KnownUses) -> Receipt:
    """The receipt with what is known of its promotions' use; what the till says itself wins."""
    customer = receipt.customer
    everybody = dict(receipt.usage)
    mine = {} if customer is None else dict(customer.usage)
    for name, limits in offered.items():
        if budgets_of(limits):
            filled = usage_of_everybody(limits, known.rights.get(name, {}))
            everybody[name] = usage_told(filled, receipt.usage.get(name))
        if limits.per_customer is not None and customer is not None:
            filled = usage_of_customer(limits.per_customer, known.mine.get(name, {}))
            mine[name] = usage_told(filled, customer.usage.get(name))
    return replace(
        receipt,
        usage=_that_say(everybody),
        customer=None if customer is None else replace(customer, usage=_that_say(mine)),
    )


def shortages(
    offered: Mapping[str, Limits], known: KnownUses, used: Sequence[Used]
) -> list[Shortage]:
    """Budgets of which nothing is left here, or too little for two such receipts more."""
    taken = {(each.promotion, each.asset): each.amount for each in budget_uses(used)}
    found: list[Shortage] = []
    for name, limits in offered.items():
        for asset in budgets_of(limits):
            left = known.rights.get(name, {}).get(asset, 0)
            amount = taken.get((name, asset), 0)
            if left == 0 or (amount and left < _RECEIPTS_AHEAD * amount):
                found.append(Shortage(promotion=name, asset=asset, amount=max(amount, 1)))
    return found


class _Reached:
    """A program's index, cut down to some of its promotions."""

    def __init__(
        self, promotions: Iterable[Promotion], limits: Mapping[str, Limits], index: Index
    ) -> None:
        self._names = {
            ordinal: each.id for ordinal, each in enumerate(promotions) if each.id in limits
        }

        def cut(places: Mapping[str, list[int]]) -> dict[str, list[int]]:
            found = {
                key: [ordinal for ordinal in ordinals if ordinal in self._names]
                for key, ordinals in places.items()
            }
            return {key: value for key, value in found.items() if value}

        self._always = [ordinal for ordinal in index.always if ordinal in self._names]
        self._sku = cut(index.sku)
        self._brand = cut(index.brand)
        self._category = cut(index.category)
        self._flag = cut(index.flag)
        self._attribute = cut(index.attribute)
        self._coupon = cut(index.coupon)
        self._segment = cut(index.segment)
        self._claim = cut(index.claim)

    def reached(self, receipt: Receipt) -> list[str]:
        """The promotions that stand under anything of this receipt, in their order."""
        found = set(self._always)
        if self._sku:
            _reach(found, self._sku, (line.sku for line in receipt.lines))
        if self._brand:
            _reach(found, self._brand, (line.brand for line in receipt.lines))
        if self._category:
            for category in {line.category for line in receipt.lines if line.category}:
                _reach(found, self._category, _with_all_above(category))
        if self._flag:
            _reach(found, self._flag, (flag for line in receipt.lines for flag in line.flags))
        if self._attribute:
            for line in receipt.lines:
                _reach(found, self._attribute, (f"{k}={v}" for k, v in line.attributes.items()))
        if self._coupon:
            _reach(found, self._coupon, (coupon.code.upper() for coupon in receipt.coupons))
            _reach(found, self._coupon, (coupon.series for coupon in receipt.coupons))
        if self._segment and receipt.customer is not None:
            _reach(found, self._segment, receipt.customer.segments)
        if self._claim:
            _reach(found, self._claim, receipt.claims)
        return [self._names[ordinal] for ordinal in sorted(found)]


def _reach(found: set[int], places: Mapping[str, list[int]], keys: Iterable[str | None]) -> None:
    for key in keys:
        if key is not None and key in places:
            found.update(places[key])


def _with_all_above(category: str) -> Iterable[str]:
    path = category
    while path:
        yield path
        path = path.rpartition("/")[0]


def _that_say(usage: Mapping[str, Usage]) -> dict[str, Usage]:
    return {name: each for name, each in usage.items() if each != Usage()}

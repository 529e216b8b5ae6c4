"""A program made ready for pricing: what a receipt reaches, and each promotion stage by stage.

Made once when a bundle is opened and kept for all receipts. Promotions are prepared when a receipt
first reaches them, so that opening a bundle of many thousands costs little.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from shared.engine.program import (
    Account,
    AccrueChips,
    AccruePoints,
    Active,
    Count,
    DiscountReceipt,
    GiftInfo,
    Index,
    IssueCoupon,
    Message,
    Program,
    Promotion,
    Resolve,
    Result,
    RoundTotal,
    Service,
    SpendPoints,
)
from shared.wire.receipt import Receipt

GOODS: Final = 0
RECEIPT: Final = 1
SPEND: Final = 2
ROUND: Final = 3
ACCRUE: Final = 4
INFORM: Final = 5
STAGES: Final = ("goods", "receipt", "spend", "round", "accrue", "inform")

_ALWAYS_ACTIVE: Final = Active()


def stage_of(result: Result) -> int:
    """The stage in which a result runs."""
    if isinstance(result, DiscountReceipt):
        return RECEIPT
    if isinstance(result, SpendPoints):
        return SPEND
    if isinstance(result, RoundTotal):
        return ROUND
    if isinstance(result, (AccruePoints, AccrueChips, Count)):
        return ACCRUE
    if isinstance(result, (IssueCoupon, Message, GiftInfo, Service)):
        return INFORM
    return GOODS


class Step:
    """One result of a promotion and its place in ``then``."""

    __slots__ = ("index", "result")

    def __init__(self, index: int, result: Result) -> None:
        self.index: int = index
        self.result: Result = result


class Work:
    """A promotion as the stages run it."""

    __slots__ = ("always_active", "group", "ordinal", "promotion", "stages")

    def __init__(self, promotion: Promotion, ordinal: int, group: int) -> None:
        self.promotion: Promotion = promotion
        self.ordinal: int = ordinal
        self.group: int = group
        self.always_active: bool = promotion.active == _ALWAYS_ACTIVE
        self.stages: list[list[Step]] = [[], [], [], [], [], []]
        for index, result in enumerate(promotion.results):
            self.stages[stage_of(result)].append(Step(index, result))


class Ready:
    """A program, ready: promotions by ordinal, groups by the ordinals at which they begin."""

    __slots__ = ("_promotions", "_works", "accounts", "index", "program", "resolves", "starts")

    def __init__(self, program: Program) -> None:
        self.program: Program = program
        self.index: Index | None = program.index
        self.accounts: dict[str, Account] = {account.id: account for account in program.accounts}
        self._promotions: list[Promotion] = []
        self.starts: list[int] = []
        self.resolves: list[Resolve] = []
        for group in program.groups:
            self.starts.append(len(self._promotions))
            self.resolves.append(group.resolve)
            self._promotions.extend(group.promotions)
        self._works: list[Work | None] = [None] * len(self._promotions)

    def work(self, ordinal: int) -> Work:
        """The promotion at this place in the order of evaluation."""
        work = self._works[ordinal]
        if work is None:
            group = bisect_right(self.starts, ordinal) - 1
            work = Work(self._promotions[ordinal], ordinal, group)
            self._works[ordinal] = work
        return work

    def candidates(self, receipt: Receipt, *, everybody: bool) -> list[Work]:
        """The promotions that may act on this receipt, in the order of evaluation."""
        index = self.index
        if index is None or everybody:
            return [self.work(ordinal) for ordinal in range(len(self._promotions))]
        found: set[int] = set(index.always)
        categories: set[str] = set()
        brands: set[str] = set()
        for line in receipt.lines:
            _reach(found, index.sku, line.sku)
            brand = line.brand
            if brand is not None and brand not in brands:
                brands.add(brand)
                _reach(found, index.brand, brand)
            path = line.category
            while path and path not in categories:
                categories.add(path)
                _reach(found, index.category, path)
                path = path.rpartition("/")[0]
            if line.flags and index.flag:
                for flag in line.flags:
                    _reach(found, index.flag, flag)
            if line.attributes and index.attribute:
                for key, value in line.attributes.items():
                    _reach(found, index.attribute, f"{key}={value}")
        if receipt.coupons and index.coupon:
            for coupon in receipt.coupons:
                if coupon.series is not None:
                    _reach(found, index.coupon, coupon.series)
                _reach(found, index.coupon, coupon.code.upper())
        if receipt.customer is not None and index.segment:
            for segment in receipt.customer.segments:
                _reach(found, index.segment, segment)
        if receipt.claims and index.claim:
            for claim in receipt.claims:
                _reach(found, index.claim, claim)
        return [self.work(ordinal) for ordinal in sorted(found)]


def _reach(found: set[int], ordinals: dict[str, list[int]], key: str) -> None:
    reached = ordinals.get(key)
    if reached is not None:
        found.update(reached)

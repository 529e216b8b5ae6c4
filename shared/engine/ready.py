"""A program made ready for pricing: what a receipt reaches, and each promotion stage by stage.

Made once when a bundle is opened and kept for all receipts. Promotions are prepared when a receipt
first reaches them, so that opening a bundle of many thousands costs little.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from shared.engine.active import Period
from shared.engine.filters import Wanted
from shared.engine.program import (
    Account,
    AccrueChips,
    AccruePoints,
    Active,
    ChipsPrice,
    Condition,
    Cost,
    Count,
    CounterNth,
    DiscountGoods,
    DiscountReceipt,
    ExternalDiscount,
    GiftGoods,
    GiftInfo,
    GoodsSet,
    Index,
    IssueCoupon,
    ManualDiscount,
    Message,
    Nth,
    Program,
    Promotion,
    Resolve,
    Result,
    RoundTotal,
    Service,
    SetPrice,
    SpendPoints,
)
from shared.engine.shelves import Shelves
from shared.wire.receipt import Receipt

GOODS: Final = 0
RECEIPT: Final = 1
SPEND: Final = 2
ROUND: Final = 3
ACCRUE: Final = 4
INFORM: Final = 5
STAGES: Final = ("goods", "receipt", "spend", "round", "accrue", "inform")

_ALWAYS_ACTIVE: Final = Active()

# Results on goods; every other class is known by its stage or asked for.
OTHER: Final = 0
DISCOUNT_GOODS: Final = 1
SET_PRICE: Final = 2
NTH: Final = 3
GOODS_SET: Final = 4
GIFT_GOODS: Final = 5
CHIPS_PRICE: Final = 6
COUNTER_NTH: Final = 7
MANUAL: Final = 8
EXTERNAL: Final = 9
_KINDS: Final[dict[type, int]] = {
    DiscountGoods: DISCOUNT_GOODS,
    SetPrice: SET_PRICE,
    Nth: NTH,
    GoodsSet: GOODS_SET,
    GiftGoods: GIFT_GOODS,
    ChipsPrice: CHIPS_PRICE,
    CounterNth: COUNTER_NTH,
    ManualDiscount: MANUAL,
    ExternalDiscount: EXTERNAL,
}


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
    """One result of a promotion, its kind, and its place in ``then``."""

    __slots__ = ("index", "kind", "result")

    def __init__(self, index: int, result: Result) -> None:
        self.index: int = index
        self.result: Result = result
        self.kind: int = _KINDS.get(type(result), OTHER)
        """Which class the result has, if it is one on goods: sooner asked than the class."""


class Work:
    """A promotion as the stages run it, with a copy of what they ask all the time."""

    __slots__ = (
        "cost",
        "family",
        "group",
        "id",
        "is_bounded",
        "on_claim",
        "ordinal",
        "period",
        "promotion",
        "skips",
        "stack",
        "stages",
        "when",
    )

    def __init__(self, promotion: Promotion, ordinal: int, group: int) -> None:
        self.promotion: Promotion = promotion
        self.ordinal: int = ordinal
        self.group: int = group
        self.id: str = promotion.id
        active = promotion.active
        self.period: Period | None = None if active == _ALWAYS_ACTIVE else Period(active)
        """None: always."""
        self.when: Condition | None = promotion.when
        self.stack: bool = promotion.stack
        self.family: str | None = promotion.only_one_of
        self.on_claim: bool = promotion.on_claim
        self.cost: Cost | None = promotion.cost
        limits = promotion.limits
        self.skips: bool = limits is not None and limits.skip
        self.is_bounded: bool = (
            limits is not None or promotion.on_claim or promotion.cost is not None
        )
        """Whether limits, a claim or a cost may keep it from acting."""
        self.stages: list[list[Step]] = [[], [], [], [], [], []]
        for index, result in enumerate(promotion.results):
            self.stages[stage_of(result)].append(Step(index, result))


class Ready:
    """A program, ready: promotions by ordinal, groups by the ordinals at which they begin."""

    __slots__ = (
        "_promotions",
        "_works",
        "accounts",
        "filters",
        "index",
        "program",
        "resolves",
        "starts",
    )

    def __init__(self, program: Program) -> None:
        self.program: Program = program
        self.index: Index | None = program.index
        self.accounts: dict[str, Account] = {account.id: account for account in program.accounts}
        self.filters: dict[int, Wanted] = {}
        """Filters of the program that some receipt was held against, by identity."""
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

    def everybody(self) -> list[Work]:
        """All promotions, in the order of evaluation."""
        return [self.work(ordinal) for ordinal in range(len(self._promotions))]

    def candidates(self, receipt: Receipt, shelves: Shelves) -> list[Work]:
        """The promotions that may act on this receipt, whose lines stand on these shelves.

        In the order of evaluation.
        """
        index = self.index
        if index is None:
            return self.everybody()
        found: set[int] = set(index.always)
        _reach(found, index.sku, shelves.by_sku.lines)
        _reach(found, index.brand, shelves.by_brand.lines)
        _reach(found, index.category, shelves.by_category.lines)
        if index.flag:
            _reach(found, index.flag, [flag for line in receipt.lines for flag in line.flags])
        if index.attribute:
            for line in receipt.lines:
                _reach(found, index.attribute, [f"{k}={v}" for k, v in line.attributes.items()])
        for coupon in receipt.coupons:
            names = [coupon.code.upper()]
            if coupon.series is not None:
                names.append(coupon.series)
            _reach(found, index.coupon, names)
        if receipt.customer is not None:
            _reach(found, index.segment, receipt.customer.segments)
        _reach(found, index.claim, receipt.claims)
        return [self.work(ordinal) for ordinal in sorted(found)]


def _reach(found: set[int], ordinals: dict[str, list[int]], names: Iterable[str]) -> None:
    for name in names:
        reached = ordinals.get(name)
        if reached is not None:
            found.update(reached)

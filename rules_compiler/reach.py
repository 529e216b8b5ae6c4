"""By which keys of a receipt a promotion is reached.

The problem: ten thousand promotions, a receipt of fifty lines, and only thirty of them can do
anything. Two examples that pull apart: "a tenth off these ten articles" is found by the articles;
"with coupon X, a tenth off everything" is found by the coupon alone. So each promotion gets ONE set
of keys such that, with none of them in the receipt, none of its results can do anything, not even
move a counter, and no hint can be given for it; of the sets that have this property, the one that
the fewest receipts meet. Where none has it, or nearly every receipt would meet it, the promotion is
always a candidate: that is never wrong, only slower.

Hints (section 10) are given where only goods are missing: for a condition on a quantity or a sum
that holds in part, even if nothing in the receipt matches the results. Hence the filters of results
tell nothing where the condition has such a leaf.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.engine.program import (
    AccrueChips,
    AccruePoints,
    AllOf,
    AnyLine,
    AnyOf,
    ChipsPrice,
    Condition,
    Count,
    CounterIs,
    CounterNth,
    CouponShown,
    CustomerIs,
    DiscountGoods,
    DiscountReceipt,
    Distinct,
    ExternalDiscount,
    Filter,
    GiftGoods,
    GiftInfo,
    GoodsSet,
    IssueCoupon,
    ManualDiscount,
    Not,
    Nth,
    PerSum,
    Promotion,
    Quantity,
    Result,
    SetPrice,
    Span,
    Total,
)

ALWAYS_PPM: Final = 1_000_000
"""Met by every receipt."""
_SKU_PPM: Final = 500
_COUPON_PPM: Final = 500
_BRAND_PPM: Final = 50_000
_SEGMENT_PPM: Final = 100_000
_ATTRIBUTE_PPM: Final = 100_000
_FLAG_PPM: Final = 150_000
_CATEGORY_PPM: Final = (700_000, 250_000, 80_000, 30_000)
"""By depth. Rough parts of receipts that meet such a key: only their order matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Keys by kind (a field of ``program.Index``), and roughly how many receipts have one."""

    keys: dict[str, frozenset[str]]
    ppm: int


NEVER: Final = Reach(keys={}, ppm=0)
ALWAYS: Final = Reach(keys={}, ppm=ALWAYS_PPM)


def reach_of(promotion: Promotion) -> Reach:
    """The most selective necessary keys of a promotion."""
    if promotion.on_claim:
        return Reach(keys={"claim": frozenset({promotion.id})}, ppm=0)
    choices: list[Reach] = []
    if promotion.when is not None:
        choices.append(_of_condition(promotion.when))
    if promotion.when is None or not _may_hint(promotion.when):
        choices.append(_union(_of_result(result) for result in promotion.results))
    return _best(choices)


def _one_kind(kind: str, keys: frozenset[str], ppm_each: int) -> Reach:
    ppm = min(len(keys) * ppm_each, ALWAYS_PPM)
    return ALWAYS if ppm == ALWAYS_PPM else Reach(keys={kind: keys}, ppm=ppm)


def _union(parts: Iterable[Reach]) -> Reach:
    """What is reached by any of the parts."""
    keys: dict[str, frozenset[str]] = {}
    ppm = 0
    for part in parts:
        ppm += part.ppm
        if ppm >= ALWAYS_PPM:
            return ALWAYS
        for kind, values in part.keys.items():
            keys[kind] = keys.get(kind, frozenset()) | values
    return Reach(keys=keys, ppm=ppm)


def _best(choices: Iterable[Reach]) -> Reach:
    """Of several that are all necessary, the most selective."""
    return min(choices, key=lambda reach: reach.ppm, default=ALWAYS)


def _of_filter(wanted: Filter) -> Reach:
    """Without any of these keys no line matches."""
    choices: list[Reach] = []
    for kind, keys, ppm in (
        ("sku", wanted.skus, _SKU_PPM),
        ("brand", wanted.brands, _BRAND_PPM),
        ("flag", wanted.flags, _FLAG_PPM),
    ):
        if keys is not None:
            choices.append(_one_kind(kind, keys, ppm))
    if wanted.lists is not None:
        choices.append(_union(_of_filter(each) for each in wanted.lists))
    for test in wanted.attributes:
        if test.values is not None:
            pairs = frozenset(f"{test.key}={value}" for value in test.values)
            choices.append(_one_kind("attribute", pairs, _ATTRIBUTE_PPM))
    if wanted.categories is not None:
        choices.append(_union(_of_category(each) for each in wanted.categories))
    return _best(choices)


def _of_category(category: str) -> Reach:
    depth = min(category.count("/"), len(_CATEGORY_PPM) - 1)
    return _one_kind("category", frozenset({category}), _CATEGORY_PPM[depth])


def _of_condition(condition: Condition) -> Reach:
    """Without any of these keys the condition neither holds nor lacks only some more goods."""
    match condition:
        case AllOf(parts=parts):
            return _best(_of_condition(part) for part in parts)
        case AnyOf(parts=parts):
            return _union(_of_condition(part) for part in parts)
        case CouponShown(series=series, codes=codes):
            return _one_kind("coupon", series | codes, _COUPON_PPM)
        case CustomerIs(segments=segments) if segments is not None:
            return _one_kind("segment", segments, _SEGMENT_PPM)
        case AnyLine(filter=wanted):
            return _of_filter(wanted)
        case Total() | Quantity() | Distinct():
            return _of_filter(condition.filter) if _asks(condition.span) else ALWAYS
        case _:
            return ALWAYS


def _asks(span: Span) -> bool:
    """Whether nothing at all is too little."""
    return span.low is not None and span.low > 0


def _may_hint(condition: Condition) -> bool:
    """Whether more goods could make the condition hold."""
    match condition:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return any(_may_hint(part) for part in parts)
        case Not(part=part):
            return _may_hint(part)
        case Total() | Quantity() | Distinct() | AnyLine():
            return _asks(condition.span)
        case CounterIs(with_current=with_current):
            return with_current is not None
        case _:
            return False


def _of_result(result: Result) -> Reach:
    """Without any of these keys the result does nothing."""
    match result:
        case GoodsSet(slots=slots):
            # Not the rarest slot: one piece of any slot is enough for a hint.
            return _union(_of_filter(slot.filter) for slot in slots)
        case DiscountGoods(by_category=rates) if rates is not None:
            rated = _union(_of_category(each.category) for each in rates)
            return _best((_of_filter(result.filter), rated))
        case GiftGoods(per=per):
            return _best((_of_filter(result.filter), _of_per(per)))
        case (
            DiscountGoods()
            | SetPrice()
            | Nth()
            | ChipsPrice()
            | CounterNth()
            | ManualDiscount()
            | ExternalDiscount()
            | DiscountReceipt()
            | AccruePoints()
            | AccrueChips()
        ):
            return _of_filter(result.filter)
        case Count(reset=reset):
            return ALWAYS if reset else _of_filter(result.filter)
        case IssueCoupon(per=per) | GiftInfo(per=per):
            return _of_per(per)
        case _:
            # What an account could pay is told even where it is nothing; texts need no goods.
            return ALWAYS


def _of_per(per: PerSum | None) -> Reach:
    return ALWAYS if per is None or per.filter is None else _of_filter(per.filter)

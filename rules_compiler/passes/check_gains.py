"""Results that give nothing whatever the receipt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import enabled, results
from rules_compiler.warn import warning
from shared.engine.program import (
    AccrueChips,
    AccruePoints,
    ChipsPrice,
    DiscountGoods,
    DiscountReceipt,
    GiftGoods,
    GiftInfo,
    GoodsSet,
    IssueCoupon,
    ManualDiscount,
    Nth,
    PerSum,
    Result,
    SpendPoints,
)
from shared.money import PPM

_BOUNDS: Final = ("quantity_max", "cap_minor", "count_max", "cap_centi", "cap_day_centi")


def check_gains(document: Document) -> Iterator[Diagnostic]:
    """Warn of percents, sums and numbers of zero, and of caps that let nothing through."""
    for written in enabled(document):
        for result, place in results(written):
            bounds = [getattr(result, bound, None) for bound in _BOUNDS]
            if 0 in bounds or not _gives(result):
                yield warning(
                    place,
                    "gives_nothing",
                    "this result gives nothing, whatever the receipt",
                    "Say how much it gives, or take it out.",
                )


def _gives(result: Result) -> bool:
    match result:
        case DiscountGoods():
            return _goods_give(result)
        case Nth() | ChipsPrice():
            ladder = getattr(result, "ladder", None) or []
            return (
                result.price_minor is not None
                or bool(result.percent_ppm)
                or any(step.percent_ppm for step in ladder)
            )
        case GoodsSet():
            return _set_gives(result)
        case GiftGoods(per=per, quantity=quantity) | GiftInfo(per=per, quantity=quantity):
            return _number_gives(per, quantity)
        case IssueCoupon(per=per, count=count):
            return _number_gives(per, count)
        case ManualDiscount(percent_ppm_max=most) | SpendPoints(max_percent_ppm=most):
            return most > 0
        case DiscountReceipt():
            return _receipt_gives(result)
        case AccruePoints():
            return _points_give(result)
        case AccrueChips(per=per, fixed=fixed):
            return _number_gives(per, fixed or 0)
        case _:
            return True


def _number_gives(per: PerSum | None, otherwise: int) -> bool:
    return (otherwise if per is None else per.count) > 0


def _goods_give(result: DiscountGoods) -> bool:
    given = [result.percent_ppm, result.amount_each_minor, result.amount_minor]
    given += result.piece_ppms or []
    given += [] if result.tiers is None else [step.value for step in result.tiers.steps]
    given += [] if result.by_category is None else [rate.percent_ppm for rate in result.by_category]
    return any(given)


def _set_gives(result: GoodsSet) -> bool:
    if result.price_minor is not None or result.percent_ppm or result.amount_minor:
        return True
    return any(slot.price_minor is not None or slot.percent_ppm for slot in result.slots)


def _receipt_gives(result: DiscountReceipt) -> bool:
    if result.price_minor is not None:
        return True
    given = [result.percent_ppm, result.amount_minor]
    given += [result.per_amount_minor, result.above_percent_ppm]
    given += [step.value for step in result.tiers or []]
    return any(given)


def _points_give(result: AccruePoints) -> bool:
    if result.multiply_ppm is not None:
        return result.multiply_ppm > PPM
    given = [result.percent_ppm, result.fixed_centi, result.per_points_centi]
    given += list((result.by_level_ppm or {}).values())
    return any(given)

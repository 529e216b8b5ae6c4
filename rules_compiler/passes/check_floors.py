"""Discounts that the programme's own floor takes back."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import enabled, results
from rules_compiler.warn import warning
from shared.engine.program import (
    ChipsPrice,
    DiscountGoods,
    DiscountReceipt,
    GoodsSet,
    Nth,
    Result,
    Value,
)
from shared.engine.ready import GOODS, RECEIPT, stage_of
from shared.money import PPM


def check_floors(document: Document) -> Iterator[Diagnostic]:
    """Warn of discounts above ``max_discount``, unless the promotion disregards it."""
    most = document.program.max_discount_ppm
    if most >= PPM:
        return
    shown = _percent(most)
    for written in enabled(document):
        if written.promotion.ignore_floor:
            continue
        for result, place in results(written):
            if stage_of(result) not in (GOODS, RECEIPT):
                continue
            if most == 0:
                yield warning(
                    place,
                    "floor_voids",
                    "the programme's max_discount of 0 leaves this nothing to give, "
                    "but on lines that have a max_discount of their own",
                    "Raise max_discount, or set ignore_floor.",
                )
            elif (highest := max(_percents(result), default=0)) > most:
                yield warning(
                    place,
                    "floor_cuts",
                    f"{_percent(highest)} % is cut to the programme's max_discount of {shown} %, "
                    "but on lines that have a max_discount of their own",
                    "Lower the percent, raise max_discount, or set ignore_floor.",
                )


def _percents(result: Result) -> Iterator[int]:
    """All the percents that a result may give."""
    match result:
        case DiscountGoods(percent_ppm=rate, tiers=tiers, piece_ppms=rates, by_category=categories):
            yield rate or 0
            yield from rates or ()
            yield from (each.percent_ppm for each in categories or ())
            if tiers is not None and tiers.gives is Value.PERCENT:
                yield from (step.value for step in tiers.steps)
        case Nth(percent_ppm=rate):
            yield rate or 0
        case GoodsSet(percent_ppm=rate, slots=slots):
            yield rate or 0
            yield from (slot.percent_ppm or 0 for slot in slots)
        case ChipsPrice(percent_ppm=rate, ladder=ladder):
            yield rate or 0
            yield from (step.percent_ppm for step in ladder or ())
        case DiscountReceipt(percent_ppm=rate, tiers=steps, tiers_in_money=in_money):
            yield rate or 0
            if not in_money:
                yield from (step.value for step in steps or ())


def _percent(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".")

"""Sums and prices against the prices that they can meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.filter_logic import price_high
from rules_compiler.promotions import Written
from rules_compiler.walk import below, conjuncts, enabled, results, root
from rules_compiler.warn import warning
from shared.engine.program import (
    EVERYTHING,
    ChipsPrice,
    CounterNth,
    DiscountGoods,
    DiscountReceipt,
    GiftGoods,
    GoodsSet,
    Nth,
    Result,
    SetPrice,
    Total,
    Value,
)
from shared.money import format_minor
from shared.wire.reading import Place

_FREE: Final = "All goes down to nothing or to its floor: lower the amount if that is not meant."
_NO_GAIN: Final = "The result never lowers a price: lower the price, or widen the filter."


def check_prices(document: Document) -> Iterator[Diagnostic]:
    """Warn of amounts above every price that can be met, and of prices that lower none."""
    for written in enabled(document):
        for result, place in results(written):
            yield from _of_goods(result, place)
            if isinstance(result, DiscountReceipt):
                yield from _of_receipt(written, result, place)


def _of_goods(result: Result, place: Place) -> Iterator[Diagnostic]:
    match result:
        case GoodsSet():
            yield from _of_set(result, place)
        case DiscountGoods(filter=wanted, amount_each_minor=each, tiers=tiers):
            high = price_high(wanted)
            yield from _above(below(place, "amount_each"), each, high)
            if tiers is not None and tiers.gives is Value.AMOUNT_EACH:
                most = max(step.value for step in tiers.steps)
                yield from _above(below(place, "tiers", "steps"), most, high)
        case (
            SetPrice(filter=wanted, price_minor=price)
            | Nth(filter=wanted, price_minor=price)
            | ChipsPrice(filter=wanted, price_minor=price)
            | GiftGoods(filter=wanted, price_minor=price)
            | CounterNth(filter=wanted, price_minor=price)
        ):
            yield from _not_below(below(place, "price"), price, price_high(wanted))


def _of_set(result: GoodsSet, place: Place) -> Iterator[Diagnostic]:
    whole_minor: int | None = 0
    for index, slot in enumerate(result.slots):
        high = price_high(slot.filter)
        yield from _not_below(below(place, "slots", index, "price"), slot.price_minor, high)
        if whole_minor is not None:
            whole_minor = None if high is None else whole_minor + high * slot.quantity
    yield from _not_below(below(place, "price"), result.price_minor, whole_minor, "the set")
    yield from _above(below(place, "amount"), result.amount_minor, whole_minor, "the set")


def _of_receipt(written: Written, result: DiscountReceipt, place: Place) -> Iterator[Diagnostic]:
    """The condition on the whole receipt bounds what there is to discount."""
    highs = [
        condition.span.high
        for condition, _ in conjuncts(root(written))
        if isinstance(condition, Total)
        and condition.filter == EVERYTHING
        and condition.span.high is not None
    ]
    high = min(highs, default=None)
    yield from _above(below(place, "amount"), result.amount_minor, high, "the receipt")
    yield from _not_below(below(place, "price"), result.price_minor, high, "the receipt")


def _above(
    place: Place, amount: int | None, high: int | None, what: str = "anything it can meet"
) -> Iterator[Diagnostic]:
    if amount is not None and high is not None and amount > high:
        yield warning(
            place,
            "amount_above_price",
            f"{format_minor(amount)} is more than {what} costs, at most {format_minor(high)}",
            _FREE,
        )


def _not_below(
    place: Place, price: int | None, high: int | None, what: str = "anything it can meet"
) -> Iterator[Diagnostic]:
    if price is not None and high is not None and price >= high:
        yield warning(
            place,
            "price_never_lower",
            f"{format_minor(price)} is no less than {what} costs, at most {format_minor(high)}",
            _NO_GAIN,
        )

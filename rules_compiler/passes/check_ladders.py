"""Steps that are never reached, or that give less than a lower one."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.filter_logic import covers, skus_of
from rules_compiler.promotions import Written
from rules_compiler.walk import below, conjuncts, enabled, results, root
from rules_compiler.warn import warning
from shared.engine.program import (
    EVERYTHING,
    ChipsPrice,
    DiscountGoods,
    DiscountReceipt,
    Filter,
    Measure,
    Quantity,
    Step,
    Total,
)
from shared.money import format_minor
from shared.quantity import format_quantity
from shared.wire.reading import Place


def check_ladders(document: Document) -> Iterator[Diagnostic]:
    """Warn of such steps in ``tiers`` of goods and receipts and in ladders of chips."""
    for written in enabled(document):
        for result, place in results(written):
            if isinstance(result, DiscountGoods) and result.tiers is not None:
                tiers, at = result.tiers, below(place, "tiers", "steps")
                yield from _less(tiers.steps, tiers.by, at)
                yield from _beyond(
                    tiers.steps, _most(written, result.filter, tiers.by), tiers.by, at
                )
            elif isinstance(result, DiscountReceipt) and result.tiers is not None:
                steps, at = result.tiers, below(place, "tiers")
                yield from _less(steps, Measure.TOTAL, at)
                most = _most(written, EVERYTHING, Measure.TOTAL)
                yield from _beyond(steps, most, Measure.TOTAL, at)
            elif isinstance(result, ChipsPrice) and result.ladder is not None:
                rates = [Step(bound=s.chips, value=s.percent_ppm) for s in result.ladder]
                yield from _less(rates[::-1], Measure.DISTINCT, below(place, "ladder"))


def _less(steps: list[Step], by: Measure, place: Place) -> Iterator[Diagnostic]:
    """Steps by ascending bound that give less than one before them."""
    highest: Step | None = None
    for step in steps:
        if highest is not None and step.value < highest.value:
            yield warning(
                place,
                "step_gives_less",
                f"the step from {_text(step.bound, by)} gives less "
                f"than the one from {_text(highest.bound, by)}",
                "Who reaches more gets less: look at the values of the steps.",
            )
        else:
            highest = step


def _beyond(steps: list[Step], most: int | None, by: Measure, place: Place) -> Iterator[Diagnostic]:
    for step in steps:
        if most is not None and step.bound > most:
            yield warning(
                place,
                "unreachable_step",
                f"the step from {_text(step.bound, by)} cannot be reached: "
                f"there are at most {_text(most, by)}",
                "Take the step out, or look at the condition and the filter.",
            )


def _most(written: Written, wanted: Filter, by: Measure) -> int | None:
    """The most that the matching lines can measure where the promotion acts."""
    bounds: list[int | None] = []
    if by is Measure.DISTINCT:
        skus = skus_of(wanted)
        bounds.append(None if skus is None else len(skus))
    for condition, _ in conjuncts(root(written)):
        match by, condition:
            case Measure.TOTAL, Total(filter=wide, span=span):
                bounds.append(span.high if covers(wide, wanted) else None)
            case Measure.QUANTITY, Quantity(filter=wide, span=span, in_base_units=False):
                bounds.append(span.high if covers(wide, wanted) else None)
    return min((bound for bound in bounds if bound is not None), default=None)


def _text(bound: int, by: Measure) -> str:
    if by is Measure.TOTAL:
        return format_minor(bound)
    return format_quantity(bound) if by is Measure.QUANTITY else str(bound)

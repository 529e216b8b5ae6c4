"""Limits that leave nothing, or that count what the promotion has not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import below, enabled
from rules_compiler.warn import warning
from shared.engine.program import Limits
from shared.engine.ready import GOODS, stage_of

_HINT: Final = "Raise the limit, or leave it out."


def check_limits(document: Document) -> Iterator[Diagnostic]:
    """Warn of limits of zero, and of limits of pieces where nothing discounts pieces."""
    for written in enabled(document):
        limits = written.promotion.limits
        if limits is None:
            continue
        place = below(written.place, "limits")
        for steps, value in _bounds(limits):
            if value == 0:
                yield warning(below(place, *steps), "zero_limit", "the limit leaves nothing", _HINT)
        if all(stage_of(result) != GOODS for result in written.promotion.results):
            for steps, value in _of_pieces(limits):
                if value is not None:
                    yield warning(
                        below(place, *steps),
                        "limit_without_goods",
                        "the limit counts pieces, and no result of the promotion discounts any",
                        "Limit 'times' or 'discount' instead.",
                    )


def _of_pieces(limits: Limits) -> Iterator[tuple[tuple[str, ...], int | None]]:
    yield ("per_receipt",), limits.per_receipt
    if limits.per_customer is not None:
        yield ("per_customer", "qty"), limits.per_customer.quantity_milli


def _bounds(limits: Limits) -> Iterator[tuple[tuple[str, ...], int | None]]:
    yield ("per_receipt",), limits.per_receipt
    yield ("total", "times"), limits.total_times
    yield ("total", "discount"), limits.total_discount_minor
    if limits.per_customer is not None:
        yield ("per_customer", "times"), limits.per_customer.times
        yield ("per_customer", "qty"), limits.per_customer.quantity_milli
        yield ("per_customer", "discount"), limits.per_customer.discount_minor

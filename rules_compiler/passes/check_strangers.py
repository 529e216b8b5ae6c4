"""Promotions for strangers with results that only known customers get."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.contradictions import STRANGER
from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.promotions import Written
from rules_compiler.walk import below, conjuncts, enabled, results, root
from rules_compiler.warn import warning
from shared.engine.program import (
    AccrueChips,
    AccruePoints,
    ChipsPrice,
    Count,
    CounterNth,
    SpendPoints,
)
from shared.wire.reading import Place

_ONLY_KNOWN = (AccruePoints, AccrueChips, Count, SpendPoints, ChipsPrice, CounterNth)


def check_strangers(document: Document) -> Iterator[Diagnostic]:
    """Warn of points, chips, counters, costs and personal limits where nobody is known."""
    for written in enabled(document):
        if any(condition == STRANGER for condition, _ in conjuncts(root(written))):
            for place in _for_the_known(written):
                yield warning(
                    place,
                    "anonymous_only",
                    "this needs a known customer, and the promotion only acts without one",
                    "Take out 'identified': false, or this.",
                )


def _for_the_known(written: Written) -> Iterator[Place]:
    for result, place in results(written):
        if isinstance(result, _ONLY_KNOWN):
            yield place
    promotion = written.promotion
    if promotion.cost is not None:
        yield below(written.place, "cost")
    if promotion.limits is not None and promotion.limits.per_customer is not None:
        yield below(written.place, "limits", "per_customer")

"""Promotions that speak of promotions that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import conditions, enabled, root
from rules_compiler.warn import warning
from shared.engine.program import Applied


def check_references(document: Document) -> Iterator[Diagnostic]:
    """Warn where ``applied`` or ``not_applied`` names no enabled promotion of the programme."""
    known = {written.promotion.id for written in enabled(document)}
    for written in enabled(document):
        for node in conditions(root(written)):
            condition = node[0]
            if not isinstance(condition, Applied) or condition.promotions <= known:
                continue
            key = "applied" if condition.wanted else "not_applied"
            place = node[1].child(key, node[1].value[key])
            for name in sorted(condition.promotions - known):
                yield warning(
                    place.child(place.value.index(name), name),
                    "unknown_promotion",
                    f"{name!r} is no enabled promotion of this programme, so it never acts",
                    "Correct the id, or enable that promotion.",
                )

"""Filters of results that no line can match."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.filter_logic import EARN_NOTHING, KEPT_AWAY, only_flagged, why_nothing_matches
from rules_compiler.walk import enabled, filters_of_result, results
from rules_compiler.warn import warning
from shared.engine.program import AccrueChips, AccruePoints, Count, Filter, Result


def check_filters(document: Document) -> Iterator[Diagnostic]:
    """Warn of each: the result does nothing."""
    for written in enabled(document):
        for result, place in results(written):
            for wanted, at in filters_of_result(result, place):
                why = _why(result, wanted)
                if why is not None:
                    yield warning(
                        at,
                        "matches_nothing",
                        f"no line can match this filter: {why}",
                        "The result never does anything: correct the filter.",
                    )


def _why(result: Result, wanted: Filter) -> str | None:
    earns = isinstance(result, AccruePoints | AccrueChips | Count)
    if only_flagged(wanted, EARN_NOTHING if earns else KEPT_AWAY):
        return "lines with these flags earn nothing" if earns else "results keep off these flags"
    return why_nothing_matches(wanted)

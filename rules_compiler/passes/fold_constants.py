"""Conditions without parts that hold for every receipt, or for none."""

from __future__ import annotations

from typing import Final

from rules_compiler.document import Document
from shared.engine.program import AllOf, AnyOf, Condition, Distinct, Not, Quantity, Total

TRUE: Final = AllOf(parts=[])
FALSE: Final = AnyOf(parts=[])


def fold_constants(document: Document) -> Document:
    """What always holds is left out; what never does stops the promotion by itself.

    Leaves that cannot hold stay: the trace shall name them and the value seen.
    """
    return document.with_conditions(_folded)


def _folded(condition: Condition) -> Condition | None:
    folded = _fold(condition)
    return None if folded == TRUE else folded


def _fold(condition: Condition) -> Condition:
    match condition:
        case Not(part=part):
            inner = _fold(part)
            return FALSE if inner == TRUE else TRUE if inner == FALSE else Not(part=inner)
        case AllOf(parts=parts):
            kept = [each for each in map(_fold, parts) if each != TRUE]
            return FALSE if FALSE in kept else _joined(kept, AllOf(parts=kept))
        case AnyOf(parts=parts):
            kept = [each for each in map(_fold, parts) if each != FALSE]
            return TRUE if TRUE in kept else _joined(kept, AnyOf(parts=kept))
        case Total(span=span) | Quantity(span=span) | Distinct(span=span):
            return TRUE if span.high is None and (span.low or 0) <= 0 else condition
        case _:
            return condition


def _joined(kept: list[Condition], whole: Condition) -> Condition:
    return kept[0] if len(kept) == 1 else whole

"""Conditions without needless levels."""

from __future__ import annotations

from rules_compiler.document import Document
from shared.engine.program import AllOf, AnyOf, Condition, Not


def normalize_conditions(document: Document) -> Document:
    """``all`` in ``all`` and ``any`` in ``any`` become one; what is said twice is said once."""
    return document.with_conditions(_normal)


def _normal(condition: Condition) -> Condition:
    match condition:
        case Not(part=Not(part=part)):
            return _normal(part)
        case Not(part=part):
            return Not(part=_normal(part))
        case AllOf(parts=parts):
            flat = _flat(parts, AllOf)
            return flat[0] if len(flat) == 1 else AllOf(parts=flat)
        case AnyOf(parts=parts):
            flat = _flat(parts, AnyOf)
            return flat[0] if len(flat) == 1 else AnyOf(parts=flat)
        case _:
            return condition


def _flat(parts: list[Condition], kind: type[AllOf | AnyOf]) -> list[Condition]:
    """The parts in their order: of a receipt that fails, the trace tells the first that does."""
    flat: list[Condition] = []
    for part in parts:
        normal = _normal(part)
        for each in normal.parts if isinstance(normal, kind) else [normal]:
            if each not in flat:
                flat.append(each)
    return flat

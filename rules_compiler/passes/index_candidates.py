"""By what a receipt reaches its candidates."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from rules_compiler.document import Document
from rules_compiler.reach import ALWAYS_PPM, reach_of
from shared.engine.program import Index


def index_candidates(document: Document) -> Document:
    """The document whose program has its index, which changes no answer, only the time taken."""
    by_kind: dict[str, dict[str, list[int]]] = {
        kind: {} for kind in Index.__struct_fields__ if kind != "always"
    }
    always: list[int] = []
    promotions = (each for group in document.program.groups for each in group.promotions)
    for ordinal, promotion in enumerate(promotions):
        reach = reach_of(promotion)
        if reach.ppm >= ALWAYS_PPM:
            always.append(ordinal)
        for kind, keys in reach.keys.items():
            ordinals = by_kind[kind]
            for key in keys:
                ordinals.setdefault(key, []).append(ordinal)
    # Sets have no order of their own: sorted, so that the bytes are always the same.
    sorted_kinds = {kind: dict(sorted(found.items())) for kind, found in by_kind.items()}
    index = Index(**sorted_kinds, always=always)
    program = msgspec.structs.replace(document.program, index=index)
    return replace(document, program=program)

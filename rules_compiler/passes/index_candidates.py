"""By what a receipt reaches its candidates."""

from __future__ import annotations

import msgspec

from rules_compiler.reach import ALWAYS_PPM, reach_of
from shared.engine.program import Index, Program


def index_candidates(program: Program) -> Program:
    """The program with its index: evaluating with and without it gives the same answers."""
    by_kind: dict[str, dict[str, list[int]]] = {
        kind: {} for kind in Index.__struct_fields__ if kind != "always"
    }
    always: list[int] = []
    promotions = (each for group in program.groups for each in group.promotions)
    for ordinal, promotion in enumerate(promotions):
        reach = reach_of(promotion)
        if reach.ppm >= ALWAYS_PPM:
            always.append(ordinal)
        for kind, keys in reach.keys.items():
            ordinals = by_kind[kind]
            for key in keys:
                ordinals.setdefault(key, []).append(ordinal)
    return msgspec.structs.replace(
        program,
        index=Index(
            # Sets have no order of their own: sorted, so that the bytes are always the same.
            **{kind: dict(sorted(found.items())) for kind, found in by_kind.items()},
            always=always,
        ),
    )

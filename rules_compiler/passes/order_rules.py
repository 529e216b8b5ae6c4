"""Promotions into their groups, in the order in which they are evaluated."""

from __future__ import annotations

import msgspec

from rules_compiler.document import Document
from shared.engine.program import Program, Promotion


def order_rules(document: Document) -> Program:
    """The program with its enabled promotions: by priority, then by id (code points)."""
    ordered = sorted(
        (each for each in document.promotions if each.enabled),
        key=lambda each: (each.priority, each.promotion.id),
    )
    by_group: dict[str, list[Promotion]] = {group.id: [] for group in document.program.groups}
    for each in ordered:
        by_group[each.group].append(each.promotion)
    return msgspec.structs.replace(
        document.program,
        groups=[
            msgspec.structs.replace(group, promotions=by_group[group.id])
            for group in document.program.groups
        ],
    )

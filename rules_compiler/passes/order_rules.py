"""Promotions into their groups, in the order in which they are evaluated."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from rules_compiler.document import Document
from shared.engine.program import Promotion


def order_rules(document: Document) -> Document:
    """The document whose program has the enabled promotions: by priority, then id (code points)."""
    ordered = sorted(
        (each for each in document.promotions if each.enabled),
        key=lambda each: (each.priority, each.promotion.id),
    )
    by_group: dict[str, list[Promotion]] = {group.id: [] for group in document.program.groups}
    for each in ordered:
        by_group[each.group].append(each.promotion)
    groups = [
        msgspec.structs.replace(group, promotions=by_group[group.id])
        for group in document.program.groups
    ]
    program = msgspec.structs.replace(document.program, groups=groups)
    return replace(document, program=program)

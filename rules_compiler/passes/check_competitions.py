"""Groups whose promotions cannot compete, though they should."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import below, enabled
from rules_compiler.warn import warning
from shared.engine.program import Resolve
from shared.engine.ready import GOODS, RECEIPT, stage_of


def check_competitions(document: Document) -> Iterator[Diagnostic]:
    """Warn of a group with a mode that holds results on goods and on the receipt."""
    stages: dict[str, set[int]] = {}
    for written in enabled(document):
        if not written.promotion.stack:
            found = stages.setdefault(written.group, set())
            found.update(stage_of(result) for result in written.promotion.results)
    for index, group in enumerate(document.program.groups):
        if group.resolve is not Resolve.ALL and {GOODS, RECEIPT} <= stages.get(group.id, set()):
            yield warning(
                below(document.place, "groups", index),
                "mixed_competition",
                f"the group resolves {group.resolve}, and results on goods never compete "
                "with results on the receipt",
                "Write the percent of the receipt as discount_goods, or use two groups.",
            )

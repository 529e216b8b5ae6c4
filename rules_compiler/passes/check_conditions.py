"""Conditions that no receipt can meet."""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.contradictions import Facts
from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.walk import conjuncts, enabled, root
from rules_compiler.warn import warning


def check_conditions(document: Document) -> Iterator[Diagnostic]:
    """Warn at the first condition with which no receipt is left."""
    for written in enabled(document):
        facts = Facts()
        for count, (condition, place) in enumerate(conjuncts(root(written))):
            why = facts.add(condition)
            if why is not None:
                others = " together with those before it" if count else ""
                yield warning(
                    place,
                    "never_holds",
                    f"no receipt can meet this condition{others}: {why}",
                    "The promotion never acts: correct the condition, or take the promotion out.",
                )
                break

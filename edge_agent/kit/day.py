"""A simulated day: what is to be played, and what has happened so far. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.kit.figures import Figures
from edge_agent.kit.reply import printable

ERROR_CHARS_MAX: Final = 100
CODES_MAX: Final = 50
"""Kinds of errors that are told apart; a stranger's server may invent them without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``receipts`` at each of ``tills``; ``rate`` is receipts a second of all, 0 for no pause.

    A receipt has 1 to ``lines`` scans; every third shows one of ``cards``, if there are any.
    """

    run: str
    time: str
    store: str
    tills: int
    receipts: int
    rate: int
    lines: int
    skus: Sequence[str]
    cards: Sequence[str]


@dataclass(slots=True)
class Day:
    """What has happened so far."""

    calls: dict[str, Figures] = field(
        default_factory=lambda: {name: Figures() for name in ("scan", "freeze", "commit")}
    )
    errors: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    sold: int = 0
    took_ns: int = 0

    def failed(self, what: str) -> None:
        """Count an error by its name."""
        what = printable(what)[:ERROR_CHARS_MAX]
        known = what in self.errors or len(self.errors) < CODES_MAX
        self.errors[what if known else "other"] += 1

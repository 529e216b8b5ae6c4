"""What the commands need of the machine, handed down by ``__main__``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.clock import Clock
from shared.ids import Chance

OK: Final = 0
REFUSED: Final = 1
"""A document, receipt or bundle was refused."""
USAGE: Final = 2
"""Wrong usage: a missing file, a wrong option."""
INTERNAL: Final = 3
"""Something of our own broke; the traceback is on stderr."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells count it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Time and chance."""

    clock: Clock
    chance: Chance

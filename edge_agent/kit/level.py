"""How far a till is integrated."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """Each level includes the ones before it."""

    MINIMUM = "minimum"
    MIDDLE = "middle"
    FULL = "full"


LEVELS: Final = tuple(Level)

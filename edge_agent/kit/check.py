"""What a check is: a name, a level, words, and a play that says what it saw or fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edge_agent.kit.cashier import Cashier
from edge_agent.kit.level import Level

Play = Callable[[Cashier], Awaitable[str]]
"""Gives what came, in the words of the wire, when all was as expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check; ``done``, ``expected`` and ``hint`` are messages of the catalogue."""

    name: str
    level: Level
    done: str
    expected: str
    hint: str
    play: Play


def check(level: Level, *, done: str, expected: str, hint: str) -> Callable[[Play], Check]:
    """Make a check of a function; its name is the function's."""

    def made(play: Play) -> Check:
        name = getattr(play, "__name__", "")
        return Check(name=name, level=level, done=done, expected=expected, hint=hint, play=play)

    return made

"""Ends of the first release: today's code, which says and hears nothing that came later."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from tests.golden.wire_examples import as_seen_by, known_to
from tests.simulation.scenario import Program, Scenario

_KNOWN: Final = known_to(1)
_Message = TypeVar("_Message", bound=msgspec.Struct)


def between(scenario: Scenario, program: Program, message: _Message) -> _Message:
    """What comes of a message between central and such an agent, if one of them is old."""
    if not {program, Program.CENTRAL} & set(scenario.first_release):
        return message
    return msgspec.convert(as_seen_by(message, _KNOWN), type(message))

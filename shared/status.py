"""How a component says how it is: the answer to every 'is it working?' call."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Health(enum.StrEnum):
    """Worst first when summed up: ERROR, NOT_READY, WARN, OK."""

    OK = "ok"
    WARN = "warn"
    NOT_READY = "not_ready"
    ERROR = "error"


_ORDER = (Health.OK, Health.WARN, Health.NOT_READY, Health.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One component's state: when it last tried, when it last succeeded, and what to know."""

    component: str
    health: Health
    message: str = ""
    last_attempt_at_ms: int | None = None
    last_success_at_ms: int | None = None


def worst(statuses: list[Status]) -> Health:
    """The health of the whole: that of its worst part; OK when there are no parts."""
    return max((status.health for status in statuses), key=_ORDER.index, default=Health.OK)

"""What the agent's page makes of its parts."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.page.words import OFFLINE, VERDICTS, by_part, verdict_of
from shared.status import Health
from shared.tongues import Tongues


def part(component: str, health: str, message: str = "", success: int | None = None) -> Any:
    return {
        "component": component,
        "health": health,
        "message": message,
        "last_success_at_ms": success,
    }


@pytest.mark.parametrize(
    ("online", "parts", "health", "words"),
    [
        (True, [part("link", "ok")], Health.OK, VERDICTS[Health.OK]),
        (False, [part("link", "warn"), part("hello", "error")], Health.WARN, OFFLINE),
        (False, [part("hello", "error"), part("disk", "error")], Health.ERROR, None),
        (True, [part("hello", "error")], Health.ERROR, None),
        (True, [part("scrub", "not_ready"), part("bundle", "ok")], Health.OK, None),
        (False, [part("flush", "not_ready"), part("bundle", "not_ready")], Health.NOT_READY, None),
    ],
)
def test_line_that_is_down_is_no_broken_agent(
    online: bool, parts: list[Any], health: Health, words: str | None
) -> None:
    assert verdict_of(parts, online=online) == (health, words or VERDICTS[health])
    assert Tongues("edge_agent.page")["ru"].knows(OFFLINE)


def test_each_part_is_told_once_by_its_worst_word() -> None:
    told = by_part(
        [part("bundle", "ok", "", 5), part("disk", "ok"), part("bundle", "warn", "old", 3)]
    )
    assert told == [part("bundle", "warn", "old", 5), part("disk", "ok")]

"""Counts of look-ups in SQLite, so that a restart forgives nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import apsw

from edge_agent.members.policy import Count, after_asking, after_missing, wait_ms
from shared.sqlfile import load_queries

SUBJECTS_MAX: Final = 500
"""Tills and cashiers that are counted; a shop has a tenth of that in a day."""
_QUERIES: Final = load_queries("edge_agent.members")


def count_asking(connection: apsw.Connection, subjects: Sequence[str], now_ms: int) -> int:
    """Count a question for all of them, or for none and say how many ms somebody has to wait."""
    counts = {subject: _count(connection, subject) for subject in subjects}
    waits_ms = max(wait_ms(count, now_ms) for count in counts.values())
    if waits_ms:
        return waits_ms
    for subject, count in counts.items():
        _put(connection, subject, after_asking(subject, count, now_ms))
    connection.execute(_QUERIES["trim_counts"], {"kept": SUBJECTS_MAX})
    return 0


def count_missing(connection: apsw.Connection, subjects: Sequence[str], now_ms: int) -> None:
    """The phone they asked for was nobody's."""
    for subject in subjects:
        _put(connection, subject, after_missing(subject, _count(connection, subject), now_ms))


def blocked(connection: apsw.Connection, now_ms: int) -> dict[str, int]:
    """Who has to wait, and until when."""
    rows: list[Any] = connection.execute(_QUERIES["blocked"], {"now_ms": now_ms}).fetchall()
    return dict(rows)


def _count(connection: apsw.Connection, subject: str) -> Count:
    row: Any = connection.execute(_QUERIES["count"], {"subject": subject}).fetchone()
    if row is None:
        return Count()
    since_ms, asked, missed_since_ms, missed, blocks, until_ms = row
    return Count(
        asked_since_ms=since_ms,
        asked=asked,
        missed_since_ms=missed_since_ms,
        missed=missed,
        blocks=blocks,
        blocked_until_ms=until_ms,
    )


def _put(connection: apsw.Connection, subject: str, count: Count) -> None:
    connection.execute(_QUERIES["put_count"], {"subject": subject, **asdict(count)})

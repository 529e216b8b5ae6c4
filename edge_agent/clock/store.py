"""The floor of trusted time in SQLite: put down with every group of writes."""

from __future__ import annotations

from typing import Any, Final

import apsw

from edge_agent.clock.policy import DATED_AHEAD_MS_MAX, Floor
from shared.sqlfile import load_queries

_QUERIES: Final = load_queries("edge_agent.clock")


def kept_floor(connection: apsw.Connection) -> Floor | None:
    """What was put down last; None in a new database."""
    row: Any = connection.execute(_QUERIES["floor"]).fetchone()
    if row is None:
        return None
    floor_ms, boot_id, boot_ns, off_ms = row
    return Floor(floor_ms=floor_ms, boot_id=boot_id, boot_ns=boot_ns, off_ms=off_ms)


def keep_floor(connection: apsw.Connection, floor: Floor) -> None:
    """Put the floor down; a lower one than the last is not."""
    connection.execute(
        _QUERIES["put_floor"],
        {
            "floor_ms": floor.floor_ms,
            "boot_id": floor.boot_id,
            "boot_ns": floor.boot_ns,
            "off_ms": floor.off_ms,
        },
    )


def dated_ms(connection: apsw.Connection, now_ms: int) -> int:
    """How what is made at ``now_ms`` of the shop's clock is dated: a day ahead at the most.

    A machine's clock that says 2046 would keep its records, and all behind them, until then.
    """
    floor = kept_floor(connection)
    return now_ms if floor is None else min(now_ms, floor.floor_ms + DATED_AHEAD_MS_MAX)

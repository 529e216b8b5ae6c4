"""Facts that have no number yet, and the recovery that keeps them waiting.

While a database may lack what it once numbered, numbering would use a number twice. So the shop
sells on and keeps its facts here, durable like any other; central's new epoch gives them numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import apsw

from shared.sqlfile import load_queries

_QUERIES: Final = load_queries("edge_agent.outbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Why and since when nothing is numbered and nothing spent; the id tells it from any other."""

    reason: str
    recovery_id: bytes
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFact:
    """A fact that waits for its number."""

    held_id: int
    lane: int
    uid: bytes
    recorded_at_ms: int
    kind: str
    body: bytes
    local: bytes


def recovery_of(connection: apsw.Connection) -> Recovery | None:
    """The recovery that lasts; None when all is well and rights may be spent."""
    row: Any = connection.execute(_QUERIES["recovery"]).fetchone()
    if row is None:
        return None
    reason, recovery_id, since_ms = row
    return Recovery(reason=reason, recovery_id=recovery_id, since_ms=since_ms)


def enter_recovery(
    connection: apsw.Connection, reason: str, *, recovery_id: bytes, now_ms: int
) -> None:
    """Number and spend nothing until central gives a new epoch; one that lasts keeps its id."""
    connection.execute(
        _QUERIES["enter_recovery"],
        {"reason": reason, "recovery_id": recovery_id, "since_ms": now_ms},
    )


def hold_fact(
    connection: apsw.Connection,
    lane: int,
    *,
    uid: bytes,
    recorded_at_ms: int,
    kind: str,
    body: bytes,
    local: bytes,
    ring_max: int | None,
) -> None:
    """Keep a fact until it gets its number; with ``ring_max`` the lane's oldest make room."""
    connection.execute(
        _QUERIES["hold"],
        {
            "lane": lane,
            "uid": uid,
            "recorded_at_ms": recorded_at_ms,
            "kind": kind,
            "body": body,
            "local": local,
        },
    )
    if ring_max is not None:
        connection.execute(_QUERIES["trim_ring"], {"lane": lane, "keep": ring_max})


def forget_telemetry(connection: apsw.Connection) -> None:
    """Keep no telemetry that has no number yet: its room is wanted for sales."""
    connection.execute(_QUERIES["forget_telemetry"])


def held_after(connection: apsw.Connection, held_id: int, limit: int) -> list[HeldFact]:
    """At most ``limit`` facts that began to wait after this one; telemetry is left out."""
    rows: list[Any] = connection.execute(
        _QUERIES["held_after"], {"after": held_id, "limit": limit}
    ).fetchall()
    return [
        HeldFact(
            held_id=number,
            lane=lane,
            uid=uid,
            recorded_at_ms=recorded_at_ms,
            kind=kind,
            body=body,
            local=local,
        )
        for number, lane, uid, recorded_at_ms, kind, body, local in rows
    ]


def held_last(connection: apsw.Connection) -> int:
    """The highest number that a waiting fact ever had."""
    found = connection.execute(_QUERIES["held_last"]).get
    return found if isinstance(found, int) else 0


def held_counts(connection: apsw.Connection) -> dict[int, tuple[int, int]]:
    """By lane: how many facts wait, and when the oldest was made."""
    rows: list[Any] = connection.execute(_QUERIES["held_counts"]).fetchall()
    return {lane: (count, oldest_at_ms) for lane, count, oldest_at_ms in rows}


def is_held(connection: apsw.Connection, uid: bytes) -> bool:
    """Whether the fact waits for its number here."""
    return connection.execute(_QUERIES["held_has_uid"], {"uid": uid}).get is not None


def release_held(connection: apsw.Connection, uid: bytes) -> None:
    """The fact has its number: it waits no longer, if it did."""
    connection.execute(_QUERIES["release_uid"], {"uid": uid})

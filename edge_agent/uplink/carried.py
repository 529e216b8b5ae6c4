"""What this agent keeps of files carried by hand: head office's key, and its own questions.

A question is remembered with the one key that opens its answer, so an answer is good here only, and
only once. ``told`` is what the question said: an answer is measured by it, whatever a line has
brought since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from shared.limits import SYNC_FILES_KEPT_MAX
from shared.sqlfile import load_queries
from shared.wire.enrol import LaneHead

_QUERIES: Final = load_queries("edge_agent.uplink", "carried.sql")
_HEADS: Final = msgspec.msgpack.Decoder(list[LaneHead])


class Told(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a question said: how far central had come by lane, the streams' standing, the feed's.

    ``acked``: by lane, in the epoch ``epoch``. ``cursor``: of the checkpoint in force.
    """

    heads: list[LaneHead]
    epoch: int
    recovery_id: bytes
    acked: dict[int, int]
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """``central_key``: empty until head office told it. ``heads``: of central, by the last answer.

    ``whole``: the feed does not add up here, and no line is there to mend it.
    """

    central_key: bytes = b""
    heads: tuple[LaneHead, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question for people; instants in ms."""

    number: int
    made_at_ms: int
    records: int
    size_bytes: int
    answered_at_ms: int | None


def carried_of(connection: apsw.Connection) -> Carried:
    """What is kept."""
    row: Any = connection.execute(_QUERIES["carried"]).fetchone()
    if row is None:
        return Carried()
    key, heads, whole = row
    return Carried(
        central_key=key, heads=tuple(_HEADS.decode(heads)) if heads else (), whole=bool(whole)
    )


def put_central_key(connection: apsw.Connection, key: bytes) -> None:
    """Head office has told for whom files are closed."""
    connection.execute(_QUERIES["put_key"], {"key": key})


def put_heads(connection: apsw.Connection, heads: list[LaneHead]) -> None:
    """An answer said how far central is."""
    connection.execute(_QUERIES["put_heads"], {"heads": msgspec.msgpack.encode(heads)})


def put_whole(connection: apsw.Connection, *, whole: bool) -> None:
    """Whether the next question asks for all that the shop has to know."""
    connection.execute(_QUERIES["put_whole"], {"whole": whole})


def put_question(
    connection: apsw.Connection, file_id: bytes, now_ms: int, answer_key: bytes, told: Told
) -> int:
    """Remember a question; the instant it bears, which is later than that of any before."""
    last: Any = connection.execute(_QUERIES["last_made_at"]).get
    made_at_ms = now_ms if last is None else max(now_ms, int(last) + 1)
    connection.execute(
        _QUERIES["put_question"],
        {
            "file_id": file_id,
            "made_at_ms": made_at_ms,
            "answer_key": answer_key,
            "told": msgspec.msgpack.encode(told),
        },
    )
    connection.execute(_QUERIES["forget_questions"], {"keep": SYNC_FILES_KEPT_MAX})
    return made_at_ms


def question_made(
    connection: apsw.Connection, file_id: bytes, *, records: int, size_bytes: int
) -> None:
    """The file is whole."""
    values = {"file_id": file_id, "records": records, "size_bytes": size_bytes}
    connection.execute(_QUERIES["question_made"], values)


def question_of(connection: apsw.Connection, file_id: bytes) -> tuple[bytes, Told] | None:
    """The key and the contents of a question; the key is empty when its answer was taken."""
    row: Any = connection.execute(_QUERIES["question"], {"file_id": file_id}).fetchone()
    return None if row is None else (row[0], msgspec.msgpack.decode(row[1], type=Told))


def answered(connection: apsw.Connection, file_id: bytes, now_ms: int) -> None:
    """The answer was taken in, all of it."""
    connection.execute(_QUERIES["answered"], {"file_id": file_id, "now_ms": now_ms})


def questions_of(connection: apsw.Connection, count: int) -> list[Asked]:
    """The last questions, the newest first."""
    rows: list[Any] = connection.execute(_QUERIES["questions"], {"count": count}).fetchall()
    return [
        Asked(
            number=number,
            made_at_ms=made_at_ms,
            records=records,
            size_bytes=size_bytes,
            answered_at_ms=answered_at_ms,
        )
        for number, made_at_ms, records, size_bytes, answered_at_ms in rows
    ]


def forget_carried(connection: apsw.Connection) -> None:
    """Central has revoked this agent: no key stays."""
    connection.execute(_QUERIES["wipe_questions"])
    connection.execute(_QUERIES["wipe_carried"])

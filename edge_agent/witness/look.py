"""Look at the shop's database: whether it is whole, and how it stands beside the witness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from edge_agent.clock.store import kept_floor
from edge_agent.database.connection import is_sound, open_writer
from edge_agent.database.disk import is_damage
from edge_agent.outbox.held import recovery_of
from edge_agent.outbox.store import find_stream, heads_of, known_hash, streams_of, verify_stream
from edge_agent.witness.layout import Place, Statement
from edge_agent.witness.policy import Database, FileState
from shared.errors import AppError, CorruptionError, UnavailableError
from shared.logs import get_logger

_LOG = get_logger(__name__)


def look(path: Path, statement: Statement | None) -> tuple[Database, apsw.Connection | None]:
    """How the database is, and a connection to it where it is whole.

    Raises:
        CorruptionError: ``foreign_database``.
        UnavailableError: it cannot be looked at; nothing is said of it.
    """
    if not path.exists():
        return Database(state=FileState.MISSING), None
    connection: apsw.Connection | None = None
    try:
        connection = open_writer(path)
        return look_at(connection, statement), connection
    except (AppError, apsw.Error, UnicodeDecodeError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, AppError):
            if not _is_damaged(error):
                raise
        elif not is_damage(error):
            raise UnavailableError(f"{path.name} cannot be read: {error}") from error
        _LOG.error("database.damaged", detail=str(error))
        return Database(state=FileState.DAMAGED), None


def look_at(connection: apsw.Connection, statement: Statement | None) -> Database:
    """How an open database is, beside what the witness says.

    Raises:
        CorruptionError: it is damaged.
    """
    verify(connection)
    return _database(connection, statement)


def verify(connection: apsw.Connection, next_part: Callable[[], None] = lambda: None) -> None:
    """Check the file, its sums, and the chains of all epochs; somebody may write meanwhile.

    It is done in parts, each of one moment, so that the log can be folded between them;
    ``next_part`` is called before each.

    Raises:
        CorruptionError: it is damaged.
        UnavailableError: it could not be looked at, which says nothing of it.
    """
    next_part()
    if not is_sound(connection):
        raise CorruptionError("the database file is damaged", code="damaged_database")
    try:
        for known in streams_of(connection):
            next_part()
            with connection:
                # Read anew: a record that came meanwhile stands in the chain and in the head.
                for head in streams_of(connection):
                    if head.stream_id == known.stream_id:
                        verify_stream(connection, head)
    except (apsw.Error, UnicodeDecodeError) as error:
        if is_damage(error):
            raise CorruptionError(f"the database is damaged: {error}") from error
        raise UnavailableError(f"the database cannot be checked: {error}") from error


def _is_damaged(error: AppError) -> bool:
    return isinstance(error, CorruptionError) and error.stable_code != "foreign_database"


def _database(connection: apsw.Connection, statement: Statement | None) -> Database:
    heads = {
        head.lane: Place(lane=head.lane, epoch=head.epoch, seq=head.seq, hash=head.hash)
        for head in heads_of(connection)
    }
    holds: dict[int, bool | None] = {}
    for place in [] if statement is None else statement.heads:
        stream = find_stream(connection, place.lane, place.epoch)
        if stream is not None and place.seq <= stream.seq:
            ours = known_hash(connection, stream, place.seq)
            holds[place.lane] = None if ours is None else ours == place.hash
    recovery = recovery_of(connection)
    return Database(
        state=FileState.WHOLE,
        heads=heads,
        holds=holds,
        recovering=None if recovery is None else recovery.reason,
        forgets=_forgets(connection, statement),
    )


def _forgets(connection: apsw.Connection, statement: Statement | None) -> bool:
    """Whether the witness heard of a commit that this database does not know of."""
    if statement is None or statement.kept_ms == 0:
        return False
    kept = kept_floor(connection)
    if kept is None:
        return True
    if kept.boot_id == statement.boot_id:
        return kept.boot_ns < statement.kept_boot_ns
    return kept.floor_ms < statement.kept_ms

"""Open the shop's database the one right way: WAL, full durability, checked references."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from edge_agent.database.disk import is_damage
from edge_agent.database.migrate import ensure_schema, is_of_this_release, pragma_int
from shared.errors import AppError, CorruptionError, UnavailableError
from shared.sqlfile import load_queries

_BUSY_TIMEOUT_MS: Final = 5_000
_QUERIES: Final = load_queries("edge_agent.database")


def open_writer(path: Path) -> apsw.Connection:
    """The write connection, with the schema in place; a process opens one.

    Raises:
        CorruptionError: ``damaged_database``, or ``foreign_database`` (another program's, or of a
            newer release).
        UnavailableError: the file cannot be opened or migrated.
    """
    connection = _open(path)
    try:
        for name in ("journal_wal", "synchronous_full", "log_limit", "secure_delete"):
            connection.execute(_QUERIES[name]).fetchall()
        ensure_schema(connection, path)
    except (apsw.Error, UnicodeDecodeError) as error:
        connection.close()
        raise _refusal(path, error) from error
    except AppError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot write; each reader has its own.

    Raises:
        CorruptionError: the file is damaged.
        UnavailableError: the file cannot be opened.
    """
    connection = _open(path)
    connection.execute(_QUERIES["query_only"]).fetchall()
    return connection


def is_sound(connection: apsw.Connection) -> bool:
    """Whether nothing is wrong with the file, its tables and its sums; reads all of it.

    Each question is answered of one moment, so somebody may write meanwhile.

    Raises:
        UnavailableError: it could not be looked at, which says nothing of the file.
    """
    try:
        checked = connection.execute(_QUERIES["quick_check"]).fetchall()
        if checked != [("ok",)] or not is_of_this_release(connection):
            return False
        return not connection.execute(_QUERIES["miscounted"]).get
    except apsw.SQLError:
        # Tables, views or columns are not those of this release: a view of which a bit was turned.
        return False
    except (apsw.Error, UnicodeDecodeError) as error:
        if is_damage(error):
            return False
        raise UnavailableError(f"the database cannot be checked: {error}") from error


def _open(path: Path) -> apsw.Connection:
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        for name in ("temp_in_memory", "foreign_keys", "trusted_schema", "cell_size_check"):
            connection.execute(_QUERIES[name]).fetchall()
        pragma_int(connection, "user_version")
    except (apsw.Error, UnicodeDecodeError) as error:
        if connection is not None:
            connection.close()
        raise _refusal(path, error) from error
    return connection


def _refusal(path: Path, error: BaseException) -> AppError:
    if not is_damage(error):
        return UnavailableError(f"{path.name} cannot be opened")
    return CorruptionError(
        f"{path.name} is not a database or is damaged",
        hint="Start the agent: it puts the file aside and recovers.",
        code="damaged_database",
    )

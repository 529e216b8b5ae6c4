"""Open the shop's database the one right way: WAL, full durability, checked references."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from shared.errors import CorruptionError, UnavailableError
from shared.sqlfile import load_queries

APPLICATION_ID: Final = 0x4B4F5049
SCHEMA_VERSION: Final = 1
_BUSY_TIMEOUT_MS: Final = 5_000
_QUERIES: Final = load_queries("edge_agent.database")


def open_writer(path: Path) -> apsw.Connection:
    """The write connection, with the schema in place; a process opens one.

    Raises:
        CorruptionError: the file is damaged, another program's, or of a newer release.
        UnavailableError: the file cannot be opened.
    """
    connection = _open(path)
    for name in ("journal_wal", "synchronous_full"):
        connection.execute(_QUERIES[name]).fetchall()
    _ensure_schema(connection)
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


def pragma_int(connection: apsw.Connection, name: str) -> int:
    """The number that the pragma query ``name`` answers."""
    value = connection.execute(_QUERIES[name]).get
    assert isinstance(value, int), "the pragma answers a number"
    return value


def _open(path: Path) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        for name in ("foreign_keys", "trusted_schema", "cell_size_check"):
            connection.execute(_QUERIES[name]).fetchall()
        pragma_int(connection, "version_get")
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise CorruptionError(
            f"{path.name} is not a database or is damaged", hint="Restore it or enrol again."
        ) from error
    except apsw.Error as error:
        raise UnavailableError(f"{path.name} cannot be opened") from error
    return connection


def _ensure_schema(connection: apsw.Connection) -> None:
    application_id = pragma_int(connection, "application_id_get")
    version = pragma_int(connection, "version_get")
    if application_id == APPLICATION_ID and version == SCHEMA_VERSION:
        return
    if application_id or version:
        raise CorruptionError(
            f"the database is of application {application_id:#x}, version {version}",
            hint="It belongs to another program or a newer release; it was not touched.",
        )
    schema = resources.files("edge_agent.database").joinpath("schema.sql").read_text("utf-8")
    connection.execute(_QUERIES["begin"])
    try:
        connection.execute(schema)
        connection.execute(_QUERIES["application_id_set"])
        connection.execute(_QUERIES["version_set_1"])
        connection.execute(_QUERIES["commit"])
    except apsw.Error:
        connection.execute(_QUERIES["rollback"])
        raise

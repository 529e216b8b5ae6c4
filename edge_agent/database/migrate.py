"""The schema of the shop's file: a new file gets ``schema.sql``, an older one every step since.

A step goes forward only. Before the first one the file is copied beside itself; all steps then
happen in one transaction, so a cut leaves the old file as it was. The copy stays until central has
answered the new release, for it is what an older release can be started on again (which then finds
its witness ahead of it, and recovers instead of using numbers twice).
"""

from __future__ import annotations

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from shared.errors import CorruptionError, UnavailableError
from shared.sqlfile import load_queries

APPLICATION_ID: Final = 0x4B4F5049
_QUERIES: Final = load_queries("edge_agent.database")
_MIGRATIONS: Final = resources.files("edge_agent.database").joinpath("migrations")


def migration_names() -> list[str]:
    """The files of all steps in order: ``NNNN_subject.sql``, numbered from 1 without gaps."""
    names = sorted(item.name for item in _MIGRATIONS.iterdir() if item.name.endswith(".sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1)), names
    return names


SCHEMA_VERSION: Final = len(migration_names())


def ensure_schema(connection: apsw.Connection, path: Path) -> None:
    """Make the file one of this release.

    Raises:
        CorruptionError: ``foreign_database``: it is another program's or of a newer release; it
            was not touched.
        UnavailableError: it could not be copied or changed; it is as it was.
    """
    application_id = pragma_int(connection, "application_id")
    version = pragma_int(connection, "user_version")
    if application_id == APPLICATION_ID and version == SCHEMA_VERSION:
        return
    if application_id == 0 and version == 0:
        _apply(connection, [_schema()])
    elif application_id == APPLICATION_ID and 0 < version < SCHEMA_VERSION:
        _copy(connection, path, version)
        steps = migration_names()[version:]
        _apply(connection, [_MIGRATIONS.joinpath(name).read_text("utf-8") for name in steps])
    else:
        raise CorruptionError(
            f"the database is of application {application_id:#x}, version {version}",
            hint="It belongs to another program or a newer release; it was not touched.",
            code="foreign_database",
        )


def is_of_this_release(connection: apsw.Connection) -> bool:
    """Whether tables, columns and indexes are those of ``schema.sql``: damage may be there too."""
    return _structure(connection) == _structure_of_this_release()


def copies_of(path: Path) -> list[Path]:
    """The copies that migrations left beside the file."""
    return sorted(path.parent.glob(f"{path.name}.v*"))


def forget_copies(path: Path) -> None:
    """Remove them: central has answered, the older release will not be needed."""
    for copy in copies_of(path):
        copy.unlink(missing_ok=True)


def pragma_int(connection: apsw.Connection, name: str) -> int:
    """The number that a pragma answers."""
    value = connection.pragma(name)
    assert isinstance(value, int), "the pragma answers a number"
    return value


@cache
def _structure_of_this_release() -> list[list[object]]:
    fresh = apsw.Connection(":memory:")
    try:
        fresh.execute(_schema())
        return _structure(fresh)
    finally:
        fresh.close()


def _structure(connection: apsw.Connection) -> list[list[object]]:
    return [list(connection.execute(_QUERIES[name])) for name in ("structure", "indexes")]


def _schema() -> str:
    return resources.files("edge_agent.database").joinpath("schema.sql").read_text("utf-8")


def _apply(connection: apsw.Connection, scripts: list[str]) -> None:
    # References cannot be switched inside a transaction, and tables are made anew one by one.
    connection.pragma("foreign_keys", 0)
    try:
        connection.execute(_QUERIES["begin"])
        for script in scripts:
            connection.execute(script)
        if connection.execute(_QUERIES["foreign_key_check"]).fetchall():
            raise CorruptionError("after migration references point nowhere")
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute(_QUERIES["commit"])
    except apsw.Error as error:
        raise UnavailableError("the database could not be migrated") from error
    finally:
        if connection.in_transaction:
            connection.execute(_QUERIES["rollback"])
        connection.pragma("foreign_keys", 1)


def _copy(connection: apsw.Connection, path: Path, version: int) -> None:
    """A whole copy or none: the name is given when the copy is on the medium."""
    copy = path.with_name(f"{path.name}.v{version}")
    if copy.exists():
        return
    partial = copy.with_suffix(copy.suffix + ".new")
    try:
        partial.unlink(missing_ok=True)
        connection.execute(_QUERIES["vacuum_into"], {"path": str(partial)})
        partial.chmod(0o600)
        _flush(partial)
        partial.rename(copy)
        _flush(path.parent)
    except (OSError, apsw.Error) as error:
        raise UnavailableError(
            "the database could not be copied before its migration",
            hint="Is there room for a second one?",
        ) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

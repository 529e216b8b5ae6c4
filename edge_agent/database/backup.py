"""Copy the database while the agent works: as it is at one moment, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from shared.errors import ConflictError, UnavailableError
from shared.sqlfile import load_queries

_QUERIES: Final = load_queries("edge_agent.database")


def back_up(database: Path, target: Path, prove: Callable[[Path], None]) -> int:
    """Put a proven copy at ``target``, which only this user may read; its size in bytes.

    ``prove`` raises when the copy is not whole; then there is none.

    Raises:
        ConflictError: ``file_exists``: a file is never written over.
        UnavailableError: the copy could not be written.
    """
    partial = target.with_name(target.name + ".new")
    try:
        if target.exists():
            raise ConflictError(
                f"{target.name} is there already", hint="Name a new file.", code="file_exists"
            )
        partial.unlink(missing_ok=True)
        # Made first, so that nobody else can read it while it grows.
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(database, partial)
        _flush(partial)
        prove(partial)
        partial.rename(target)
        _flush(target.parent)
    except (OSError, apsw.Error) as error:
        raise UnavailableError(f"the copy could not be written: {error}") from error
    finally:
        # What refused the copy may refuse this as well.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(database: Path, partial: Path) -> None:
    # Not a reader's connection: to one that may not write, a copy is writing.
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute(_QUERIES["vacuum_into"], {"path": str(partial)})
    finally:
        connection.close()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

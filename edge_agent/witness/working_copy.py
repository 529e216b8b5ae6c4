"""A copy of the database to work with while its own disk is read-only.

SQLite cannot read a database with a log where it cannot write beside it, so file and log are copied
to a medium that can be written: the spare one, else the machine's memory. The copy is thrown away;
the database itself is not touched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from edge_agent.database.connection import open_writer
from edge_agent.outbox.held import enter_recovery
from edge_agent.witness.look import verify
from shared.errors import CorruptionError, UnavailableError
from shared.logs import get_logger

ROOM_BYTES: Final = 64 * 2**20
"""Beside the copy: a day's sales and its log."""
MEMORY: Final = "/dev/shm"  # noqa: S108 - in it the copy has a folder of its own, for nobody else
_FOLDER: Final = "working-copy"
_LOG = get_logger(__name__)


def places(spare: Path | None) -> list[Path]:
    """Where a copy may lie, best first."""
    found = [] if spare is None else [spare]
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        found.append(Path(runtime))
    with suppress(FileNotFoundError):
        found.append(Path(tempfile.gettempdir()))
    return [*found, Path(MEMORY)]


def make_working_copy(
    database: Path, candidates: Sequence[Path], *, edge_id: int, recovery_id: bytes, now_ms: int
) -> Path:
    """Copy the database to the first place that takes it; its facts get no numbers there.

    A database that is damaged is replaced by an empty one: prices go on without what it knew.

    Raises:
        UnavailableError: ``disk_read_only``: there is no place for it.
    """
    parts = [database, database.with_name(f"{database.name}-wal")]
    needed_bytes = ROOM_BYTES + sum(part.stat().st_size for part in parts if part.exists())
    for place in candidates:
        folder = place / f"{_FOLDER}-{edge_id}"
        try:
            shutil.rmtree(folder, ignore_errors=True)
            room = os.statvfs(place)
            if room.f_bavail * room.f_frsize < needed_bytes:
                continue
            folder.mkdir(mode=0o700)
            for part in parts:
                if part.exists():
                    shutil.copyfile(part, folder / part.name)
            _prepare(folder / database.name, recovery_id, now_ms)
        except (OSError, apsw.Error, UnavailableError) as error:
            _LOG.warning("working_copy.refused", place=str(place), detail=str(error))
            continue
        _LOG.warning("working_copy.made", place=str(place), bytes=needed_bytes - ROOM_BYTES)
        return folder / database.name
    raise UnavailableError(
        f"the disk is read-only, and nowhere are {needed_bytes // 2**20} MiB to work in",
        hint="Name a spare_folder on another medium in edge.toml, or have the disk repaired.",
        code="disk_read_only",
    )


def _prepare(copy: Path, recovery_id: bytes, now_ms: int) -> None:
    connection: apsw.Connection | None = None
    try:
        connection = open_writer(copy)
        verify(connection)
    except (CorruptionError, apsw.Error, UnicodeDecodeError) as error:
        _LOG.error("database.damaged", detail=str(error))
        if connection is not None:
            connection.close()
        for part in ("", "-wal", "-shm"):
            copy.with_name(copy.name + part).unlink(missing_ok=True)
        connection = open_writer(copy)
    try:
        enter_recovery(connection, "read_only", recovery_id=recovery_id, now_ms=now_ms)
    finally:
        connection.close()

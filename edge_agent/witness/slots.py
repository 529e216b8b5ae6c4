"""The witness file: two slots written in turn, so that a torn writing leaves the one before.

The file keeps its size and is written in place, so a writing is at most one flush of data and none
of the file system's own books.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge_agent.witness.layout import SLOT_BYTES, Statement, last_statement, pack
from shared.errors import UnavailableError

_SLOTS: Final = 2


class WitnessFile:
    """One open witness file; raises OSError where the medium fails."""

    def __init__(self, path: Path, *, flushed: bool) -> None:
        """Open the file, made with empty slots where there is none.

        ``flushed``: every writing is on the medium when it returns. Where the witness lies on the
        database's own medium that is of no use: a power cut leaves it behind the database at most,
        and the database is believed then anyway; older than a copy that somebody put back it is
        never.

        Raises:
            UnavailableError: the medium does not take it.
        """
        self._flushed = flushed
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if os.fstat(self._descriptor).st_size < _SLOTS * SLOT_BYTES:
                # Written out, not only sized: later writings need no new blocks.
                os.pwrite(self._descriptor, bytes(_SLOTS * SLOT_BYTES), 0)
                os.fsync(self._descriptor)
                sync_folder(path.parent)
        except OSError as error:
            raise UnavailableError(
                f"the witness {path.name} cannot be opened: {error.strerror}",
                hint="Check witness_file in edge.toml.",
                code="no_witness",
            ) from error

    def read(self) -> Statement | None:
        """What was written last and whole; None when nothing was."""
        return last_statement(
            [
                os.pread(self._descriptor, SLOT_BYTES, number * SLOT_BYTES)
                for number in range(_SLOTS)
            ]
        )

    def write(self, statement: Statement) -> None:
        """Put it in the slot that is not the last one."""
        piece = pack(statement)
        assert len(piece) <= SLOT_BYTES, "the leases named are bounded"
        os.pwrite(self._descriptor, piece, statement.counter % _SLOTS * SLOT_BYTES)
        if self._flushed:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Put what was written on the medium and close the file."""
        with suppress(OSError):
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)


def read_witness(path: Path) -> Statement | None:
    """What a witness file says, which another process may be writing; None: nothing, or no file."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return last_statement(
        [data[number * SLOT_BYTES : (number + 1) * SLOT_BYTES] for number in range(_SLOTS)]
    )


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Who keeps the embedded server up: one process at a time, the others use it or wait.

A command that starts the server also stops it. Were another process to use that server in the
meantime, it would lose its database in mid-sentence; so the starter holds a lock, and only a
server of ``kopilka-central run``, which stays, is shared.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from central.database.embedded import EmbeddedPostgres
from shared.errors import UnavailableError

LOCK_FILE: Final = "database.lock"
TURN_S_MAX: Final = 60
"""How long to wait for another command to end; imports of a big shop take less."""
_POLL_S: Final = 0.05
_SHARED: Final = b"shared\n"


@contextmanager
def running(folder: Path, *, shares: bool = False) -> Iterator[str]:
    """The address of the folder's embedded database, up for as long as the block lasts.

    ``shares``: this process stays; others may use the server it started.

    Raises:
        UnavailableError: another process keeps the server to itself for too long, or the server
            does not start.
    """
    server = EmbeddedPostgres(folder)
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _owned(lock, server, shares=shares):
            yield server.conninfo()
            return
        os.ftruncate(lock, 0)  # what a killed owner may have left
        server.start()
        try:
            if shares:
                os.pwrite(lock, _SHARED, 0)
            yield server.conninfo()
        finally:
            os.ftruncate(lock, 0)
            server.stop()
    finally:
        os.close(lock)


def _owned(lock: int, server: EmbeddedPostgres, *, shares: bool) -> bool:
    """True: the server is ours to start. False: somebody shares one that runs."""
    deadline = time.monotonic() + TURN_S_MAX
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return True
        shared = os.pread(lock, len(_SHARED), 0) == _SHARED
        if shared and shares:
            raise UnavailableError(
                "kopilka-central runs over this folder already", hint="Stop it first."
            )
        if shared and server.is_running():
            return False
        if time.monotonic() > deadline:
            raise UnavailableError(
                "another command keeps this folder's database to itself",
                hint="Try again when it has ended.",
            )
        time.sleep(_POLL_S)

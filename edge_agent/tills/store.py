"""The file of a folder's tills: read and written whole; a second program waits for the first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.config import write_private
from edge_agent.tills.policy import TILLS_MAX, Till, is_name
from shared.errors import CorruptionError, NotFoundError
from shared.unreadable import UNREADABLE

TILLS_FILE: Final = "tills.json"
_LOCK_FILE: Final = "tills.lock"
_BYTES_MAX: Final = 256 * 2**10
_HINT: Final = "Put the file back from a copy, or remove it and give every till a new token."


def read_tills(folder: Path) -> tuple[Till, ...]:
    """The tills of a folder; a folder without the file has none of its own.

    Raises:
        CorruptionError: the file is none of ours, or cannot be read.
    """
    try:
        with (folder / TILLS_FILE).open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CorruptionError(f"{TILLS_FILE} cannot be read", hint=_HINT) from error
    try:
        tills = msgspec.json.decode(data, type=tuple[Till, ...])
    except UNREADABLE as error:
        raise CorruptionError(f"{TILLS_FILE} is damaged", hint=_HINT) from error
    if len(tills) > TILLS_MAX or not all(is_name(till.name) for till in tills):
        raise CorruptionError(f"{TILLS_FILE} is damaged", hint=_HINT)
    return tills


def change_tills(folder: Path, change: Callable[[tuple[Till, ...]], tuple[Till, ...]]) -> None:
    """Write what ``change`` makes of the tills; nobody else changes them meanwhile.

    Raises:
        NotFoundError: there is no such folder.
        CorruptionError: the file is none of ours.
        AppError: what ``change`` raises.
    """
    with _alone(folder):
        tills = change(read_tills(folder))
        assert len(tills) <= TILLS_MAX, "whoever adds one looks at the bound"
        write_private(folder / TILLS_FILE, msgspec.json.format(msgspec.json.encode(tills)))


def stamp_of(folder: Path) -> tuple[int, int, int] | None:
    """Another one than before: the file was written anew."""
    try:
        found = (folder / TILLS_FILE).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotFoundError("this folder cannot be used", hint="Check --folder.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Files on a stick: written whole or not at all, and opened only where they are plain files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from shared.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError

_NAME_SHOWN_MAX: Final = 100


def write_on_stick(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a new file; how many bytes. When this returns, the stick may be pulled.

    Raises:
        ConflictError: there is such a file.
        UnavailableError: the stick refused; nothing is there under this name.
    """
    part = _part_of(path)
    size_bytes = 0
    try:
        with os.fdopen(_begin(path), "wb") as file:
            for piece in pieces:
                file.write(piece)
                size_bytes += len(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        # What refused the file may refuse this as well.
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise _refused(path, error) from error
    return size_bytes


def check_stick(path: Path) -> None:
    """Whether a new file can be begun here, before something is done that cannot be undone.

    Raises:
        ConflictError, UnavailableError: as ``write_on_stick`` would.
    """
    try:
        os.close(_begin(path))
        _part_of(path).unlink()
    except OSError as error:
        raise _refused(path, error) from error


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _begin(path: Path) -> int:
    """A descriptor of the file's part, empty."""
    if path.exists():
        raise ConflictError(f"{path.name} is there already", code="file_exists")
    part = _part_of(path)
    part.unlink(missing_ok=True)
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _refused(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"{path.name[:_NAME_SHOWN_MAX]} could not be written: {error.strerror}",
        code="stick_refused",
        hint="Is there room, and may it be written to?",
    )


def open_on_stick(path: Path, bytes_max: int) -> BinaryIO:
    """Open a plain file of at most so many bytes; no link, device or folder.

    Raises:
        NotFoundError: there is no such file, or it is none of that kind.
        TooLargeError: it is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"{path.name} cannot be opened: {error.strerror}") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise NotFoundError(f"{path.name} is no plain file")
    if found.st_size > bytes_max:
        os.close(descriptor)
        raise TooLargeError(f"{path.name} is larger than such a file can be")
    return os.fdopen(descriptor, "rb")

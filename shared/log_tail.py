"""The end of the log in a file of bounded size, for who needs help and has no journal at hand."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

LOG_FILE: Final = "recent.log"
LOG_FILE_BYTES_MAX: Final = 512 * 2**10
"""Then it becomes the one before, and that one goes: a megabyte on the disk at the most."""
_BEFORE: Final = ".before"


class LogTail:
    """A stream that writes every line to ``stream`` and to the file; no failure stops anybody."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._file: TextIO | None = None
        self._size_bytes = 0

    def write(self, text: str) -> None:
        """One line."""
        with suppress(OSError):
            self._stream.write(text)
        with suppress(OSError, ValueError):
            self._keep(text)

    def flush(self) -> None:
        """Hand it on."""
        with suppress(OSError):
            self._stream.flush()
        with suppress(OSError, ValueError):
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Keep nothing more."""
        with suppress(OSError, ValueError):
            if self._file is not None:
                self._file.close()
        self._file = None

    def _keep(self, text: str) -> None:
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")
            self._size_bytes = self._path.stat().st_size
        self._size_bytes += len(text.encode("utf-8", "replace"))
        self._file.write(text)
        if self._size_bytes > LOG_FILE_BYTES_MAX:
            self._file.close()
            self._file = None
            self._path.replace(self._path.with_name(self._path.name + _BEFORE))


def tail_of(path: Path, bytes_max: int) -> str:
    """The last so many bytes of what was kept, whole lines; empty where nothing was."""
    data = b""
    for each in (path.with_name(path.name + _BEFORE), path):
        with suppress(OSError):
            data += each.read_bytes()[-bytes_max:]
    if len(data) > bytes_max:
        data = data[-bytes_max:].partition(b"\n")[2]
    return data.decode("utf-8", "replace")

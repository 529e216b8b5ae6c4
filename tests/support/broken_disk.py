"""SQLite on a disk that refuses: its files are real, some of its calls fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final, Self

import apsw

_NUMBERS: Final = count()
_EXTENDED: Final = {"write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC}


class BrokenDisk(apsw.VFS):
    """Whole until it is told otherwise. ``calls``: how many writes and syncs were asked of it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "unix")
        self.calls = 0
        self.errno = 0
        self._refuses: Callable[[str, str], bool] = lambda _what, _name: False

    @classmethod
    @contextmanager
    def mounted(cls) -> Iterator[Self]:
        """All databases opened inside the block are on it."""
        before = apsw.vfs_names()[0]
        name = f"broken-{next(_NUMBERS)}"
        disk = cls(name)
        apsw.set_default_vfs(name)
        try:
            yield disk
        finally:
            apsw.set_default_vfs(before)
            disk.unregister()

    def refuse_while(self, number: int, holds: Callable[[], bool]) -> None:
        """Every write and sync fails with this error number as long as something holds."""
        self.errno = number
        self._refuses = lambda _what, _name: holds()

    def fail_at(self, what: str, at: int, number: int, *, name: str = "") -> None:
        """The n-th "write" or "sync" from now fails once; of one file, if it is named."""
        self.errno = number
        left = iter(range(at, -1, -1))
        self._refuses = lambda asked, of: (
            asked == what and of.endswith(name) and next(left, None) == 0
        )

    def mend(self) -> None:
        """It is whole again."""
        self._refuses = lambda _what, _name: False

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        return _File(self, name, flags)

    def xGetLastError(self) -> tuple[int, str]:  # noqa: N802 - SQLite's name
        return self.errno, os.strerror(self.errno)

    def ask(self, what: str, name: str) -> None:
        """Raise what SQLite's own files would, when the call is to fail."""
        self.calls += 1
        if not self._refuses(what, name):
            return
        if self.errno == errno.ENOSPC:
            raise apsw.FullError("database or disk is full")
        error = apsw.IOError("disk I/O error")
        error.extendedresult = _EXTENDED[what]
        raise error


class _File(apsw.VFSFile):
    def __init__(
        self, disk: BrokenDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.ask("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.ask("sync", self._name)
        super().xSync(flags)

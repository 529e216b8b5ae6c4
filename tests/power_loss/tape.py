"""Record what a program asks of its disks: every write, flush, cut, new name and lost name.

SQLite is heard through a VFS, everything else through the functions of ``os`` that it calls. The
calls are done as well; what the disks would hold if the power had failed is for ``disk`` to say.
The log's index (``-shm``) is left out: it is memory, and nobody finds it after a power cut.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

_NUMBERS: Final = count()
_NEW_LOG: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing that was asked of a disk.

    ``what``: "create", "write" (``data`` at ``offset``), "cut" (to ``offset`` bytes), "flush",
    "rename" (to ``target``), "delete", "flush_folder"; or "mark": something that a till was told.
    """

    what: str
    path: str
    data: bytes = b""
    offset: int = 0
    target: str = ""
    mark: Any = None


@dataclass(kw_only=True)
class Tape:
    """What was asked, in order, of everything under ``root``; paths are relative to it.

    ``before``: the files as they lay there, flushed, before the first call.
    """

    root: Path
    calls: list[Call] = field(default_factory=list)
    before: dict[str, bytes] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, path: str | os.PathLike[str], **more: Any) -> None:
        """Note a call, if it is about a file of ours."""
        name = self.name_of(path)
        if name is not None:
            if "target" in more:
                more["target"] = self.name_of(more["target"])
            with self._lock:
                self.calls.append(Call(what=what, path=name, **more))

    def mark(self, kind: str, *what: Any) -> None:
        """Note that a till was told something, or asked for it."""
        with self._lock:
            self.calls.append(Call(what="mark", path="", mark=(kind, *what)))

    def name_of(self, path: str | os.PathLike[str]) -> str | None:
        """The path under the root; None for files that are not looked at."""
        name = os.fspath(path)
        if not isinstance(name, str) or not name.startswith(f"{self.root}{os.sep}"):
            return None
        return (
            None if name.endswith(("-shm", "lock", "reserve")) else os.path.relpath(name, self.root)
        )


@contextmanager
def recording(root: Path) -> Iterator[Tape]:
    """The tape of what happens under a folder inside the block."""
    tape = Tape(root=root)
    for path in sorted(root.rglob("*")):
        name = tape.name_of(path)
        if path.is_dir():
            tape.folders.append(os.path.relpath(path, root))
        elif name is not None:
            tape.before[name] = path.read_bytes()
    previous = apsw.vfs_names()[0]
    vfs = _Vfs(f"tape-{next(_NUMBERS)}", tape)
    apsw.set_default_vfs(vfs.name)
    with pytest.MonkeyPatch.context() as patch:
        _listen(patch, tape)
        try:
            yield tape
        finally:
            apsw.set_default_vfs(previous)
            vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, name: str, tape: Tape) -> None:
        super().__init__(name, "unix")
        self.name = name
        self._tape = tape

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        is_new = bool(flags[0] & apsw.SQLITE_OPEN_CREATE) and not os.path.lexists(path)
        file = _File(self._tape, name, path, flags, flushes_folder=is_new)
        if is_new:
            self._tape.add("create", path)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self._tape.add("delete", filename)
        if syncdir:
            self._tape.add("flush_folder", Path(filename).parent)


class _File(apsw.VFSFile):
    def __init__(
        self,
        tape: Tape,
        name: str | apsw.URIFilename | None,
        path: str,
        flags: list[int],
        *,
        flushes_folder: bool,
    ) -> None:
        self._flushes_folder = flushes_folder and bool(flags[0] & _NEW_LOG)
        super().__init__("unix", name, flags)
        self._tape = tape
        self._path = path

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._tape.add("write", self._path, data=bytes(data), offset=offset)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._tape.add("cut", self._path, offset=newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._tape.add("flush", self._path)
        if self._flushes_folder:
            # SQLite's own files do so with a new log.
            self._tape.add("flush_folder", Path(self._path).parent)
            self._flushes_folder = False


class _Written(io.RawIOBase):
    """A file that was opened for writing as a whole."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def write(self, data: Any) -> int:
        return os.write(self._descriptor, data)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _listen(patch: pytest.MonkeyPatch, tape: Tape) -> None:
    """Hear the functions of ``os`` that the agent writes with."""
    paths: dict[int, str] = {}
    ends: dict[int, int] = {}
    real: dict[str, Callable[..., Any]] = {
        name: getattr(os, name)
        for name in (
            *("open", "close", "write", "pwrite", "fsync", "fdatasync", "ftruncate"),
            *("truncate", "rename", "replace", "unlink", "remove"),
        )
    }
    real_open = io.open

    def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        descriptor: int = real["open"](path, flags, *more, **named)
        if tape.name_of(path) is not None:
            paths[descriptor] = os.fspath(path)
            ends[descriptor] = 0
            if is_new:
                tape.add("create", path)
            elif flags & os.O_TRUNC:
                tape.add("cut", path, offset=0)
        return descriptor

    def closed(descriptor: int) -> None:
        paths.pop(descriptor, None)
        real["close"](descriptor)

    def written(descriptor: int, data: Any) -> int:
        size: int = real["write"](descriptor, data)
        if descriptor in paths:
            piece = bytes(data[:size])
            tape.add("write", paths[descriptor], data=piece, offset=ends[descriptor])
            ends[descriptor] += size
        return size

    def placed(descriptor: int, data: Any, offset: int) -> int:
        size: int = real["pwrite"](descriptor, data, offset)
        if descriptor in paths:
            tape.add("write", paths[descriptor], data=bytes(data[:size]), offset=offset)
        return size

    def flushed(name: str) -> Callable[[int], None]:
        def flush(descriptor: int) -> None:
            real[name](descriptor)
            if descriptor in paths:
                path = paths[descriptor]
                tape.add("flush_folder" if Path(path).is_dir() else "flush", path)

        return flush

    def cut(descriptor: int, size: int) -> None:
        real["ftruncate"](descriptor, size)
        if descriptor in paths:
            tape.add("cut", paths[descriptor], offset=size)

    def moved(source: Any, target: Any) -> None:
        real["rename"](source, target)
        tape.add("rename", source, target=target)

    def removed(path: Any, *more: Any, **named: Any) -> None:
        real["unlink"](path, *more, **named)
        tape.add("delete", path)

    def file_opened(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if mode == "wb" and not isinstance(path, int) and tape.name_of(path) is not None:
            return _Written(os.fspath(path))
        return real_open(path, mode, *more, **named)

    heard = {
        "open": opened,
        "close": closed,
        "write": written,
        "pwrite": placed,
        "fsync": flushed("fsync"),
        "fdatasync": flushed("fdatasync"),
        "ftruncate": cut,
        "rename": moved,
        "replace": moved,
        "unlink": removed,
        "remove": removed,
    }
    for name, function in heard.items():
        patch.setattr(os, name, function)
    patch.setattr(io, "open", file_opened)

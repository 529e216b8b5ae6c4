"""What disks hold after the power failed: what was flushed, and any part of what was not.

A write that was not flushed may be there, be missing, or be there in some of its sectors, whatever
was written after it; a file may have its new length without what belongs there. Names behave as in
a journalled file system: those that were not flushed are there up to some moment.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from tests.power_loss.tape import Call, Tape


class Loss(enum.StrEnum):
    """What becomes of what was not flushed."""

    KEPT = "kept"
    DROPPED = "dropped"
    SHUFFLED = "shuffled"
    """Of all writes some are there."""
    TORN = "torn"
    """Of all writes some sectors of 512 bytes are there."""
    TORN_PAGES = "torn_pages"
    """The same with sectors of 4096 bytes."""


_SECTOR_BYTES = {Loss.TORN: 512, Loss.TORN_PAGES: 4096}


@dataclass(kw_only=True)
class _Inode:
    flushed: bytearray
    pending: list[Call] = field(default_factory=list)


@dataclass(kw_only=True)
class Disk:
    """The state of all files at one moment of the tape. ``lies``: whether a flush is ignored."""

    inodes: dict[int, _Inode]
    live: dict[str, int]
    named: dict[str, int]
    renamings: list[Call] = field(default_factory=list)
    lies: Callable[[Call], bool] = field(default=lambda _: False)

    @classmethod
    def of(cls, tape: Tape, lies: Callable[[Call], bool] = lambda _: False) -> Disk:
        """As it was before the first call."""
        names = {name: number for number, name in enumerate(tape.before)}
        inodes = {
            names[name]: _Inode(flushed=bytearray(data)) for name, data in tape.before.items()
        }
        return cls(inodes=inodes, live=dict(names), named=dict(names), lies=lies)

    def do(self, call: Call) -> None:
        """Go on by one call."""
        if call.what == "create":
            number = len(self.inodes)
            self.inodes[number] = _Inode(flushed=bytearray())
            self.live[call.path] = number
            self.renamings.append(Call(what="create", path=call.path, offset=number))
        elif call.what in ("write", "cut"):
            self._inode(call).pending.append(call)
        elif call.what == "flush":
            if not self.lies(call):
                inode = self._inode(call)
                for each in inode.pending:
                    _put(inode.flushed, each)
                inode.pending.clear()
        elif call.what in ("rename", "delete"):
            _rename(self.live, call)
            self.renamings.append(call)
        elif call.what == "flush_folder" and not self.lies(call):
            self._flush_folder(call.path)

    def after_power_cut(self, loss: Loss, chance: random.Random) -> dict[str, bytes]:
        """The files that are found, by name."""
        names = dict(self.named)
        done = len(self.renamings)
        if loss is Loss.DROPPED:
            done = 0
        elif loss is not Loss.KEPT:
            done = chance.randint(0, done)
        for call in self.renamings[:done]:
            _rename(names, call)
        return {name: self._content(number, loss, chance) for name, number in names.items()}

    def _inode(self, call: Call) -> _Inode:
        return self.inodes[self.live[call.path]]

    def _flush_folder(self, folder: str) -> None:
        """Renamings happen within one folder here."""
        stay: list[Call] = []
        for call in self.renamings:
            if str(Path(call.path).parent) == folder:
                _rename(self.named, call)
            else:
                stay.append(call)
        self.renamings = stay

    def _content(self, number: int, loss: Loss, chance: random.Random) -> bytes:
        inode = self.inodes[number]
        if not inode.pending or loss is Loss.DROPPED:
            return bytes(inode.flushed)
        content = deepcopy(inode.flushed)
        share = chance.choice((0.1, 0.5, 0.9))
        for call in inode.pending:
            for piece in _pieces(call, _SECTOR_BYTES.get(loss)):
                if loss is Loss.KEPT or chance.random() < share:
                    _put(content, piece)
        return bytes(content)


def write_out(files: dict[str, bytes], tape: Tape, root: Path) -> None:
    """Make these files anew under a root."""
    for name in tape.folders:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _rename(names: dict[str, int], call: Call) -> None:
    if call.what == "create":
        names[call.path] = call.offset
    elif call.what == "delete":
        names.pop(call.path, None)
    elif call.path in names:
        names[call.target] = names.pop(call.path)


def _pieces(call: Call, sector_bytes: int | None) -> list[Call]:
    if call.what == "cut" or sector_bytes is None:
        return [call]
    pieces = []
    at, end = call.offset, call.offset + len(call.data)
    while at < end:
        until = min(end, (at // sector_bytes + 1) * sector_bytes)
        data = call.data[at - call.offset : until - call.offset]
        pieces.append(Call(what="write", path=call.path, data=data, offset=at))
        at = until
    return pieces


def _put(content: bytearray, call: Call) -> None:
    if call.what == "cut":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    if len(content) < call.offset:
        content.extend(bytes(call.offset - len(content)))
    content[call.offset : call.offset + len(call.data)] = call.data

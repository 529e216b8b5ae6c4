"""What a process has taken: processor time, which neighbours disturb little, and memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PARENT: Final = 1
_USER: Final = 11
_SYSTEM: Final = 12


def spent_cpu_s(pid: int) -> float:
    """What a process and all that it started have taken of the cores so far; ticks of 10 ms.

    Of children that ended nothing is counted.
    """
    stats = dict(_stats())
    return sum(_spent(stats[each]) for each in _family(pid, stats))


def rss_bytes(pid: int) -> int:
    """Memory of a process that is in use."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _stats() -> Iterable[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text("utf-8", errors="replace")
            except OSError:  # it ended meanwhile
                continue
            # The name in brackets may hold anything, so what follows the last bracket is split.
            yield int(folder.name), text.rpartition(")")[2].split()


def _family(pid: int, stats: dict[int, list[str]]) -> list[int]:
    found, waiting = [], [pid] if pid in stats else []
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        waiting += [each for each, fields in stats.items() if int(fields[_PARENT]) == parent]
    return found


def _spent(fields: list[str]) -> float:
    return (int(fields[_USER]) + int(fields[_SYSTEM])) * _TICK_S

"""Text, tables and progress: with colours where a person looks on, plain where a pipe does.

``rich`` is used when the output is a terminal and it is installed; nothing here needs it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""A name in a document must not move the cursor or turn the text of a terminal round."""
_GAP: Final = "  "
_BETWEEN: Final = 3
"""What a column of a table on a terminal takes beside its text."""
_TEXT_LEAST: Final = 8
"""A column of text narrower than this is no column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand to the right."""

    name: str
    right: bool = False


@dataclass(slots=True, kw_only=True)
class Table:
    """Rows of text under columns."""

    title: str
    columns: Sequence[Column]
    rows: list[Sequence[str]] = field(default_factory=list)


class Screen:
    """Where a command writes for people."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = _console(out) if out.isatty() else None

    def line(self, text: str = "", style: str = "") -> None:
        """One text, of as many lines as it has; ``style`` as rich names it."""
        shown = clean(text)
        if self._console is None:
            self._out.write(shown + "\n")
        else:
            from rich.text import Text  # noqa: PLC0415 - an extra, loaded where it is used

            self._console.print(Text(shown, style=style), soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table with a blank line after it; one without rows is not shown."""
        if not table.rows:
            return
        rows = [[clean(cell) for cell in row] for row in table.rows]
        if self._console is None:
            self._out.write("\n".join(_plain(table, rows)) + "\n\n")
        else:
            _show(self._console, table, rows)

    @contextmanager
    def progress(self, what: str, whole: int) -> Iterator[Callable[[int], None]]:
        """A bar while something runs; yields what is told how much of the whole is done."""
        if self._console is None or not whole:
            yield lambda _done: None
            return
        from rich.progress import (  # noqa: PLC0415 - an extra, loaded where it is used
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(what, total=whole)
            yield lambda done: progress.update(task, completed=done)


def output() -> Screen:
    """Where answers go."""
    return Screen(sys.stdout)


def complaints() -> Screen:
    """Where warnings, errors and progress go."""
    return Screen(sys.stderr)


def clean(text: str) -> str:
    """The text without what could steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _console(out: TextIO) -> Any:
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra, loaded where it is used
    except ImportError:
        return None
    return Console(file=out, highlight=False)


def _show(console: Any, table: Table, rows: list[list[str]]) -> None:
    from rich import box  # noqa: PLC0415 - an extra, loaded where it is used
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = RichTable(
        title=Text(table.title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    needed = 0
    for place, column in enumerate(table.columns):
        # Text may be folded, a number may not.
        least = max(len(row[place]) for row in rows) if column.right else _TEXT_LEAST
        needed += least + _BETWEEN
        shown.add_column(
            Text(column.name),
            justify="right" if column.right else "left",
            min_width=least if column.right else None,
            overflow="fold",
        )
    if needed > console.width:
        console.print(Text("\n".join(_plain(table, rows)) + "\n"), soft_wrap=True)
        return
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(shown)


def _plain(table: Table, rows: list[list[str]]) -> Iterator[str]:
    """The table as aligned text; cells of several lines are not cut."""
    widths = [
        max(len(part) for cell in cells for part in cell.split("\n"))
        for cells in zip([column.name for column in table.columns], *rows, strict=True)
    ]
    if table.title:
        yield table.title
    yield _plain_row(table, [column.name for column in table.columns], widths)
    yield _GAP.join("-" * width for width in widths)
    for row in rows:
        cells = [cell.split("\n") for cell in row]
        for at in range(max(map(len, cells))):
            parts = [cell[at] if at < len(cell) else "" for cell in cells]
            yield _plain_row(table, parts, widths)


def _plain_row(table: Table, cells: Sequence[str], widths: list[int]) -> str:
    placed = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for column, cell, width in zip(table.columns, cells, widths, strict=True)
    ]
    return _GAP.join(placed).rstrip()

"""Files of one JSON object a line, bounded; what is wrong is named by its line, never quoted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from shared.errors import InputError
from shared.unreadable import UNREADABLE

LINE_BYTES_MAX: Final = 4_096
"""A line of such a file takes a hundred bytes or two."""
_Row = TypeVar("_Row", bound=msgspec.Struct)


def read_rows(
    path: Path, kind: type[_Row], *, rows_max: int, check: Callable[[_Row], _Row] = lambda row: row
) -> Iterator[tuple[int, _Row]]:
    """The rows of a file with the numbers of their lines; ``check`` gives a row as it is kept.

    Raises:
        InputError: a line is not what it should be, is too long, or is one too many.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        line = 0
        while data := file.readline(LINE_BYTES_MAX + 1):
            line += 1
            if len(data) > LINE_BYTES_MAX:
                raise wrong_line(path, line, f"more than {LINE_BYTES_MAX} bytes")
            if line > rows_max:
                raise wrong_line(path, line, f"more than {rows_max} lines")
            try:
                yield line, check(msgspec.json.decode(data, type=kind))
            except (InputError, *UNREADABLE) as error:
                raise wrong_line(path, line, str(error)) from error


def wrong_line(path: Path, line: int, what: str) -> InputError:
    """The error that names a line."""
    return InputError(
        f"{path.name}, line {line}: {what}",
        code="bad_line",
        hint="Nothing of the file was taken in; correct the line and try again.",
    )

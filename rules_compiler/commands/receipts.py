"""Receipts from files: one, or many as lines of JSON, packed by gzip or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, cast

from shared.errors import InputError
from shared.wire.receipt import Receipt
from shared.wire.receipt_json import ReceiptError, decode_receipt

RECEIPT_BYTES_MAX: Final = 64 * 2**20
BATCH_RECEIPTS: Final = 500
"""Enough that handing over costs nothing, few enough that Ctrl-C and progress are prompt."""
BATCH_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some lines of a file; ``first`` is the number of the first receipt over all files."""

    path: str
    first: int
    line_numbers: list[int]
    lines: list[bytes]


def read_receipt(path: Path) -> Receipt:
    """The receipt of this file.

    Raises:
        InputError: the file is no receipt; every fault is told.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(RECEIPT_BYTES_MAX + 1)
    if len(data) > RECEIPT_BYTES_MAX:
        raise InputError(f"{path}: a receipt has at most {RECEIPT_BYTES_MAX} bytes")
    try:
        return decode_receipt(data.removeprefix(b"\xef\xbb\xbf"))
    except ReceiptError as error:
        told = "".join(f"\n  {each.pointer or '/'}: {each.detail}" for each in error.findings)
        raise InputError(
            f"{path} is not a receipt:{told}", hint="The receipt is one JSON object."
        ) from error


def whole_bytes(paths: Sequence[Path]) -> int:
    """The size of all files as they lie on the disk.

    Raises:
        OSError: one of them is not there.
    """
    return sum(path.stat().st_size for path in paths)


def read_batches(paths: Sequence[Path], tell: Callable[[int], None]) -> Iterator[Batch]:
    """The lines of the files in batches; ``tell`` hears how many bytes of the disk were read.

    Raises:
        InputError: a packed file is damaged.
        OSError: a file cannot be read.
    """
    first = done = 0
    for path in paths:
        with path.open("rb") as raw:
            lines: BinaryIO = raw
            if path.suffix == ".gz":
                lines = cast("BinaryIO", BufferedReader(gzip.GzipFile(fileobj=raw)))
            for batch in _batches_of(path, lines, first):
                first += len(batch.lines)
                yield batch
                tell(done + _place(raw))
            done += _place(raw)


def _place(raw: BinaryIO) -> int:
    """How far it was read; a pipe does not know."""
    return raw.tell() if raw.seekable() else 0


def _batches_of(path: Path, source: BinaryIO, first: int) -> Iterator[Batch]:
    numbers: list[int] = []
    lines: list[bytes] = []
    size = 0
    for number, line in enumerate(_lines(path, source), start=1):
        if line.isspace():
            continue
        numbers.append(number)
        lines.append(line)
        size += len(line)
        if len(lines) == BATCH_RECEIPTS or size >= BATCH_BYTES:
            yield Batch(path=str(path), first=first, line_numbers=numbers, lines=lines)
            first += len(lines)
            numbers, lines, size = [], [], 0
    if lines:
        yield Batch(path=str(path), first=first, line_numbers=numbers, lines=lines)


def _lines(path: Path, source: BinaryIO) -> Iterator[bytes]:
    try:
        while line := source.readline(RECEIPT_BYTES_MAX + 1):
            if len(line) > RECEIPT_BYTES_MAX:
                raise InputError(
                    f"{path}: a line has at most {RECEIPT_BYTES_MAX} bytes",
                    hint="The file wants one receipt a line.",
                )
            yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged: {error}", hint="Pack or copy it again.") from error

"""Values of one field, side by side: packed small for the wire, unpacked under a counted bound.

Records of one kind differ little from one another. Written field by field instead of record by
record, most fields become one value, or small numbers, and compress to a fraction. Packing tries
the forms that fit and keeps the shortest; every form gives back exactly the values it was made of.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import msgspec

from shared.errors import InputError, TooLargeError

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_SAME: Final = 0
"""[0, value]: all are this."""
_PLAIN: Final = 1
"""[1, values]"""
_STEPS: Final = 2
"""[2, steps form]: integers, each told as what is added to the one before."""
_CHOICE: Final = 3
"""[3, distinct values, one byte each]"""
_PLANES: Final = 4
"""[4, width, bytes]: integers from 0, all lowest bytes first, then all second bytes, …"""
_NUMBERED: Final = 5
"""[5, beginnings, widths, numbers]: texts that end in so many digits."""
_CHOICES_MAX: Final = 256
_WIDTH_MAX: Final = 6
_MACHINE_BYTES: Final = 8
_DIGITS_MAX: Final = 18


class Budget:
    """How many bytes may still come out of a frame, whatever its columns claim."""

    __slots__ = ("left_bytes",)

    def __init__(self, bytes_max: int) -> None:
        self.left_bytes: int = bytes_max

    def take(self, amount_bytes: int) -> None:
        """Use some of it.

        Raises:
            TooLargeError: there is not so much left.
        """
        self.left_bytes -= amount_bytes
        if self.left_bytes < 0:
            raise TooLargeError("the batch holds more than agreed")


def pack(values: Sequence[Any]) -> list[Any]:
    """The shortest form of the values; what was packed equal unpacks equal."""
    if not values:
        return [_PLAIN, []]
    first = values[0]
    if all(value == first and type(value) is type(first) for value in values):
        return [_SAME, first]
    forms: list[list[Any]] = [[_PLAIN, list(values)]]
    if all(type(value) is int for value in values):
        forms += _integer_forms(values)
    elif all(type(value) is str for value in values):
        forms += _text_forms(values)
    return min(forms, key=lambda form: len(_ENCODE(form)))


def unpack(packed: Any, count: int, budget: Budget) -> Sequence[Any]:
    """The ``count`` values of a packed column.

    Raises:
        InputError: it is no packed column, or of another length.
        TooLargeError: the values would be larger than the budget.
    """
    match packed:
        case [0, value]:
            budget.take(len(_ENCODE(value)) * count)
            return [value] * count
        case [1, list(values)]:
            budget.take(len(values))
        case [2, form]:
            budget.take(count)
            values = list(accumulate(_integers(unpack(form, count, budget))))
        case [3, list(distinct), bytes(places)]:
            if not distinct or max(places, default=0) >= len(distinct):
                raise _bad()
            if len(distinct) < len(places):
                # The same text many times over: every repetition counts.
                budget.take(sum(map([len(_ENCODE(v)) for v in distinct].__getitem__, places)))
            values = list(map(distinct.__getitem__, places))
        case [4, int(width), bytes(planes)] if 0 < width <= _WIDTH_MAX:
            if len(planes) != width * count:
                raise _bad()
            budget.take(count)
            values = _whole(planes, width, count)
        case [5, beginnings, widths, numbers]:
            budget.take(count * _DIGITS_MAX)
            values = [
                f"{beginning}{number:0{width}d}" if width else beginning
                for beginning, width, number in zip(
                    unpack(beginnings, count, budget),
                    _widths(unpack(widths, count, budget)),
                    _integers(unpack(numbers, count, budget)),
                    strict=True,
                )
            ]
        case _:
            raise _bad()
    if len(values) != count:
        raise _bad()
    return values


def _whole(planes: bytes, width: int, count: int) -> list[int]:
    """The integers whose bytes stand in planes: laid out as the machine's, and read at once."""
    if width == 1:
        return list(planes)
    laid = bytearray(_MACHINE_BYTES * count)
    for place in range(width):
        laid[place::_MACHINE_BYTES] = planes[place * count : (place + 1) * count]
    return list(struct.unpack(f"<{count}Q", laid))


def _integer_forms(values: Sequence[int]) -> list[list[Any]]:
    forms: list[list[Any]] = []
    if min(values) >= 0 and max(values) < 1 << 8 * _WIDTH_MAX:
        forms.append(_planes(values))
    steps = [
        values[0],
        *(after - before for before, after in pairwise(values)),
    ]
    even = all(step == steps[1] for step in steps[1:])
    if (even or min(steps) >= 0) and max(map(abs, steps)) < 1 << 63:
        inner = [_PLAIN, steps]
        if min(steps) >= 0 and max(steps) < 1 << 8 * _WIDTH_MAX:
            inner = min(inner, _planes(steps), key=lambda form: len(_ENCODE(form)))
        forms.append([_STEPS, inner])
    return forms


def _planes(values: Sequence[int]) -> list[Any]:
    width = max((max(values).bit_length() + 7) // 8, 1)
    return [_PLANES, width, b"".join(bytes(v >> 8 * p & 255 for v in values) for p in range(width))]


def _text_forms(values: Sequence[str]) -> list[list[Any]]:
    forms: list[list[Any]] = []
    distinct = list(dict.fromkeys(values))
    if len(distinct) <= min(_CHOICES_MAX, len(values) // 2):
        place = {value: number for number, value in enumerate(distinct)}
        forms.append([_CHOICE, distinct, bytes(map(place.__getitem__, values))])
    parts = [_split(value) for value in values]
    if any(width for _, width, _ in parts):
        beginnings, widths, numbers = zip(*parts, strict=True)
        forms.append([_NUMBERED, pack(beginnings), pack(widths), pack(numbers)])
    return forms


def _split(text: str) -> tuple[str, int, int]:
    """The beginning, and how many digits end it with their number."""
    beginning = text.rstrip("0123456789")
    digits = text[len(beginning) :]
    if len(digits) > _DIGITS_MAX:
        beginning, digits = text[:-_DIGITS_MAX], text[-_DIGITS_MAX:]
    return beginning, len(digits), int(digits or "0")


def _integers(values: Sequence[Any]) -> Sequence[int]:
    if values and (
        set(map(type, values)) != {int} or min(values) < -(1 << 63) or max(values) >= 1 << 63
    ):
        raise _bad()
    return values


def _widths(values: Sequence[Any]) -> Sequence[int]:
    if not all(type(value) is int and 0 <= value <= _DIGITS_MAX for value in values):
        raise _bad()
    return values


def _bad() -> InputError:
    return InputError("a column of the frame cannot be read", code="bad_frame")

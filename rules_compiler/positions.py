"""Where in the text of a document a JSON pointer points: worked out when there are findings.

Reading stays fast because it keeps no positions; whoever has findings reads the text once more and
walks only along the pointers wanted, the rest is skipped by the parser written in C.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NEXT_LINE: Final = re.compile(r"\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a text, line and column from 1, in characters."""

    line: int
    column: int


@dataclass(slots=True)
class Wanted:
    """The pointers to find, as a tree of their steps."""

    pointer: str | None = None
    below: dict[str, Wanted] = field(default_factory=dict)


def wanted_tree(pointers: Iterable[str]) -> Wanted:
    """The tree of these pointers."""
    root = Wanted()
    for pointer in pointers:
        node = root
        for step in pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            node = node.below.setdefault(key, Wanted())
        node.pointer = pointer
    return root


def json_positions(text: str, pointers: Iterable[str]) -> dict[str, Position]:
    """Where in this valid JSON each pointer points; those that point nowhere are left out."""
    found: dict[str, int] = {}
    decoder: Any = json.JSONDecoder(parse_float=str, parse_int=str)
    _walk(text, _skip(text, 0), wanted_tree(pointers), decoder.scan_once, found)
    starts = [0, *(each.end() for each in _NEXT_LINE.finditer(text))]
    return {pointer: _position(starts, at) for pointer, at in found.items()}


def _position(starts: list[int], at: int) -> Position:
    line = bisect_right(starts, at)
    return Position(line=line, column=at - starts[line - 1] + 1)


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _walk(
    text: str,
    at: int,
    wanted: Wanted,
    scan: Callable[[str, int], tuple[Any, int]],
    found: dict[str, int],
) -> int:
    """Note the value that begins here and those wanted below it; the index behind it."""
    if wanted.pointer is not None:
        found[wanted.pointer] = at
    if not wanted.below or text[at] not in "{[":
        return scan(text, at)[1]
    is_object = text[at] == "{"
    at = _skip(text, at + 1)
    index = 0
    while text[at] not in "}]":
        key = str(index)
        if is_object:
            key, at = scan(text, at)
            at = _skip(text, _skip(text, at) + 1)
        below = wanted.below.get(key)
        at = scan(text, at)[1] if below is None else _walk(text, at, below, scan, found)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return at + 1

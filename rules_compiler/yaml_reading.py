"""YAML beside JSON: the same values, by the same strictness.

Read from the events of the parser, not by any loader of objects: plain scalars are numbers, true,
false and null only where JSON has them, so ``no`` is a word, ``2026-11-30`` is a text and 1.10
stays "1.10". Tags, anchors and aliases are refused: a document of a few lines could otherwise stand
for gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import yaml

from rules_compiler.positions import Position, Wanted, wanted_tree
from shared.wire.problem import Finding
from shared.wire.reading import FormatError, NumberText, Repeated, refuse_unsound, twice

DEPTH_MAX: Final = 200
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_CONSTANTS: Final[dict[str, Any]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
_PARSER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse_yaml(data: bytes) -> Any:
    """The value of one YAML document, as ``parse_json`` would give it.

    Raises:
        FormatError: the bytes are not such YAML.
    """
    builder = _Builder(Wanted())
    value = builder.build(data)
    if builder.has_repeated_keys:
        refuse_unsound(value)
    return value


def yaml_positions(data: bytes, pointers: Iterable[str]) -> dict[str, Position]:
    """Where in this valid YAML each pointer points; those that point nowhere are left out."""
    builder = _Builder(wanted_tree(pointers))
    builder.build(data)
    return builder.positions


class _Open:
    """A mapping or sequence that is being read."""

    __slots__ = ("items", "key", "keys", "wanted")

    def __init__(self, *, is_mapping: bool, wanted: Wanted | None) -> None:
        self.keys: list[str] | None = [] if is_mapping else None
        self.items: list[Any] = []
        self.key: str | None = None
        self.wanted = wanted

    def expects_key(self) -> bool:
        return self.keys is not None and self.key is None

    def step(self) -> str:
        return str(len(self.items)) if self.key is None else self.key

    def add(self, value: Any) -> None:
        if self.keys is not None and self.key is not None:
            self.keys.append(self.key)
            self.key = None
        self.items.append(value)

    def value(self) -> tuple[Any, bool]:
        """What was read, and whether a key stood twice in it."""
        if self.keys is None:
            return self.items, False
        found = dict(zip(self.keys, self.items, strict=True))
        if len(found) == len(self.items):
            return found, False
        marked = Repeated(found)
        marked.keys_twice = twice(self.keys)
        return marked, True


class _Builder:
    """Puts values together from events, and notes where those wanted begin."""

    def __init__(self, wanted: Wanted) -> None:
        self.positions: dict[str, Position] = {}
        self._wanted = wanted
        self._open: list[_Open] = []
        self._roots: list[Any] = []
        self.has_repeated_keys = False

    def build(self, data: bytes) -> Any:
        """Read the whole text."""
        try:
            parser = _PARSER(data.decode("utf-8-sig"))
            while parser.check_event():
                self._take(parser.get_event())
        except UnicodeDecodeError as error:
            raise _broken(f"byte {error.start} is not UTF-8") from error
        except yaml.MarkedYAMLError as error:
            detail = error.problem or "this is not YAML"
            raise _broken(detail, error.problem_mark or error.context_mark) from error
        except yaml.YAMLError as error:
            raise _broken(str(error).splitlines()[0] if str(error) else "not YAML") from error
        if not self._roots:
            raise _broken("the document is empty")
        return self._roots[0]

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise _refused(event, "alias", "an alias", "what it stands for, written out")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            if event.anchor is not None:
                raise _refused(event, "alias", "an anchor", "no anchors and aliases")
            if event.tag is not None:
                raise _refused(event, "tag", f"the tag {event.tag[:50]!r}", "no tags")
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            value, repeated = self._open.pop().value()
            self.has_repeated_keys = self.has_repeated_keys or repeated
            self._add(value)
        elif isinstance(event, yaml.DocumentStartEvent) and self._roots:
            raise _refused(event, "not_yaml", "a second document", "one document")

    def _begin(self, event: Any) -> None:
        """A scalar, or the start of a mapping or sequence."""
        parent = self._open[-1] if self._open else None
        is_scalar = isinstance(event, yaml.ScalarEvent)
        if parent is not None and parent.expects_key():
            if not is_scalar:
                raise _refused(event, "type", "a key of several parts", "a plain key")
            parent.key = event.value
            return
        wanted = self._wanted if parent is None else None
        if parent is not None and parent.wanted is not None:
            wanted = parent.wanted.below.get(parent.step())
        if wanted is not None and wanted.pointer is not None:
            self.positions[wanted.pointer] = _position(event.start_mark)
        if is_scalar:
            self._add(_scalar(event))
            return
        if len(self._open) >= DEPTH_MAX:
            raise _refused(event, "too_deep", "one level more", f"at most {DEPTH_MAX} levels")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(is_mapping=is_mapping, wanted=wanted))

    def _add(self, value: Any) -> None:
        if self._open:
            self._open[-1].add(value)
        else:
            self._roots.append(value)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return NumberText(text) if _NUMBER.fullmatch(text) else text


def _position(mark: Any) -> Position:
    return Position(line=mark.line + 1, column=mark.column + 1)


def _broken(detail: str, mark: Any = None) -> FormatError:
    place = None if mark is None else _position(mark)
    return FormatError(
        [
            Finding(
                code="not_yaml",
                detail=detail
                if place is None
                else f"line {place.line}, column {place.column}: {detail}",
                pointer="",
                hint="Send one valid YAML document in UTF-8.",
            )
        ],
        line=None if place is None else place.line,
        column=None if place is None else place.column,
    )


def _refused(event: Any, code: str, found: str, expected: str) -> FormatError:
    place = _position(event.start_mark)
    return FormatError(
        [
            Finding(
                code=code,
                detail=f"line {place.line}, column {place.column}: "
                f"found {found}, expected {expected}",
                pointer="",
                found=found,
                expected=expected,
            )
        ],
        line=place.line,
        column=place.column,
    )

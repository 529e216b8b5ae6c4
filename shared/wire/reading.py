"""Read JSON strictly: numbers by their text, every fault collected with its JSON pointer.

People write programmes and tills write receipts, so whoever reads them must see all that is wrong
at once. A ``Place`` is a value and where it stands; its methods give what was asked for, or note a
finding and give None.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from shared.errors import InputError
from shared.wire.problem import Finding

_HALF_CHARACTER: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a pair of escapes; a whole pair is one character and does no harm."""
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
FINDINGS_MAX: Final = 200
"""Enough to mend a document by; a hostile one must not fill the memory with complaints."""


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


class FormatError(InputError):
    """The document breaks the rules of its format."""

    code = "format"

    def __init__(
        self, findings: list[Finding], *, line: int | None = None, column: int | None = None
    ) -> None:
        """``line`` and ``column`` (from 1) are those of a finding that has no pointer."""
        first = findings[0]
        super().__init__(
            first.detail
            if len(findings) == 1
            else f"{first.detail} (and {len(findings) - 1} more)",
            hint=first.hint,
            pointer=first.pointer,
            code=first.code,
        )
        self.findings = findings
        self.line = line
        self.column = column


class Repeated(dict[str, Any]):
    """An object in which a key stood twice; ``keys_twice`` are these keys."""

    keys_twice: tuple[str, ...] = ()


def parse_json(data: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN, no duplicate keys; numbers stay ``NumberText``.

    Raises:
        FormatError: the bytes are not such JSON.
    """
    repeated: list[Repeated] = []

    def pairs_to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        marked = Repeated(found)
        marked.keys_twice = twice(key for key, _ in pairs)
        repeated.append(marked)
        return marked

    try:
        value = json.loads(
            data.decode("utf-8-sig"),
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=_refuse_constant,
            object_pairs_hook=pairs_to_object,
        )
    except UnicodeDecodeError as error:
        raise not_json(f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise not_json(
            f"line {error.lineno}, column {error.colno}: {error.msg}",
            line=error.lineno,
            column=error.colno,
        ) from error
    except RecursionError as error:
        raise not_json("the document is nested too deeply") from error
    if repeated or _HALF_CHARACTER.search(data):
        refuse_unsound(value)
    return value


def not_json(detail: str, *, line: int | None = None, column: int | None = None) -> FormatError:
    """The error of bytes that are no JSON at all."""
    return FormatError(
        [Finding(code="not_json", detail=detail, pointer="", hint="Send valid JSON in UTF-8.")],
        line=line,
        column=column,
    )


def twice(keys: Iterable[str]) -> tuple[str, ...]:
    """The keys that stand there more than once."""
    return tuple(sorted(key for key, count in Counter(keys).items() if count > 1))


def refuse_unsound(value: Any) -> None:
    """Refuse keys that stand twice and texts that cannot be written as UTF-8.

    Raises:
        FormatError: with every such place.
    """
    findings: list[Finding] = []
    pending = [Place(value, "", findings)]
    while pending:
        place = pending.pop()
        if isinstance(place.value, dict):
            for key in getattr(place.value, "keys_twice", ()):
                place.child(key, place.value[key]).fail("duplicate_key", "each key once")
            if not all(map(_is_sound, place.value)):
                place.fail("not_text", "keys of whole characters")
            pending.extend(each for key, each in place.entries() if _is_sound(key))
        elif isinstance(place.value, list):
            pending.extend(place.items())
        elif isinstance(place.value, str) and not _is_sound(place.value):
            place.fail("not_text", "a text of whole characters")
    if findings:
        raise FormatError(sorted(findings, key=lambda finding: finding.pointer or ""))


def _is_sound(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _refuse_constant(name: str) -> Any:
    raise not_json(f"{name} is not a JSON number")


def show(value: Any) -> str:
    """A value as a finding quotes it, cut to a length that a screen bears."""
    if isinstance(value, str):
        # Cut first: a text of megabytes need not be quoted to be cut.
        cut = value[:61]
        text = (
            cut
            if isinstance(value, NumberText)
            else json.dumps(cut, ensure_ascii=not _is_sound(cut))
        )
    elif isinstance(value, dict | list):
        text = _show_shape(value)
    else:
        text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _show_shape(value: dict[str, Any] | list[Any]) -> str:
    """The first few elements, one level deep."""
    if isinstance(value, dict):
        inner = ", ".join(f"{show(key)}: {_show_leaf(value[key])}" for key in islice(value, 4))
        return f"{{{inner}{', ...' if len(value) > 4 else ''}}}"
    inner = ", ".join(_show_leaf(each) for each in value[:4])
    return f"[{inner}{', ...' if len(value) > 4 else ''}]"


def _show_leaf(value: Any) -> str:
    if isinstance(value, dict | list) and value:
        return "{...}" if isinstance(value, dict) else "[...]"
    return show(value)


class Place:
    """A value, where it stands, and the list that findings go to."""

    __slots__ = ("findings", "parent", "step", "value")

    def __init__(
        self,
        value: Any,
        pointer: str | int,
        findings: list[Finding],
        parent: Place | None = None,
    ) -> None:
        """With a parent, ``pointer`` is the one step below it."""
        self.value = value
        self.findings = findings
        self.parent = parent
        self.step = pointer

    @property
    def pointer(self) -> str:
        """The JSON pointer; put together only when something is to be said of the place."""
        steps: list[str] = []
        place = self
        while place.parent is not None:
            steps.append(str(place.step).replace("~", "~0").replace("/", "~1"))
            place = place.parent
        return str(place.step) + "".join("/" + step for step in reversed(steps))

    def fail(self, code: str, expected: str, hint: str | None = None) -> None:
        """Note what is wrong here: what was found, and what was expected."""
        if len(self.findings) < FINDINGS_MAX:
            found = show(self.value)
            self.findings.append(
                Finding(
                    code=code,
                    detail=f"found {found}, expected {expected}",
                    pointer=self.pointer,
                    hint=hint,
                    found=found,
                    expected=expected,
                )
            )

    def child(self, key: str | int, value: Any) -> Place:
        """The place below this one."""
        return Place(value, key, self.findings, self)

    def object(self, allowed: frozenset[str], required: tuple[str, ...] = ()) -> bool:
        """Whether this is an object; unknown and missing keys are noted."""
        if not isinstance(self.value, dict):
            self.fail("type", "an object")
            return False
        if not self.value.keys() <= allowed:
            for key, value in self.value.items():
                if key not in allowed:
                    near = get_close_matches(key[:100], allowed, n=1)
                    self.child(key, value).fail(
                        "unknown_key",
                        "one of the keys: " + ", ".join(sorted(allowed)),
                        hint=f"Did you mean {near[0]!r}?" if near else None,
                    )
        for key in required:
            if self.value.get(key) is None:
                self.fail("missing_key", f"the key {key!r}")
        return True

    def get(self, key: str) -> Place | None:
        """The place of a key of this object; None where it is absent or null."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return None if value is None else Place(value, key, self.findings, self)

    def items(self, what: str = "a list", *, most: int = 100_000) -> Iterator[Place]:
        """The places of a list's elements."""
        if not isinstance(self.value, list):
            self.fail("type", what)
            return
        if len(self.value) > most:
            self.fail("too_many", f"at most {most} elements")
            return
        for index, value in enumerate(self.value):
            yield Place(value, index, self.findings, self)

    def entries(self) -> Iterator[tuple[str, Place]]:
        """Keys and places of an object with free keys."""
        if not isinstance(self.value, dict):
            self.fail("type", "an object")
            return
        for key, value in self.value.items():
            yield key, Place(value, key, self.findings, self)

    def text(self, *, empty: bool = False, most: int = 200) -> str | None:
        """A string of at most ``most`` characters."""
        value = self.value
        if not isinstance(value, str) or isinstance(value, NumberText):
            number = isinstance(value, NumberText)
            self.fail("type", "a string", hint="Put it in quotes." if number else None)
            return None
        if len(value) > most or (not value and not empty):
            self.fail("length", f"{0 if empty else 1} to {most} characters")
            return None
        return value

    def texts(self, what: str = "a list of strings", *, most: int = 100_000) -> list[str]:
        """A list of strings of 1 to 200 characters."""
        values = self.value
        if isinstance(values, list) and len(values) <= most:
            # Lists of goods are most of a programme; places are made only for what is wrong.
            wrong = [
                index
                for index, value in enumerate(values)
                if type(value) is not str or not 0 < len(value) <= 200
            ]
            if not wrong:
                return values
        return [text for place in self.items(what, most=most) if (text := place.text())]

    def choice(self, *values: str) -> str | None:
        """One of the given words."""
        if isinstance(self.value, str) and self.value in values:
            return str(self.value)
        self.fail("value", "one of " + ", ".join(values))
        return None

    def truth(self) -> bool | None:
        """True or false."""
        if isinstance(self.value, bool):
            return self.value
        self.fail("type", "true or false")
        return None

    def decimal(
        self, decimals: int, *, low: int | None = 0, high: int | None = None, what: str = "a number"
    ) -> int | None:
        """A decimal string or number as an integer of ``10**-decimals`` units within bounds."""
        value = self.value
        if not isinstance(value, str) or len(value) > 40 or not _DECIMAL.fullmatch(value):
            example = "12.50" if decimals else "12"
            code = "number" if isinstance(value, str) else "type"
            self.fail(code, f'{what} as a decimal string such as "{example}"')
            return None
        whole, _, fraction = value.partition(".")
        if len(fraction) > decimals:
            self.fail(
                "decimals",
                f"{what} with at most {decimals} decimals" if decimals else "a whole number",
            )
            return None
        number = int(whole + fraction.ljust(decimals, "0"))
        if (low is not None and number < low) or (high is not None and number > high):
            self.fail("bounds", f"{what} {_bounds(low, high, decimals)}")
            return None
        return number

    def integer(self, *, low: int = 0, high: int = 10**9) -> int | None:
        """A whole number within bounds, written as a JSON number or a decimal string."""
        return self.decimal(0, low=low, high=high, what="a whole number")


def _bounds(low: int | None, high: int | None, decimals: int) -> str:
    """Bounds as people write them, not in our units."""
    ends = [(word, bound) for word, bound in (("from", low), ("to", high)) if bound is not None]
    return " ".join(f"{word} {_plain(bound, decimals)}" for word, bound in ends)


def _plain(number: int, decimals: int) -> str:
    sign = "-" if number < 0 else ""
    digits = str(abs(number)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    fraction = fraction.rstrip("0")
    return sign + whole + (f".{fraction}" if fraction else "")

"""Read JSON strictly: numbers by their text, every fault collected with its JSON pointer.

People write programmes and tills write receipts, so whoever reads them must see all that is wrong
at once. A ``Place`` is a value and where it stands; its methods give what was asked for, or note a
finding and give None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from shared.errors import InputError
from shared.wire.problem import Finding

_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
FINDINGS_MAX: Final = 200
"""Enough to mend a document by; a hostile one must not fill the memory with complaints."""
DEPTH_MAX: Final = 64


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


class FormatError(InputError):
    """The document breaks the rules of its format."""

    code = "format"

    def __init__(self, findings: list[Finding]) -> None:
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


def parse_json(data: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN, no duplicate keys, bounded depth; numbers stay ``NumberText``.

    Raises:
        FormatError: the bytes are not such JSON.
    """
    try:
        return json.loads(
            data.decode("utf-8"),
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise _broken(f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _broken(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _broken("the document is nested too deeply") from error


def _broken(detail: str) -> FormatError:
    return FormatError(
        [Finding(code="not_json", detail=detail, pointer="", hint="Send valid JSON in UTF-8.")]
    )


def _refuse_constant(name: str) -> Any:
    raise FormatError([Finding(code="not_json", detail=f"{name} is not a JSON number", pointer="")])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise FormatError(
            [Finding(code="duplicate_key", detail=f"the key {repeated!r} stands twice", pointer="")]
        )
    return found


def _show(value: Any) -> str:
    text = value if isinstance(value, NumberText) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


class Place:
    """A value, its JSON pointer, and the list that findings go to."""

    __slots__ = ("findings", "pointer", "value")

    def __init__(self, value: Any, pointer: str, findings: list[Finding]) -> None:
        self.value = value
        self.pointer = pointer
        self.findings = findings

    def fail(self, code: str, expected: str, hint: str | None = None) -> None:
        """Note what is wrong here: what was found stands in the detail."""
        if len(self.findings) < FINDINGS_MAX:
            detail = f"found {_show(self.value)}, expected {expected}"
            self.findings.append(Finding(code=code, detail=detail, pointer=self.pointer, hint=hint))

    def child(self, key: str | int, value: Any) -> Place:
        """The place below this one."""
        step = str(key).replace("~", "~0").replace("/", "~1")
        return Place(value, f"{self.pointer}/{step}", self.findings)

    def object(self, allowed: frozenset[str], required: tuple[str, ...] = ()) -> bool:
        """Whether this is an object; unknown and missing keys are noted."""
        if not isinstance(self.value, dict):
            self.fail("type", "an object")
            return False
        for key, value in self.value.items():
            if key not in allowed:
                near = ", ".join(sorted(allowed))
                self.child(key, value).fail("unknown_key", f"one of the keys: {near}")
        for key in required:
            if self.value.get(key) is None:
                self.fail("missing_key", f"the key {key!r}")
        return True

    def get(self, key: str) -> Place | None:
        """The place of a key of this object; None where it is absent or null."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return None if value is None else self.child(key, value)

    def items(self, what: str = "a list", *, most: int = 100_000) -> Iterator[Place]:
        """The places of a list's elements."""
        if not isinstance(self.value, list):
            self.fail("type", what)
            return
        if len(self.value) > most:
            self.fail("too_many", f"at most {most} elements")
            return
        for index, value in enumerate(self.value):
            yield self.child(index, value)

    def entries(self) -> Iterator[tuple[str, Place]]:
        """Keys and places of an object with free keys."""
        if not isinstance(self.value, dict):
            self.fail("type", "an object")
            return
        for key, value in self.value.items():
            yield key, self.child(key, value)

    def text(self, *, empty: bool = False) -> str | None:
        """A string of at most 200 characters."""
        value = self.value
        if not isinstance(value, str) or isinstance(value, NumberText):
            self.fail("type", "a string")
            return None
        if len(value) > 200 or (not value and not empty):
            self.fail("length", "1 to 200 characters")
            return None
        return value

    def texts(self) -> list[str]:
        """A list of strings."""
        return [text for place in self.items("a list of strings") if (text := place.text())]

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
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or len(value) > 40:
            self.fail("number", f'{what} as a decimal string such as "12.50"')
            return None
        whole, _, fraction = value.partition(".")
        if len(fraction) > decimals:
            self.fail("decimals", f"{what} with at most {decimals} decimals")
            return None
        number = int(whole + fraction.ljust(decimals, "0"))
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = " to ".join("…" if b is None else str(b) for b in (low, high))
            self.fail("bounds", f"{what} within {bounds} (in units of 10^-{decimals})")
            return None
        return number

    def integer(self, *, low: int = 0, high: int = 10**9) -> int | None:
        """A whole number within bounds, written as a JSON number or a decimal string."""
        return self.decimal(0, low=low, high=high, what="a whole number")

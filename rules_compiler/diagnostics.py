"""Findings of the compiler, as values: all are collected and shown together."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Severity(enum.StrEnum):
    """An error refuses the document; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding: what is wrong, where (JSON pointer), and what to do about it.

    ``found`` and ``expected`` are the halves of the message where it has such; ``line`` and
    ``column`` (from 1) tell the place in the text of the document where they are known.
    """

    code: str
    severity: Severity
    pointer: str
    message: str
    hint: str | None = None
    found: str | None = None
    expected: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f" (line {self.line}, column {self.column})"
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.severity} {self.code} at {self.pointer or '/'}{where}: {self.message}.{hint}"


HINTS: Final[dict[str, str]] = {
    "alias": "Write it out wherever it is used.",
    "bounds": "Choose a value within the bounds.",
    "currency": "Use the code of ISO 4217.",
    "date": "Write dates as year-month-day, with two digits of month and day.",
    "decimals": "Round it: further decimals are not kept.",
    "duplicate_id": "Rename one of the two.",
    "duplicate_key": "Keep one of them: which is meant cannot be told.",
    "empty": "Add one, or take the key out.",
    "filter": "Take the filter out.",
    "from_after_to": "Exchange the two, or correct one of them.",
    "length": "Change the text to that length.",
    "missing_key": "Add the key.",
    "nested_list": "Name the goods themselves, or name both lists where the list is used.",
    "not_text": "Write whole characters, not half of a pair of \\u escapes.",
    "number": "Write digits with a point: no exponents, no signs but a minus, no spaces.",
    "one_of": "Keep the one that is meant.",
    "pair": "Write both ends; null leaves an end of a range open.",
    "tag": "Write a plain value.",
    "time": "Write dates as year-month-day, hours with two digits.",
    "timezone": "Use a name of the IANA time zones.",
    "too_deep": "Write it with fewer levels.",
    "too_large": "Split the programme.",
    "too_many": "Split the list.",
    "type": "Look at the quotes and brackets of the value.",
    "unknown_condition": "Correct the spelling.",
    "unknown_key": "Correct the spelling, or take the key out.",
    "unknown_result": "Correct the spelling.",
    "value": "Use one of these words.",
}
"""What to do about a code, where the place itself knows nothing better."""

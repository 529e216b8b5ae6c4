"""Findings of the compiler, as values: all are collected and shown together."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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

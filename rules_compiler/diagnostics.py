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
    """One finding: what is wrong, where (JSON pointer), and what to do about it."""

    code: str
    severity: Severity
    pointer: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.severity} {self.code} at {self.pointer or '/'}: {self.message}.{hint}"

"""Making warnings."""

from __future__ import annotations

from rules_compiler.diagnostics import Diagnostic, Severity
from shared.wire.reading import Place, show


def warning(place: Place, code: str, message: str, hint: str) -> Diagnostic:
    """A warning about what stands at this place."""
    return Diagnostic(
        code=code,
        severity=Severity.WARNING,
        pointer=place.pointer,
        message=message,
        hint=hint,
        found=show(place.value),
    )

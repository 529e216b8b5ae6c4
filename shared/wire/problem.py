"""``application/problem+json``: how every refusal looks, at the till and on the uplink."""

from __future__ import annotations

from typing import Final

import msgspec

from shared import errors

PROBLEM_CONTENT_TYPE: Final = "application/problem+json"

_STATUS_BY_ERROR: Final = (
    (errors.TooLargeError, 413),
    (errors.NotFoundError, 404),
    (errors.UnauthorizedError, 401),
    (errors.ForbiddenError, 403),
    (errors.InputError, 400),
    (errors.ConflictError, 409),
    (errors.TrustError, 422),
    (errors.BusyError, 429),
    (errors.UnavailableError, 503),
)


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of several things wrong with a document or a receipt.

    ``detail`` is the sentence for people; ``found`` and ``expected`` are its two halves where it
    has such.
    """

    code: str
    detail: str
    pointer: str | None = None
    hint: str | None = None
    found: str | None = None
    expected: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 members plus a stable ``code``, a ``pointer`` to the fault and a ``hint``."""

    status: int
    code: str
    title: str
    detail: str
    pointer: str | None = None
    hint: str | None = None
    findings: list[Finding] = []


def problem_of(error: Exception) -> Problem:
    """The problem a client may see. What is not one of ours tells nothing about the inside."""
    if not isinstance(error, errors.AppError):
        return Problem(
            status=500,
            code="internal",
            title="Internal error",
            detail="The request could not be handled.",
            hint="Try again; if it stays, look for the request id in the log.",
        )
    status = next((number for kind, number in _STATUS_BY_ERROR if isinstance(error, kind)), 500)
    title = (type(error).__doc__ or "").strip().splitlines()[0]
    return Problem(
        status=status,
        code=error.stable_code,
        title=title,
        detail=error.message,
        pointer=error.pointer,
        hint=error.hint,
        findings=list(getattr(error, "findings", [])),
    )

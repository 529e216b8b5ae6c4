"""Every error Kopilka raises on purpose, split by what the caller can do about it.

A subclass's docstring is its default message. ``code`` is stable; ``hint`` tells the operator what
to try; ``pointer`` is the JSON pointer of the place at fault, where there is one. This module
imports nothing, so nothing can import it in a circle.
"""

from __future__ import annotations

from typing import ClassVar


class AppError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        pointer: str | None = None,
        code: str | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.pointer = pointer
        self.stable_code = code or type(self).code
        super().__init__(self.message)


class InputError(AppError):
    """The request breaks the rules of its format."""

    code = "input"


class NotFoundError(InputError):
    """Nothing is known by that name."""

    code = "not_found"


class UnauthorizedError(InputError):
    """The caller did not prove who it is."""

    code = "unauthorized"


class ForbiddenError(InputError):
    """The caller is known but may not do this."""

    code = "forbidden"


class ConflictError(AppError):
    """The present state refuses the request."""

    code = "conflict"


class TrustError(AppError):
    """What was received cannot be trusted."""

    code = "trust"


class SignatureError(TrustError):
    """The signature is missing, wrong, or made by a key that is not trusted."""

    code = "signature"


class RollbackError(TrustError):
    """The version offered is older than one already accepted."""

    code = "rollback"


class ExpiredError(TrustError):
    """The document is past its expiry."""

    code = "expired"


class TooLargeError(TrustError):
    """The data exceed a stated bound."""

    code = "too_large"


class UnavailableError(AppError):
    """The other side cannot be reached or cannot answer now; try again later."""

    code = "unavailable"

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        pointer: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, pointer=pointer, code=code)
        self.retry_after_s = retry_after_s


class BusyError(UnavailableError):
    """More is asked than can be served now; come back later."""

    code = "busy"


class CorruptionError(AppError):
    """Stored data do not agree with themselves; stop and quarantine."""

    code = "corruption"

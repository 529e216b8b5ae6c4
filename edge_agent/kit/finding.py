"""How a check ends when it does not pass."""

from __future__ import annotations

from shared.errors import AppError


class MismatchError(AppError):
    """What came is not what must come.

    ``expected`` is a message of the catalogue, empty for that of the check; ``message`` is what
    was seen, in the words of the wire.
    """

    code = "mismatch"

    def __init__(self, came: str, expected: str = "") -> None:
        super().__init__(came)
        self.expected = expected


class NotCheckedError(AppError):
    """The check cannot be made here; ``message`` is the reason, a message of the catalogue."""

    code = "not_checked"


def require(holds: bool, came: object, expected: str = "") -> None:
    """Go on, or fail the check with what came.

    Raises:
        MismatchError: it does not hold.
    """
    if not holds:
        raise MismatchError(str(came), expected)

"""Small programme documents for tests of the compiler, grown from whatever a case gives."""

from __future__ import annotations

from typing import Any, Final

BASE: Final[dict[str, Any]] = {
    "programme": "p",
    "version": 1,
    "currency": "RUB",
    "timezone": "Europe/Moscow",
}
RESULT: Final[dict[str, Any]] = {"do": "discount_goods", "percent": "10"}


def grown(part: dict[str, Any]) -> dict[str, Any]:
    """A whole document: ``part`` is a result, keys of a promotion, or keys of a document."""
    if "do" in part:
        part = {"then": [part]}
    if "then" in part or "when" in part or "active" in part or "limits" in part:
        part = {"promotions": [{"id": "a", "then": [RESULT]} | part]}
    return BASE | {"promotions": [{"id": "a", "then": [RESULT]}]} | part

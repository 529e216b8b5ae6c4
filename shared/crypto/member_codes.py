"""Codes that a member's telephone shows: good for a moment, checked in a shop without a line. Pure.

Central has one secret. From it comes a key for each period of thirty days, and from that a key for
each member. The telephone has its member's key, the shop the period's: the shop can check any
member's code, and what is stolen from it is worth nothing when the period is over.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

CODE_STEP_MS: Final = 30_000
"""A new code each half minute; it is good in its own step and the next, so 30 to 60 seconds."""
STEPS_PER_PERIOD: Final = 30 * 24 * 3_600_000 // CODE_STEP_MS
CODE_KEY_BYTES: Final = 32
CODE_PREFIX: Final = "KQ1:"
_CODE_CHARS: Final = 16
_AHEAD: Final = 1
"""Steps that a telephone's clock may be ahead of the shop's."""


def step_of(now_ms: int) -> int:
    """The step of this moment."""
    return now_ms // CODE_STEP_MS


def period_of(step: int) -> int:
    """The period that a step is of."""
    return step // STEPS_PER_PERIOD


def period_key(secret: bytes, period: int) -> bytes:
    """What shops are given of central's secret."""
    return _derived(secret, b"period %d" % period)


def member_key(key: bytes, customer_id: str) -> bytes:
    """What a member's telephone is given of a period's key."""
    return _derived(key, b"member " + customer_id.encode("utf-8"))


def member_code(key: bytes, customer_id: str, step: int) -> str:
    """What the telephone shows in a step; ``key``: the member's of the step's period."""
    return f"{CODE_PREFIX}{_code(key, step)}:{customer_id}"


def is_member_code(text: str) -> bool:
    """Whether this was meant as a code; a card's number never begins so."""
    return text.startswith(CODE_PREFIX)


def checked_code(text: str, keys: Mapping[int, bytes], now_ms: int) -> tuple[str, int] | None:
    """Whose code this is, and its step; None: it is none, or not of this moment.

    ``keys``: of periods, as ``period_key`` makes them.
    """
    code, separator, customer_id = text.removeprefix(CODE_PREFIX).partition(":")
    if not is_member_code(text) or not separator or not customer_id:
        return None
    present = step_of(now_ms)
    found: tuple[str, int] | None = None
    for step in range(present - 1, present + _AHEAD + 1):
        key = keys.get(period_of(step))
        if key is not None:
            good = _code(member_key(key, customer_id), step)
            if hmac.compare_digest(good.encode(), code.encode("utf-8", "surrogateescape")):
                found = customer_id, step
    return found


def _derived(key: bytes, name: bytes) -> bytes:
    return hmac.new(key, b"kopilka.member_code.v1 " + name, hashlib.sha256).digest()


def _code(key: bytes, step: int) -> str:
    digest = _derived(key, b"step %d" % step)
    return base64.b32encode(digest).decode()[:_CODE_CHARS]

"""Who may look: whoever shows the tills' token, or a link that a program in the folder made. Pure.

Nothing is stored. A link's code and a visit's cookie are made of the token and a time, so that both
end by themselves, and at once when the token is changed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

CODE_STEP_MS: Final = 5 * 60_000
"""A code is good in the step it was made in and in the next."""
VISIT_MS: Final = 12 * 3_600_000
"""A shift."""
COOKIE: Final = "kopilka_edge"
_CODE_CHARS: Final = 16


def entry_code(token: str, now_ms: int) -> str:
    """The code that ``kopilka-edge page`` puts into its link."""
    return _code(token, now_ms // CODE_STEP_MS)


def admits(token: str, code: str, now_ms: int) -> bool:
    """Whether a link's code, or the token itself, may come in; the same time for any guess."""
    step = now_ms // CODE_STEP_MS
    good = [token, _code(token, step), _code(token, step - 1)]
    given = code.encode("utf-8", "surrogateescape")
    return True in [hmac.compare_digest(each.encode(), given) for each in good]


def visit_cookie(token: str, now_ms: int) -> str:
    """What the browser shows from then on."""
    until_ms = now_ms + VISIT_MS
    return f"{until_ms}.{_sign(token, f'visit {until_ms}')}"


def is_visit(token: str, cookie: str, now_ms: int) -> bool:
    """Whether the cookie is one of ours, of this token, and not over."""
    until, _, signature = cookie.partition(".")
    if not (until.isascii() and until.isdigit()) or len(until) > 15:
        return False
    good = _sign(token, f"visit {until}").encode()
    given = signature.encode("utf-8", "surrogateescape")
    return hmac.compare_digest(good, given) and now_ms < int(until) <= now_ms + VISIT_MS


def _code(token: str, step: int) -> str:
    return _sign(token, f"page {step}")[:_CODE_CHARS]


def _sign(token: str, text: str) -> str:
    digest = hmac.new(token.encode(), f"kopilka {text}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()

"""How often a sign-in may be tried: pure, the caller brings the time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WINDOW_MS: Final = 5 * 60_000
"""Failures older than this are forgotten, in milliseconds."""
FAILURES_MAX: Final = 8
"""Failures within the window after which a key waits. A guesser gets ~100 tries an hour."""
KEYS_MAX: Final = 10_000
"""Keys remembered at once; the oldest goes first, so memory stays bounded."""


class Throttle:
    """Counts failures per key (a login, an address) in a sliding window."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, list[int]] = OrderedDict()

    def wait_ms(self, key: str, now_ms: int) -> int:
        """Milliseconds until the key may try again; 0 is now."""
        recent = [at for at in self._failures.get(key, ()) if now_ms - at < WINDOW_MS]
        if len(recent) < FAILURES_MAX:
            return 0
        return recent[-FAILURES_MAX] + WINDOW_MS - now_ms

    def note_failure(self, key: str, now_ms: int) -> None:
        """A failed try."""
        recent = [at for at in self._failures.get(key, ()) if now_ms - at < WINDOW_MS]
        self._failures[key] = [*recent, now_ms][-FAILURES_MAX:]
        self._failures.move_to_end(key)
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)

    def forget(self, key: str) -> None:
        """The key proved itself."""
        self._failures.pop(key, None)

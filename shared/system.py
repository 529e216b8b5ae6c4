"""The only file that asks the machine for time and randomness; only composition roots import it."""

from __future__ import annotations

import random
import secrets
import time
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """The machine's clocks (``shared.clock.BootClock``)."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def mono_ns(self) -> int:
        """Monotonic nanoseconds since an arbitrary start."""
        return time.monotonic_ns()

    def boot_ns(self) -> int:
        """Nanoseconds since the machine started, sleep included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """Names this start of the machine; empty where the system does not tell."""
        try:
            return _BOOT_ID.read_text("ascii").strip()
        except OSError:
            return ""


class SystemChance:
    """The operating system's randomness (``shared.ids.Chance``)."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token_bytes(self, count: int) -> bytes:
        """``count`` bytes from the operating system's generator."""
        return secrets.token_bytes(count)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return self._random.uniform(low, high)

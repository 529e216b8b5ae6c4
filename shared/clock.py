"""What a clock is; the real one is in ``shared.system``, handed down by the roots."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Instants and spans, never mixed: wall time may jump, monotonic time may not."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        ...

    def mono_ns(self) -> int:
        """Monotonic nanoseconds since an arbitrary start; only differences mean anything."""
        ...


class BootClock(Clock, Protocol):
    """A clock that also counts through sleep, and knows since which start of the machine."""

    def boot_ns(self) -> int:
        """Nanoseconds since the machine started, sleep included."""
        ...

    def boot_id(self) -> str:
        """Names this start of the machine; empty where the system does not tell."""
        ...

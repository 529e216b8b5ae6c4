"""What a clock is. The real one is made in ``shared.system`` and handed down by the composition roots."""

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

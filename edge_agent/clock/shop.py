"""The clock on the shop's wall, as far as the machine's own can be believed."""

from __future__ import annotations

from edge_agent.clock.trusted import TrustedClock
from shared.clock import Clock


class ShopClock:
    """A ``Clock`` whose instants are those of ``TrustedClock.shop_now_ms``."""

    def __init__(self, machine: Clock, trusted: TrustedClock) -> None:
        self._machine = machine
        self._trusted = trusted

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        return self._trusted.shop_now_ms()

    def mono_ns(self) -> int:
        """The machine's monotonic nanoseconds."""
        return self._machine.mono_ns()

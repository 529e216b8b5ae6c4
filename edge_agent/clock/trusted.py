"""The trusted clock of one agent: asked by every thread, told by central, kept by the writer."""

from __future__ import annotations

import threading
from dataclasses import replace

from edge_agent.clock.policy import (
    Floor,
    Reading,
    floor_after,
    floor_at_start,
    floor_told,
    jump_ms,
    shop_time_ms,
)
from shared.clock import BootClock
from shared.logs import get_logger
from shared.status import Health, Status

_LOG = get_logger(__name__)


class TrustedClock:
    """Time that never goes back. ``kept``: the floors that media remember; the highest counts."""

    def __init__(self, clock: BootClock, *kept: Floor | None) -> None:
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._lock = threading.Lock()
        self._last = self._read()
        floors = [floor for floor in kept if floor is not None]
        highest = max(floors, key=lambda floor: floor.floor_ms, default=None)
        self._floor = floor_at_start(highest, self._last)
        self._told: Floor | None = None

    def trusted_now_ms(self) -> int:
        """UTC milliseconds by which rights end; never lower than any answer before."""
        return self.floor().floor_ms

    def floor(self) -> Floor:
        """The same with its moment of the boot clock, for keeping."""
        with self._lock:
            reading = self._read()
            moved_ms = jump_ms(self._last, reading)
            self._last = reading
            self._floor = floor_after(self._floor, reading.boot_ns)
            floor = self._floor
        if moved_ms:
            _LOG.warning("clock.jumped", moved_ms=moved_ms, trusted_ms=floor.floor_ms)
        return floor

    def note_central(self, central_ms: int) -> None:
        """Central said what time it is, over a connection that proved who it was."""
        self.floor()
        with self._lock:
            self._floor = floor_told(self._floor, central_ms)
            self._told = replace(self._floor, floor_ms=central_ms)

    def shop_now_ms(self) -> int:
        """UTC milliseconds by which the shop dates what tills do not date; may go back."""
        trusted = self.floor()
        with self._lock:
            told = self._told
            central_ms = None if told is None else floor_after(told, trusted.boot_ns).floor_ms
            return shop_time_ms(self._last.wall_ms, trusted.floor_ms, central_ms)

    def status(self) -> Status:
        """The clock as a component: a wall clock far from trusted time is a warning."""
        floor = self.floor()
        off_s = (self._last.wall_ms - floor.floor_ms) // 1000
        if abs(off_s) <= 120:
            return Status(component="clock", health=Health.OK)
        return Status(
            component="clock",
            health=Health.WARN,
            message=f"the machine's clock is {off_s} s ahead of trusted time"
            if off_s > 0
            else f"the machine's clock is {-off_s} s behind trusted time",
        )

    def _read(self) -> Reading:
        return Reading(
            wall_ms=self._clock.now_ms(), boot_ns=self._clock.boot_ns(), boot_id=self._boot_id
        )

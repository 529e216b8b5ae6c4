"""The trusted clock of one agent: asked by every thread, told by central, kept by the writer."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from edge_agent.clock.policy import (
    WALL_OFF_MS_MAX,
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
JUMPS_TOLD_MAX: Final = 3
"""A clock that is moved all the time says no more with thirty."""
JUMP_TOLD_NS: Final = 24 * 3_600 * 10**9
"""For so long a jump is told: head office keeps the status that it heard last."""
_ONE_MOMENT_NS: Final = 50 * 10**6
_READINGS_MAX: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The wall clock was moved by so much, as it was seen at this moment of the boot clock."""

    moved_ms: int
    boot_ns: int

    def told(self, boot_ns: int) -> str:
        """In words, at a later moment of the boot clock."""
        ago_min = (boot_ns - self.boot_ns) // (60 * 10**9)
        return f"by {self.moved_ms / 1000:+.0f} s {ago_min} min ago"


class TrustedClock:
    """Time that never goes back. ``kept``: the floors that media remember; the highest counts.

    The last jumps of the wall clock are told in ``status``.
    """

    def __init__(self, clock: BootClock, *kept: Floor | None) -> None:
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._lock = threading.Lock()
        self._last = self._read()
        floors = [floor for floor in kept if floor is not None]
        highest = max(floors, key=lambda floor: (floor.floor_ms, -floor.off_ms), default=None)
        self._floor = floor_at_start(highest, self._last)
        self._told: Floor | None = None
        self._jumps: deque[Jump] = deque(maxlen=JUMPS_TOLD_MAX)
        self._jump_count = 0

    def trusted_now_ms(self) -> int:
        """UTC milliseconds by which rights end; never lower than any answer before."""
        return self.floor().floor_ms

    def floor(self) -> Floor:
        """The same with its moment of the boot clock, for keeping."""
        with self._lock:
            reading = self._read()
            moved_ms = jump_ms(self._last, reading)
            self._last = reading
            if moved_ms:
                self._jumps.append(Jump(moved_ms=moved_ms, boot_ns=reading.boot_ns))
                self._jump_count += 1
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
        """The clock as a component: far from trusted time, or moved within a day, is a warning."""
        floor = self.floor()
        with self._lock:
            off_s = (self._last.wall_ms - floor.floor_ms) // 1000
            jumps = [each for each in self._jumps if floor.boot_ns - each.boot_ns <= JUMP_TOLD_NS]
            count = self._jump_count
        parts = []
        if abs(off_s) > WALL_OFF_MS_MAX // 1000:
            side = "ahead of" if off_s > 0 else "behind"
            parts.append(f"the machine's clock is {abs(off_s)} s {side} trusted time")
        if jumps:
            ago = ", ".join(each.told(floor.boot_ns) for each in reversed(jumps))
            parts.append(f"it was moved {count} times since the start, {ago}")
        return Status(
            component="clock",
            health=Health.WARN if parts else Health.OK,
            message="; ".join(parts),
        )

    def _read(self) -> Reading:
        """Both clocks at one moment: a process may be stopped between the two, for any time."""
        for _ in range(_READINGS_MAX):
            before_ns, wall_ms = self._clock.boot_ns(), self._clock.now_ms()
            boot_ns = self._clock.boot_ns()
            if boot_ns - before_ns < _ONE_MOMENT_NS:
                break
        return Reading(wall_ms=wall_ms, boot_ns=boot_ns, boot_id=self._boot_id)

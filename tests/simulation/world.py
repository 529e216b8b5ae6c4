"""What everything in a run shares: the seed's chance, the time, and the trace of what happened.

A part that draws asks for a chance by its own name, so that a new draw in one part changes nothing
in another, and a run that was shrunk still resembles the one it came from.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final

from tests.simulation.loop import VirtualLoop

BEGINNING_MS: Final = 1_767_225_600_000
"""1 January 2026, 00:00 UTC: when every world begins."""
DAY_S: Final = 86_400
LINES_KEPT: Final = 400
"""The end of a trace is what a failure is understood from; --trace prints all of it."""


class Dice:
    """Seeded chance: what the product calls ``Chance``, and what scenarios draw."""

    def __init__(self, seed: str) -> None:
        # A text is hashed with SHA-512 by random itself: the same on every machine and start.
        self._random = random.Random(seed)
        self.choice = self._random.choice
        self.shuffle = self._random.shuffle
        self.sample = self._random.sample
        self.uniform = self._random.uniform
        self.token_bytes = self._random.randbytes

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randint(low, high)

    def happens(self, chance: float) -> bool:
        """Whether something of this probability happens."""
        return self._random.random() < chance

    def wait_s(self, mean_s: float) -> float:
        """Until the next of events that come on their own, so often on average."""
        return self._random.expovariate(1.0 / mean_s)


class Trace:
    """Every event in order: a running hash over all, counts by name, and the last lines."""

    def __init__(self, *, keep_all: bool = False) -> None:
        self._hash = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=None if keep_all else LINES_KEPT)
        self.counts: Counter[str] = Counter()

    def add(self, at_s: float, who: str, event: str, facts: dict[str, Any]) -> None:
        line = f"{at_s:.6f} {who} {event}"
        if facts:
            line += "".join(f" {name}={_text(value)}" for name, value in facts.items())
        self._hash.update(line.encode() + b"\n")
        self.counts[event] += 1
        self.lines.append(line)

    def digest(self) -> str:
        return self._hash.hexdigest()


class World:
    """Time, chance and trace of one run."""

    def __init__(self, seed: int, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.trace = Trace(keep_all=keep_trace)
        self.violations: list[str] = []

    def dice(self, name: str) -> Dice:
        """A chance of this name's own."""
        return Dice(f"{self.seed}/{name}")

    def now_s(self) -> float:
        return self.loop.time()

    def now_ms(self) -> int:
        """The true time, which no machine of the world can read."""
        return BEGINNING_MS + int(self.loop.time() * 1000)

    def note(self, who: str, event: str, **facts: Any) -> None:
        """Something happened; ``event`` is a past-tense dotted constant."""
        self.trace.add(self.loop.time(), who, event, facts)

    def surprise(self, who: str, error: BaseException) -> None:
        """The product raised what it does not raise on purpose: the run has failed."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
        self.broken(f"surprise: {who}: {type(error).__name__}: {error} at {place}")

    def broken(self, violation: str) -> None:
        """An invariant did not hold."""
        self.note("world", "invariant.broken", what=violation)
        self.violations.append(violation)


@dataclass(slots=True)
class MachineClock:
    """``shared.clock.BootClock`` of one machine: its wall may be set wrong, its uptime may not.

    ``wall_offset_ms``: what the wall shows beyond the true time. ``drift_ppm``: how much faster
    than true both run.
    """

    world: World
    wall_offset_ms: int = 0
    drift_ppm: int = 0
    booted_at_s: float = 0.0

    def now_ms(self) -> int:
        now_s = self.world.loop.time()
        drifted_ms = int(now_s * self.drift_ppm / 1000)
        return BEGINNING_MS + int(now_s * 1000) + self.wall_offset_ms + drifted_ms

    def mono_ns(self) -> int:
        up_s = self.world.loop.time() - self.booted_at_s
        return int(up_s * (1_000_000 + self.drift_ppm) * 1000)

    boot_ns = mono_ns

    def boot_id(self) -> str:
        return f"boot-{self.booted_at_s:.6f}"

    def reboot(self) -> None:
        """The uptime starts anew."""
        self.booted_at_s = self.world.now_s()


def _text(value: Any) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else str(value)

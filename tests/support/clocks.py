"""A machine's clocks that a test sets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class FakeClock:
    """``shared.clock.BootClock``: time stands still until told."""

    wall_ms: int = 1_790_000_000_000
    boot: int = 1
    since_boot_ns: int = 10**9

    def now_ms(self) -> int:
        return self.wall_ms

    def mono_ns(self) -> int:
        return self.since_boot_ns

    def boot_ns(self) -> int:
        return self.since_boot_ns

    def boot_id(self) -> str:
        return f"boot-{self.boot}"

    def advance_ms(self, span_ms: int) -> None:
        """Time goes by, for all clocks alike."""
        self.wall_ms += span_ms
        self.since_boot_ns += span_ms * 1_000_000

    def reboot(self, *, off_ms: int) -> None:
        """The machine was off; only the wall clock went on."""
        self.wall_ms += off_ms
        self.boot += 1
        self.since_boot_ns = 0

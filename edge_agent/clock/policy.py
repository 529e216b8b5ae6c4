"""How far trusted time may go. Pure.

A right to spend ends by trusted time, so it must neither stand still nor be pushed. It goes on with
the boot clock, which nobody sets. Central's word moves it ahead. The wall clock moves it only when
the machine was off, and then by a day at the most: a dead battery that says 2038 must not end every
lease, and a clock put back must not revive one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OFF_ALLOWANCE_MS: Final = 24 * 3_600_000
"""A shop is off for a night; a longer absence is made good by central's word."""
OFF_PER_ON: Final = 2
"""A shop that is open for eight hours is off for sixteen."""
JUMP_MS_MIN: Final = 2_000
"""A wall clock is moved by milliseconds when it is kept; more is a hand or a dead cell."""
WALL_OFF_MS_MAX: Final = 120_000
"""What is nearer to the known time is the wall clock's own matter."""
NEVER_MS: Final = 2**63 - 1
"""No date is after it."""
DATED_AHEAD_MS_MAX: Final = 24 * 3_600_000
"""No record is dated further ahead of trusted time; one that is has no date to go by."""
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Trusted time at a moment of the boot clock; kept, so that it holds after a restart.

    ``off_ms``: by how much the wall clock may still move it after the machine was off. What it
    moved is taken from that; central's word and time that the boot clock counts fill it again.
    """

    floor_ms: int
    boot_id: str
    boot_ns: int
    off_ms: int = OFF_ALLOWANCE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the machine's clocks say at one moment."""

    wall_ms: int
    boot_ns: int
    boot_id: str


def floor_at_start(kept: Floor | None, reading: Reading) -> Floor:
    """Trusted time when the agent starts, from what was kept and what the machine says."""
    if kept is None:
        return Floor(floor_ms=reading.wall_ms, boot_id=reading.boot_id, boot_ns=reading.boot_ns)
    if kept.boot_id and kept.boot_id == reading.boot_id and reading.boot_ns >= kept.boot_ns:
        return floor_after(kept, reading.boot_ns)
    off_ms = min(max(reading.wall_ms - kept.floor_ms, 0), kept.off_ms)
    return Floor(
        floor_ms=kept.floor_ms + off_ms,
        boot_id=reading.boot_id,
        boot_ns=reading.boot_ns,
        off_ms=kept.off_ms - off_ms,
    )


def floor_after(floor: Floor, boot_ns: int) -> Floor:
    """The same floor moved on with the boot clock; never back."""
    elapsed_ms = max(boot_ns - floor.boot_ns, 0) // _NS_PER_MS
    if elapsed_ms == 0:
        return floor
    return Floor(
        floor_ms=floor.floor_ms + elapsed_ms,
        boot_id=floor.boot_id,
        # What is less than a millisecond is not lost.
        boot_ns=floor.boot_ns + elapsed_ms * _NS_PER_MS,
        off_ms=min(floor.off_ms + OFF_PER_ON * elapsed_ms, OFF_ALLOWANCE_MS),
    )


def floor_told(floor: Floor, central_ms: int) -> Floor:
    """The floor after central said what time it was, some moments ago at the most.

    By what it is ahead of central's word already, the wall clock may move it less.
    """
    ahead_ms = max(floor.floor_ms - central_ms, 0)
    return Floor(
        floor_ms=max(floor.floor_ms, central_ms),
        boot_id=floor.boot_id,
        boot_ns=floor.boot_ns,
        off_ms=max(OFF_ALLOWANCE_MS - ahead_ms, 0),
    )


def jump_ms(before: Reading, after: Reading) -> int:
    """By how much the wall clock was moved between two readings of one start; 0: it was kept."""
    moved_ms = (after.wall_ms - before.wall_ms) - (after.boot_ns - before.boot_ns) // _NS_PER_MS
    return moved_ms if abs(moved_ms) > JUMP_MS_MIN else 0


def shop_time_ms(wall_ms: int, trusted_ms: int, central_ms: int | None) -> int:
    """By which a shop dates what its tills do not date themselves: the wall clock's, or better.

    ``central_ms``: what central said since the start, moved on to now; None: it said nothing. Then
    a wall clock that is ahead may be right, since a shop may have been closed for long, but one
    that is behind trusted time is wrong.
    """
    known_ms = trusted_ms if central_ms is None else central_ms
    if abs(wall_ms - known_ms) <= WALL_OFF_MS_MAX:
        return wall_ms
    return max(wall_ms, trusted_ms) if central_ms is None else central_ms


def old_at_front(
    dates_ms: Sequence[int], before_ms: int, ahead_ms: int, next_ms: int | None = None
) -> int:
    """How many rows from the front are from before an instant, by dates in the order of rows.

    A date after ``ahead_ms`` is a wrong clock's: what is old behind such a row shows that it is
    old too. ``next_ms``: the first date behind these that is none of those.
    """
    count = 0
    behind = () if next_ms is None else (next_ms,)
    for number, dated_ms in enumerate((*dates_ms, *behind), start=1):
        if dated_ms > ahead_ms:
            continue
        if dated_ms >= before_ms:
            break
        count = number
    return min(count, len(dates_ms))

"""Read the whole database once a day, so that a page that went bad is found before it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from edge_agent.database.connection import open_reader
from edge_agent.database.disk import Disk, Fault
from edge_agent.witness.look import verify
from shared.errors import CorruptionError

SCRUB_EVERY_S: Final = 20 * 3_600.0
"""Less than a day, whatever the reading takes."""
PART_S_MAX: Final = 300.0
"""One part of the looking. It reads more than anybody else may at once, and keeps the log from
being folded meanwhile; a shop writes a few megabytes in that time."""
_STEPS_BETWEEN_LOOKS: Final = 100_000
"""Of SQLite's machine: some milliseconds."""


class Scrub:
    """A round for the supervisor. What it finds the next start finds too, and mends."""

    def __init__(self, database: Path, disk: Disk) -> None:
        self._database = database
        self._disk = disk

    async def round(self) -> None:
        """Wait, then look; the event loop does not wait for it."""
        await asyncio.sleep(SCRUB_EVERY_S)
        await asyncio.to_thread(self.look, asyncio.get_running_loop().time)

    def look(self, now_s: Callable[[], float] = lambda: 0.0) -> None:
        """Check all that a start checks; where something is damaged the process must end.

        ``now_s``: a clock by which a part is stopped that takes too long.

        Raises:
            UnavailableError: it could not be looked at, or not in time; nothing is said of it.
        """
        try:
            connection = open_reader(self._database)
            try:
                verify(connection, lambda: _limit(connection, now_s))
            finally:
                connection.close()
        except CorruptionError as error:
            self._disk.fail(Fault.FAILED, f"it went bad: {error}")


def _limit(connection: apsw.Connection, now_s: Callable[[], float]) -> None:
    """The part that begins is stopped when its time is over."""
    until_s = now_s() + PART_S_MAX
    connection.set_progress_handler(lambda: now_s() > until_s, _STEPS_BETWEEN_LOOKS)

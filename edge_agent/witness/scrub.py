"""Read the whole database once a day, so that a page that went bad is found before it is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import apsw

from edge_agent.database.connection import open_reader
from edge_agent.database.disk import Disk, Fault
from edge_agent.witness.start import verify
from shared.errors import CorruptionError

SCRUB_EVERY_S: Final = 20 * 3_600.0
"""Less than a day, whatever the reading takes."""


class Scrub:
    """A round for the supervisor. What it finds the next start finds too, and mends."""

    def __init__(self, database: Path, disk: Disk) -> None:
        self._database = database
        self._disk = disk

    async def round(self) -> None:
        """Wait, then look; the event loop does not wait for it."""
        await asyncio.sleep(SCRUB_EVERY_S)
        await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Check all that a start checks; where something is damaged the process must end."""
        try:
            connection = open_reader(self._database)
            try:
                verify(connection)
            finally:
                connection.close()
        except (CorruptionError, apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
            self._disk.fail(Fault.FAILED, f"it went bad: {error}")

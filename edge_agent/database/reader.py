"""Read beside the writer: one connection in one thread, so that the event loop never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from edge_agent.database.connection import open_reader
from edge_agent.database.disk import Disk
from shared.errors import UnavailableError
from shared.limits import READ_S_MAX

_STEPS_BETWEEN_LOOKS: Final = 1_000_000
"""Of SQLite's machine: some ten milliseconds."""
_Result = TypeVar("_Result")


class Reader:
    """Owner of one read connection; the writer has made the file before."""

    def __init__(
        self, path: Path, disk: Disk | None = None, *, read_s_max: float = READ_S_MAX
    ) -> None:
        """Open the file; ``disk`` hears of a bad page. Raises what ``open_reader`` raises."""
        self._disk = Disk(path.parent) if disk is None else disk
        self._read_s_max = read_s_max
        self._connection = open_reader(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-reader")

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """What ``job`` finds.

        Raises:
            UnavailableError: the database could not be read, or not in time: as long as somebody
                reads, the log cannot be folded into the database and grows.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._in_time, job, loop.time)
        except apsw.InterruptError as error:
            raise UnavailableError(
                "the database was read for too long", code="read_too_long", retry_after_s=1
            ) from error
        except apsw.Error as error:
            self._disk.note_reading(error)
            raise UnavailableError("the database could not be read", retry_after_s=1) from error

    def close(self) -> None:
        """Finish what runs, then close the connection."""
        self._thread.shutdown()
        self._connection.close()

    def _in_time(
        self, job: Callable[[apsw.Connection], _Result], now_s: Callable[[], float]
    ) -> _Result:
        until_s = now_s() + self._read_s_max
        self._connection.set_progress_handler(lambda: now_s() > until_s, _STEPS_BETWEEN_LOOKS)
        return job(self._connection)

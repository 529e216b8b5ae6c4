"""Read beside the writer: one connection in one thread, so that the event loop never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from edge_agent.database.connection import open_reader
from shared.errors import UnavailableError

_Result = TypeVar("_Result")


class Reader:
    """Owner of one read connection; the writer has made the file before."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises what ``open_reader`` raises."""
        self._connection = open_reader(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-reader")

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """What ``job`` finds.

        Raises:
            UnavailableError: the database could not be read.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, job, self._connection)
        except apsw.Error as error:
            raise UnavailableError("the database could not be read", retry_after_s=1) from error

    def close(self) -> None:
        """Finish what runs, then close the connection."""
        self._thread.shutdown()
        self._connection.close()

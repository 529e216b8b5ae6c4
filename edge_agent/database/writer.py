"""One thread writes. Jobs that wait while the disk syncs are committed together by the next sync.

A job is a function of the write connection. It runs in a savepoint: when it raises, it alone is
undone and its caller gets the error. A caller is answered only after the group is durable, and
after the guard has told the other media of it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import apsw

from edge_agent.database.connection import open_writer
from shared.errors import UnavailableError
from shared.sqlfile import load_queries

GROUP_JOBS_MAX: Final = 64
"""Beyond 64 the sync is no longer what costs."""
QUEUE_JOBS_MAX: Final = 1_000
"""A shop has tens of tills; more waiting than this is a disk that stopped."""

_QUERIES: Final = load_queries("edge_agent.database")
_Result = TypeVar("_Result")
_Entry = tuple[Callable[[apsw.Connection], Any], Future[Any]]


class CommitGuard(Protocol):
    """Who stands at every group commit, in the writer's thread (``edge_agent.witness.guard``)."""

    def before_commit(self, connection: apsw.Connection) -> None:
        """Add to the transaction."""
        ...

    def after_commit(self, connection: apsw.Connection) -> None:
        """What was written is durable here; never raises."""
        ...


class Writer:
    """Owner of the write connection; use ``run`` from the event loop, ``close`` at the end."""

    def __init__(self, path: Path, guard: CommitGuard | None = None) -> None:
        """Open the file and start the thread. Raises what ``open_writer`` raises."""
        self._connection = open_writer(path)
        self._guard = guard
        self._queue: queue.Queue[_Entry | None] = queue.Queue(QUEUE_JOBS_MAX)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="database-writer", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """Do ``job`` in the next group; returns when it is durable.

        Raises:
            UnavailableError: the queue is full, the writer is closed, or the disk refused.
        """
        if self._closed:
            raise UnavailableError("the database is closed")
        future: Future[_Result] = Future()
        try:
            self._queue.put_nowait((job, future))
        except queue.Full as error:
            raise UnavailableError("too many writes are waiting", retry_after_s=1) from error
        # A caller who leaves must not undo a write that others may have been told of.
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Finish what waits, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while True:
            group, last = self._next_group()
            if group:
                self._commit_group(group)
            if last:
                return

    def _next_group(self) -> tuple[list[_Entry], bool]:
        group: list[_Entry] = []
        entry = self._queue.get()
        while entry is not None:
            group.append(entry)
            if len(group) == GROUP_JOBS_MAX:
                return group, False
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit_group(self, group: list[_Entry]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._connection.execute(_QUERIES["begin"])
            for job, future in group:
                self._run_job(job, future, done)
            if self._guard is not None:
                self._guard.before_commit(self._connection)
            self._connection.execute(_QUERIES["commit"])
        except apsw.Error as error:
            if self._connection.in_transaction:
                self._connection.execute(_QUERIES["rollback"])
            refusal = UnavailableError("the database could not write", retry_after_s=1)
            refusal.__cause__ = error
            for _, future in group:
                if not future.done():
                    future.set_exception(refusal)
            return
        if self._guard is not None:
            self._guard.after_commit(self._connection)
        for future, result in done:
            future.set_result(result)

    def _run_job(
        self,
        job: Callable[[apsw.Connection], Any],
        future: Future[Any],
        done: list[tuple[Future[Any], Any]],
    ) -> None:
        self._connection.execute(_QUERIES["savepoint"])
        try:
            result = job(self._connection)
        except Exception as error:  # noqa: BLE001 - it goes to the caller, who knows what it means
            self._connection.execute(_QUERIES["rollback_job"])
            self._connection.execute(_QUERIES["release"])
            future.set_exception(error)
            return
        self._connection.execute(_QUERIES["release"])
        done.append((future, result))

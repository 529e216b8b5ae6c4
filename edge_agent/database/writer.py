"""One thread writes. Jobs that wait while the disk syncs are committed together by the next sync.

A job is a function of the write connection. It runs in a savepoint: when it raises, it alone is
undone and its caller gets the error. A caller is answered only after the group is durable, and
after the guard has told the other media of it; jobs that only looked cost no medium anything. When
the disk refuses, the whole group is undone; for want of room it is done once more in the place of
the reserve, so a job may run twice.

The log is folded into the database between groups, never in one: a caller does not wait for it,
and a disk that fails there is noticed.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import apsw

from edge_agent.database.connection import open_writer
from edge_agent.database.disk import Disk, Fault, fault_of
from edge_agent.database.replies import Replies, Reply
from shared.errors import UnavailableError
from shared.sqlfile import load_queries

GROUP_JOBS_MAX: Final = 64
"""Beyond 64 the sync is no longer what costs."""
QUEUE_JOBS_MAX: Final = 1_000
"""A shop has tens of tills; more waiting than this is a disk that stopped."""
FOLD_PAGES: Final = 1_000
"""The log is folded into the database when it has grown by so many pages: four megabytes."""

_QUERIES: Final = load_queries("edge_agent.database")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Entry:
    job: Callable[[apsw.Connection], Any]
    reply: Reply[Any]


class CommitGuard(Protocol):
    """Who stands at every group commit, in the writer's thread (``edge_agent.witness.guard``)."""

    def is_due(self) -> bool:
        """Whether a group in which nothing was changed is committed for the guard's sake."""
        ...

    def before_commit(self, connection: apsw.Connection, *, short: bool = False) -> None:
        """Add to the transaction; ``short``: room is left for sales and money only."""
        ...

    def after_commit(self, connection: apsw.Connection) -> None:
        """What was written is durable here; never raises."""
        ...


class Writer:
    """Owner of the write connection; use ``run`` from the event loop, ``close`` at the end."""

    def __init__(
        self, path: Path, guard: CommitGuard | None = None, disk: Disk | None = None
    ) -> None:
        """Open the file and start the thread. Raises what ``open_writer`` raises."""
        self._connection = open_writer(path)
        self._disk = Disk(path.parent) if disk is None else disk
        self._guard = guard
        self._queue: queue.Queue[_Entry | None] = queue.Queue(QUEUE_JOBS_MAX)
        self._replies: Replies | None = None
        self._closed = False
        self._log_pages = 0
        self._fold_at_pages = FOLD_PAGES
        self._connection.set_wal_hook(self._note_log)
        self._thread = threading.Thread(target=self._work, name="database-writer", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """Do ``job`` in the next group; returns when it is durable.

        Raises:
            UnavailableError: the queue is full, the writer is closed, or the disk refused
                (``disk_full``, ``disk_read_only``, ``disk_failed``).
        """
        if self._closed:
            raise UnavailableError("the database is closed")
        loop = asyncio.get_running_loop()
        if self._replies is None or self._replies.loop is not loop:
            self._replies = Replies(loop)
        reply: Reply[_Result] = Reply(self._replies)
        try:
            self._queue.put_nowait(_Entry(job, reply))
        except queue.Full as error:
            raise UnavailableError("too many writes are waiting", retry_after_s=1) from error
        # A caller who leaves must not undo a write that others may have been told of.
        result: _Result = await asyncio.shield(reply.awaited)
        return result

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
                try:
                    self._commit_group(group)
                    if self._log_pages >= self._fold_at_pages:
                        self._fold_log()
                except Exception as error:  # noqa: BLE001 - without this thread nothing is recorded
                    self._break_off(group, error)
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
        refused = self._refused_by()
        if refused is None:
            refused = self._try_group(group)
            if self._is_full(refused) and self._disk.give_up_reserve():
                refused = self._try_group(group)
        if refused is None:
            return
        for entry in group:
            if not entry.reply.done():
                entry.reply.set_exception(refused)

    def _refused_by(self) -> UnavailableError | None:
        fault = self._disk.refuses
        return None if fault is None else self._disk.refusal(fault)

    def _is_full(self, refused: UnavailableError | None) -> bool:
        return refused is not None and isinstance(refused.__cause__, apsw.FullError)

    def _try_group(self, group: list[_Entry]) -> UnavailableError | None:
        """Commit the jobs and answer their callers; or undo all of them and say why."""
        done: list[tuple[Reply[Any], Any]] = []
        before = self._connection.total_changes()
        try:
            self._connection.execute(_QUERIES["begin"])
            for entry in group:
                if not entry.reply.done():
                    self._run_job(entry, done)
            guard = self._guard
            if guard is not None and self._connection.total_changes() == before:
                guard = guard if guard.is_due() else None
            if guard is not None:
                guard.before_commit(self._connection, short=self._disk.short)
            self._connection.execute(_QUERIES["commit"])
        except apsw.Error as error:
            return self._undo(error)
        if guard is not None:
            guard.after_commit(self._connection)
        for reply, result in done:
            reply.set_result(result)
        return None

    def _undo(self, error: apsw.Error) -> UnavailableError:
        fault = fault_of(error, self._connection)
        try:
            if self._connection.in_transaction:
                self._connection.execute(_QUERIES["rollback"])
        except apsw.Error:
            fault = Fault.FAILED
        refusal = UnavailableError("the database could not write", retry_after_s=1)
        if fault is not None:
            refusal = self._disk.refusal(fault)
            if fault is not Fault.FULL:
                self._fail(fault, error)
        refusal.__cause__ = error
        return refusal

    def _fail(self, fault: Fault, error: apsw.Error) -> None:
        # Closing folds the log otherwise: that would ask a disk that failed to flush once more.
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._disk.fail(fault, f"{type(error).__name__}: {error}")

    def _break_off(self, group: list[_Entry], error: Exception) -> None:
        """Something in here is wrong: who waits is told, and the process starts anew."""
        if self._connection.in_transaction:
            self._connection.execute(_QUERIES["rollback"])
        self._disk.fail(Fault.FAILED, f"{type(error).__name__}: {error}")
        for entry in group:
            if not entry.reply.done():
                entry.reply.set_exception(self._disk.refusal(Fault.FAILED))

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _fold_log(self) -> None:
        """Move the log's pages into the database; what a reader still needs stays in the log."""
        try:
            log, folded = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            fault = fault_of(error, self._connection)
            if fault is Fault.FULL:
                self._disk.give_up_reserve()
            elif fault is not None:
                self._fail(fault, error)
            log, folded = self._log_pages, 0
        # Whoever reads in the log keeps the rest of it: to ask after every group would be in vain.
        self._fold_at_pages = FOLD_PAGES if folded >= log else log + FOLD_PAGES // 4
        if folded >= log:
            self._log_pages = 0

    def _run_job(self, entry: _Entry, done: list[tuple[Reply[Any], Any]]) -> None:
        self._connection.execute(_QUERIES["savepoint"])
        try:
            result = entry.job(self._connection)
        except Exception as error:
            if fault_of(error, self._connection) is not None:
                raise  # the disk refused: no job's fault, and the whole group's affair
            self._connection.execute(_QUERIES["rollback_job"])
            self._connection.execute(_QUERIES["release"])
            entry.reply.set_exception(error)
            return
        self._connection.execute(_QUERIES["release"])
        done.append((entry.reply, result))

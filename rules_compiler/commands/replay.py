"""Running many receipts through something, in this process or in several."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, Generic, TypeVar

from rules_compiler.commands.receipts import Batch
from shared.errors import UnavailableError

T = TypeVar("T")
AHEAD: Final = 3
"""Batches handed over for each process: it never waits, and the files are not read into memory."""

_work: list[Callable[[Batch], Any]] = []
"""In a process of the pool: what it does with a batch."""


class Replay(Generic[T]):
    """What is done with each batch: ``make`` of ``setup``, both of which go to other processes."""

    def __init__(
        self, make: Callable[[Any], Callable[[Batch], T]], setup: object, *, jobs: int
    ) -> None:
        self._make = make
        self._setup = setup
        self._jobs = jobs

    def run(self, batches: Iterable[Batch]) -> Iterator[T]:
        """What became of each batch, in no order."""
        if self._jobs == 1:
            work = self._make(self._setup)
            for batch in batches:
                yield work(batch)
            return
        # Started afresh, not forked: the bar has threads, and a fork would copy their locks.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(
            self._jobs, mp_context=context, initializer=_begin, initargs=(self._make, self._setup)
        )
        try:
            yield from _spread(pool, batches, self._jobs * AHEAD)
        except BrokenProcessPool as error:
            raise UnavailableError(
                "a process that was pricing was ended from outside",
                hint="Perhaps the memory was too little: try again with fewer --jobs.",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _spread(pool: ProcessPoolExecutor, batches: Iterable[Batch], most: int) -> Iterator[Any]:
    pending: set[Future[Any]] = set()
    for batch in batches:
        pending.add(_submit(pool, batch))
        if len(pending) >= most:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for each in done:
                yield each.result()
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for each in done:
            yield each.result()


def _submit(pool: ProcessPoolExecutor, batch: Batch) -> Future[Any]:
    """Hand a batch over; processes that this starts never hear of Ctrl-C.

    It reaches the whole group; the first process ends the others when it has told its table.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_do, batch)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(make: Callable[[Any], Callable[[Batch], Any]], setup: object) -> None:
    _work.append(make(setup))


def _do(batch: Batch) -> Any:
    return _work[0](batch)

"""The agent's loops: each has a name, is tried again with a growing wait, and says how it is.

A loop is a function that does one round and returns; it is called again at once, so a round waits
for its own work. A round that raises is one more failure: the supervisor waits and calls again.
A failure in a row is logged once when it begins and once when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.logs import get_logger
from shared.status import Health, Status

RETRY_AFTER_S_MAX: Final = 3_600.0
"""Whoever was asked may say when to come back, but not keep a loop away for ever."""
_LOG = get_logger(__name__)
Round = Callable[[], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class _Loop:
    round: Round
    task: asyncio.Task[None] | None = None
    health: Health = Health.NOT_READY
    message: str = ""
    failures: int = 0
    last_attempt_at_ms: int | None = None
    last_success_at_ms: int | None = None


class Supervisor:
    """Owner of the tasks; ``wait_s`` says how long to wait after so many failures in a row."""

    def __init__(self, clock: Clock, wait_s: Callable[[int], float]) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._loops: dict[str, _Loop] = {}

    def add(self, name: str, one_round: Round) -> None:
        """Register a loop before ``start``; its name is unique."""
        assert name not in self._loops, "a loop's name is its own"
        self._loops[name] = _Loop(round=one_round)

    def start(self) -> None:
        """Start every loop; call from the event loop, once."""
        for name, loop in self._loops.items():
            assert loop.task is None, "loops are started once"
            loop.task = asyncio.create_task(self._run(name, loop), name=name)

    async def stop(self) -> None:
        """Cancel every loop and wait until all have ended."""
        tasks = [loop.task for loop in self._loops.values() if loop.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def statuses(self) -> list[Status]:
        """How each loop is, in the order of registration."""
        return [
            Status(
                component=name,
                health=loop.health,
                message=loop.message,
                last_attempt_at_ms=loop.last_attempt_at_ms,
                last_success_at_ms=loop.last_success_at_ms,
            )
            for name, loop in self._loops.items()
        ]

    async def _run(self, name: str, loop: _Loop) -> None:
        while True:
            loop.last_attempt_at_ms = self._clock.now_ms()
            try:
                await loop.round()
            except Exception as error:  # noqa: BLE001 - a loop outlives every fault of a round
                self._note_failure(name, loop, error)
                await asyncio.sleep(max(self._wait_s(loop.failures), _asked_wait_s(error)))
            else:
                self._note_success(name, loop)
                # A round that found nothing to wait for must not starve the others.
                await asyncio.sleep(0)

    def _note_failure(self, name: str, loop: _Loop, error: Exception) -> None:
        loop.failures += 1
        loop.health = Health.ERROR
        loop.message = error.message if isinstance(error, AppError) else type(error).__name__
        if loop.failures > 1:
            return
        if isinstance(error, AppError):
            _LOG.warning("loop.failed", loop=name, code=error.stable_code, detail=error.message)
        else:
            _LOG.error("loop.failed", loop=name, exc_info=error)

    def _note_success(self, name: str, loop: _Loop) -> None:
        if loop.failures:
            _LOG.info("loop.recovered", loop=name, failures=loop.failures)
        loop.failures = 0
        loop.health = Health.OK
        loop.message = ""
        loop.last_success_at_ms = self._clock.now_ms()


def _asked_wait_s(error: Exception) -> float:
    asked_s = error.retry_after_s if isinstance(error, UnavailableError) else None
    return min(asked_s or 0.0, RETRY_AFTER_S_MAX)

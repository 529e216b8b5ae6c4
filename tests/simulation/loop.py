"""An event loop whose time is a number: when nothing can run, it becomes the next timer's.

There is no selector, no thread and no socket, so what runs when depends on the callbacks alone, and
the same seed gives the same run. What would go to an executor runs in place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

_RESOLUTION_S: Final = 1e-6
"""Timers closer than a microsecond are one instant."""


class NothingWillHappenError(Exception):
    """Every task waits for something that no timer and no other task will bring."""


class _Stillness:
    """What the base loop takes for a selector: waiting moves the time, and nothing else comes."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None:
            raise NothingWillHappenError
        if timeout_s > 0:
            self._loop.advance(timeout_s)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one simulated world; ``time()`` is seconds since the world began."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = _RESOLUTION_S
        self._selector = _Stillness(self)

    def time(self) -> float:
        return self._now_s

    def advance(self, span_s: float) -> None:
        """Let time pass; only the stillness calls it."""
        self._now_s += span_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """The call made here and now, as a future that is already done."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list, "nothing comes from outside"

    def _write_to_self(self) -> None:
        """Nobody sleeps in a system call that would have to be woken."""

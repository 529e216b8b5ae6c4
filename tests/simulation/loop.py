"""An event loop whose time is a number: when nothing can run, it becomes the next timer's.

There is no selector, no thread and no socket, so what runs when depends on the callbacks alone, and
the same seed gives the same run. What would go to an executor runs in place.

A run is tens of thousands of turns of this loop, so it has turns and timers of its own, without
what asyncio's base does for selectors, threads and debugging.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import Any, Final

_RESOLUTION_S: Final = 1e-6
"""Timers closer than a microsecond are one instant."""
TURNS_MAX: Final = 20_000_000
"""A thousand times as many as a town of a few days needs."""


class NeverRestsError(Exception):
    """A run that goes round and round: somebody asks for the same thing for ever."""


class NothingWillHappenError(Exception):
    """Every task waits for something that no timer and no other task will bring."""


class _Call:
    """A callback that will be made, unless it is cancelled: asyncio's ``Handle``, bare."""

    __slots__ = ("_args", "_callback", "_context", "_when_s")

    def __init__(
        self,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: Context | None,
        when_s: float,
    ) -> None:
        self._callback: Callable[..., Any] | None = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._when_s = when_s

    def cancel(self) -> None:
        self._callback = None
        self._args = ()

    def cancelled(self) -> bool:
        return self._callback is None

    def when(self) -> float:
        return self._when_s

    def make(self) -> None:
        """Call, if nobody has thought better of it; what it raises ends the run."""
        if self._callback is not None:
            self._context.run(self._callback, *self._args)


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one simulated world; ``time()`` is seconds since the world began."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, _Call]] = []
        """The number keeps timers of one instant in the order in which they were set."""
        self._timers_set = 0
        self._turns = 0

    def time(self) -> float:
        return self._now_s

    def advance(self, span_s: float) -> None:
        """Let time pass in which nothing happens; only before the run."""
        assert not self._timers, "it would be too late for them"
        self._now_s += span_s

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> _Call:
        call = _Call(callback, args, context, self._now_s)
        self._ready.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> _Call:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> _Call:
        call = _Call(callback, args, context, when)
        self._timers_set += 1
        heappush(self._timers, (when, self._timers_set, call))
        return call

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """The call made here and now, as a future that is already done."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        """One turn: what is ready now, and what it makes ready comes in the next turn."""
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise NeverRestsError(f"{TURNS_MAX} turns")
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not ready and not self._stopping:
            if not timers:
                raise NothingWillHappenError
            self._now_s = max(self._now_s, timers[0][0])
        end_s = self._now_s + _RESOLUTION_S
        while timers and timers[0][0] < end_s:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            ready.popleft().make()

"""Questions for which somebody waits at a till: answered soon, or done without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call
from shared.clock import Clock
from shared.errors import AppError, BusyError, UnavailableError

_Answer = TypeVar("_Answer")


class ShortCalls:
    """Calls of one kind to head office. After three failures in a row it is left alone a moment."""

    def __init__(self, *, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._breaker = Breaker()

    def may_ask(self) -> bool:
        """Whether a call may go out now; if so, its outcome has to be told by ``ask``."""
        allowed, self._breaker = may_call(self._breaker, self._clock.mono_ns())
        return allowed

    async def ask(self, call: Awaitable[_Answer]) -> _Answer:
        """The answer to a call that ``may_ask`` let go out.

        Raises:
            UnavailableError: nobody answered, or not in time.
            AppError: head office refuses, or is busy (``BusyError``), which is an answer as well.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await call
        except BusyError:
            self._breaker = after_success(self._breaker)
            raise
        except (TimeoutError, UnavailableError) as error:
            self._breaker = after_failure(self._breaker, self._clock.mono_ns())
            raise UnavailableError("head office does not answer") from error
        except AppError:
            self._breaker = after_success(self._breaker)
            raise
        self._breaker = after_success(self._breaker)
        return answer

"""Answers from a thread to the event loop: many at once wake it once.

``asyncio.wrap_future`` wakes the loop for each answer, by a byte through a socket; when sixty-four
tills wait for one sync of the disk, that takes longer than the sync.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")


class Reply(Generic[_Result]):
    """What one caller waits for: ``awaited``, in the event loop. The thread answers, once."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._done = False
        self._result: _Result | None = None
        self._error: BaseException | None = None
        self.awaited: asyncio.Future[Any] = replies.loop.create_future()

    def done(self) -> bool:
        """Whether it is answered."""
        return self._done

    def set_result(self, result: _Result) -> None:
        """Done; this came of it."""
        self._answer(result, None)

    def set_exception(self, error: BaseException) -> None:
        """Not done, for this reason."""
        self._answer(None, error)

    def tell(self) -> None:
        """In the event loop: let the caller go on, if it still waits."""
        if self.awaited.done():
            return
        if self._error is None:
            self.awaited.set_result(self._result)
        else:
            self.awaited.set_exception(self._error)

    def _answer(self, result: _Result | None, error: BaseException | None) -> None:
        assert not self._done, "a caller is answered once"
        self._result, self._error, self._done = result, error, True
        self._replies.give(self)


class Replies:
    """The way of answers to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._given: deque[Reply[Any]] = deque()
        self._woken = False

    def give(self, reply: Reply[Any]) -> None:
        """From any one thread."""
        self._given.append(reply)
        # Who is to come takes this one too: it says so before it looks.
        if not self._woken and not self.loop.is_closed():
            self._woken = True
            self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._woken = False
        while self._given:
            self._given.popleft().tell()

"""Answers from a thread: every caller gets its own, and many at once wake the loop once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from edge_agent.database.replies import Replies, Reply
from shared.errors import UnavailableError

CALLERS = 64
ROUNDS = 200


async def test_a_group_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the loop is busy elsewhere, answers gather."""
    loop = asyncio.get_running_loop()
    woken = 0
    wake = loop.call_soon_threadsafe

    def counted(callback: Callable[..., Any], *arguments: Any) -> asyncio.Handle:
        nonlocal woken
        woken += 1
        return wake(callback, *arguments)

    replies = Replies(loop)
    waiting: list[Reply[int]] = [Reply(replies) for _ in range(CALLERS)]
    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)

    def answer() -> None:
        for number, reply in enumerate(waiting):
            reply.set_result(number)

    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()
    monkeypatch.undo()
    assert list(range(CALLERS)) == await asyncio.gather(*(each.awaited for each in waiting))
    assert woken == 1


async def test_nobody_is_forgotten_while_answers_are_taken() -> None:
    """However the thread and the loop interleave, each caller gets its answer or its error."""
    replies = Replies(asyncio.get_running_loop())
    for _ in range(ROUNDS):
        waiting: list[Reply[int]] = [Reply(replies) for _ in range(CALLERS)]

        def answer(waiting: list[Reply[int]]) -> None:
            for number, reply in enumerate(waiting):
                if number % 7:
                    reply.set_result(number)
                else:
                    reply.set_exception(UnavailableError(str(number)))

        thread = threading.Thread(target=answer, args=(waiting,))
        thread.start()
        async with asyncio.timeout(30):
            told = await asyncio.gather(*(each.awaited for each in waiting), return_exceptions=True)
        thread.join()
        for number, each in enumerate(told):
            if number % 7:
                assert number == each
            else:
                assert isinstance(each, UnavailableError)
                assert str(number) == each.message


class _Racing(deque[Reply[Any]]):
    """Just after it was found empty, another answer is given."""

    def __init__(self, give: Callable[[], None]) -> None:
        super().__init__()
        self._late: threading.Thread | None = threading.Thread(target=give)

    def __bool__(self) -> bool:
        found = len(self) > 0
        if not found and self._late is not None:
            late, self._late = self._late, None
            late.start()
            late.join()
        return found


async def test_an_answer_at_the_last_moment_is_told() -> None:
    """Given when the loop has looked for the last time, it wakes the loop once more."""
    replies = Replies(asyncio.get_running_loop())
    first: Reply[int] = Reply(replies)
    late: Reply[int] = Reply(replies)
    replies._given = _Racing(lambda: late.set_result(2))
    first.set_result(1)
    async with asyncio.timeout(5):
        assert [await first.awaited, await late.awaited] == [1, 2]


async def test_who_left_is_passed_over() -> None:
    """A caller that was cancelled gets nothing, and the others theirs."""
    replies = Replies(asyncio.get_running_loop())
    gone: Reply[int] = Reply(replies)
    other: Reply[int] = Reply(replies)
    gone.awaited.cancel()
    gone.set_result(1)
    other.set_result(2)
    assert await other.awaited == 2


def test_a_loop_that_is_closed_hears_nothing() -> None:
    """The thread goes on when the agent has stopped."""
    loop = asyncio.new_event_loop()
    reply: Reply[int] = Reply(Replies(loop))
    loop.close()
    reply.set_result(1)
    assert reply.done()

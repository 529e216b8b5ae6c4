"""A till's port at work: bytes to the link, the link's actions to the port and to the teller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from edge_agent.serial.link import Action, Execute, Link, Send
from edge_agent.serial.port import READ_BYTES_MAX, Port
from shared.clock import Clock
from shared.errors import UnavailableError

BREATH_S: Final = 0.02
"""Between two full buffers: a device that floods gets 200 KB a second, the others their turn."""
_MS_NS: Final = 1_000_000


class Line:
    """The link of one till; it goes on with what it was doing when the port is opened again."""

    def __init__(
        self, link: Link, execute: Callable[[int, bytes], Awaitable[bytes]], *, clock: Clock
    ) -> None:
        self._link = link
        self._execute = execute
        self._clock = clock
        self._port: Port | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self, port: Port) -> None:
        """Talk over this port until it is lost.

        Raises:
            UnavailableError: it is lost.
        """
        self._port = port
        self._link.lost()
        try:
            while True:
                data = await port.read()
                self._do(self._link.receive(data, self._now_ms()))
                if len(data) == READ_BYTES_MAX:
                    await asyncio.sleep(BREATH_S)
        finally:
            self._port = None

    async def close(self) -> None:
        """Let what is being executed end: a sale that was begun is recorded."""
        if self._task is not None:
            await self._task
        if self._timer is not None:
            self._timer.cancel()

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(data=data):
                    # Who reads the port hears that it is lost; what could not be sent is asked for
                    # again when the till is back.
                    if self._port is not None:
                        with suppress(UnavailableError):
                            self._port.write(data)
                case Execute(number=number, message=message):
                    self._task = asyncio.create_task(self._answer(number, message))
        self._set_timer()

    async def _answer(self, number: int, message: bytes) -> None:
        reply = await self._execute(number, message)
        self._do(self._link.answer(reply, self._now_ms()))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        due_ms = self._link.due_ms
        if due_ms is not None:
            wait_s = max(due_ms - self._now_ms(), 0) / 1000
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._advance)

    def _advance(self) -> None:
        self._do(self._link.advance(self._now_ms()))

    def _now_ms(self) -> int:
        return self._clock.mono_ns() // _MS_NS

"""A serial line in virtual time: the reference client at one end, the agent's link at the other."""

from __future__ import annotations

import random
from collections.abc import Callable

from edge_agent.serial.link import Action, Execute, Link, Send
from tests.support.noise import Noise

BYTE_US = 87
"""One byte at 115200."""


class VirtualPort:
    """What pyserial's ``Serial`` is to the reference client; no clock runs but its own.

    ``there`` and ``back`` change what travels. ``execute`` answers a message at once; with
    ``busy_ms`` the answer takes so long.
    """

    def __init__(
        self,
        link: Link,
        execute: Callable[[int, bytes], bytes],
        *,
        there: Noise = bytes,
        back: Noise = bytes,
        timeout_ms: int = 1_000,
        busy_ms: int = 0,
    ) -> None:
        self.link = link
        self.execute = execute
        self.there = there
        self.back = back
        self.timeout_ms = timeout_ms
        self.busy_ms = busy_ms
        self.now_us = 0
        self.inbox = bytearray()
        self._pending: tuple[int, bytes] | None = None

    @property
    def now_ms(self) -> int:
        """The line's clock."""
        return self.now_us // 1000

    def write(self, data: bytes) -> int:
        """The till speaks; each byte takes its time."""
        for byte in self.there(data):
            self.now_us += BYTE_US
            self._do(self.link.receive(bytes([byte]), self.now_ms))
        return len(data)

    def read(self, size: int) -> bytes:
        """What the till hears, or less when the time-out is over."""
        until_ms = self.now_ms + self.timeout_ms
        while len(self.inbox) < size and self._advance(until_ms):
            pass
        taken = bytes(self.inbox[:size])
        del self.inbox[:size]
        return taken

    def reset_input_buffer(self) -> None:
        """What the till did not want to hear."""
        self.inbox.clear()

    def rest(self, span_ms: int) -> None:
        """Nobody says anything for a while."""
        until_ms = self.now_ms + span_ms
        while self._advance(until_ms):
            pass

    def _advance(self, until_ms: int) -> bool:
        """Go to what happens next; False: nothing does before the time is over."""
        dues = [self.link.due_ms, None if self._pending is None else self._pending[0]]
        due_ms = min((each for each in dues if each is not None), default=until_ms)
        if due_ms >= until_ms:
            self.now_us = max(self.now_us, until_ms * 1000)
            return False
        self.now_us = max(self.now_us, due_ms * 1000)
        if self._pending is not None and self._pending[0] <= self.now_ms:
            reply, self._pending = self._pending[1], None
            self._do(self.link.answer(reply, self.now_ms))
        self._do(self.link.advance(self.now_ms))
        return True

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(data=data):
                    self.inbox += self.back(data)
                case Execute(number=number, message=message):
                    reply = self.execute(number, message)
                    if self.busy_ms:
                        self._pending = (self.now_ms + self.busy_ms, reply)
                    else:
                        self._do(self.link.answer(reply, self.now_ms))


def sometimes(noise: Noise, rng: random.Random, share: float) -> Noise:
    """The noise, in this share of what is said."""
    return lambda data: noise(data) if rng.random() < share else data

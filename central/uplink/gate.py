"""The admission of one process, for requests that wait: places, bodies and turns.

A body is read only for a batch that was let in, and against a clock: who dribbles loses the place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from central.uplink.admission import Admission, Advice, Ticket, Wait
from shared.clock import Clock
from shared.errors import BusyError, InputError, TooLargeError
from shared.ids import Chance

_LOOK_S: Final = 0.05
_SAME_SENDER_LOOKS: Final = 60
"""Three seconds: a batch is worked on for less, and its sender is not told to wait for nothing."""
BODY_SILENCE_S: Final = 10.0
"""Without a byte for this long the sender is gone."""
BODY_BYTES_PER_S_MIN: Final = 1024
"""The slowest link that is served is 64 kbit/s; an eighth of it is nobody's."""


class Gate:
    """Lets batches in, makes them wait for their turn, and wakes them."""

    def __init__(self, admission: Admission, clock: Clock, chance: Chance) -> None:
        self._admission = admission
        self._clock = clock
        self._chance = chance
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def place(
        self, store_id: str, sender: tuple[int, int], records: int
    ) -> AsyncIterator[Ticket]:
        """A place for a batch until the block ends; what is done in it counts as taken.

        Raises:
            BusyError: there is none now; it says when to come back.
        """
        ticket = self._arrive(store_id, sender, records)
        if isinstance(ticket, Wait) and self._admission.is_in(sender):
            # The one before may have been cut off or answered a moment ago.
            for _ in range(_SAME_SENDER_LOOKS):
                await asyncio.sleep(_LOOK_S)
                if not self._admission.is_in(sender):
                    ticket = self._arrive(store_id, sender, records)
                    break
        if isinstance(ticket, Wait):
            raise BusyError(retry_after_s=ticket.retry_after_s)
        taken = False
        try:
            yield ticket
            taken = True
        finally:
            self._waiting.pop(ticket, None)
            self._admission.leave(ticket, now_ns=self._clock.mono_ns(), taken=taken)
            self._wake()

    def _arrive(self, store_id: str, sender: tuple[int, int], records: int) -> Ticket | Wait:
        return self._admission.arrive(
            store_id,
            sender,
            records,
            now_ns=self._clock.mono_ns(),
            spread=self._chance.uniform(0, 1),
        )

    async def turn(self, ticket: Ticket) -> None:
        """Wait until this batch may be worked on."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        self._admission.ready(ticket)
        self._wake()
        await future

    def advice(self) -> Advice:
        """What to tell the sender of a batch that was taken."""
        return self._admission.advice(self._clock.mono_ns())

    def _wake(self) -> None:
        for ticket in self._admission.start(self._clock.mono_ns()):
            future = self._waiting.pop(ticket)
            if not future.done():
                future.set_result(None)


async def read_body(request: web.Request, clock: Clock, *, bytes_max: int) -> bytes:
    """A request's body, counted and timed while it comes.

    Raises:
        TooLargeError: there is more than agreed.
        InputError: it comes too slowly, or not at all.
    """
    body = bytearray()
    async for piece in body_pieces(request, clock, bytes_max=bytes_max):
        body += piece
    return bytes(body)


async def body_pieces(
    request: web.Request, clock: Clock, *, bytes_max: int
) -> AsyncIterator[bytes]:
    """The same in pieces. Raises as ``read_body``."""
    size_bytes = 0
    began_ns = clock.mono_ns()
    while True:
        try:
            async with asyncio.timeout(BODY_SILENCE_S):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise InputError("the body does not come", code="slow_body") from error
        if not chunk:
            return
        size_bytes += len(chunk)
        if size_bytes > bytes_max:
            raise TooLargeError(f"a body has at most {bytes_max} bytes")
        spent_s = (clock.mono_ns() - began_ns) / 1e9
        if spent_s > BODY_SILENCE_S and size_bytes < spent_s * BODY_BYTES_PER_S_MIN:
            raise InputError("the body comes too slowly", code="slow_body")
        yield chunk

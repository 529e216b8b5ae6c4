"""The network: calls between machines that are lost, late, doubled, answered in vain or cut.

A call is a request and a reply, each a message of its own. From silence the caller learns only that
it does not know whether the call was made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from shared.errors import AppError, UnavailableError
from tests.simulation.world import World

SILENCE_S: Final = 20.0
"""After so long without a byte a caller gives up (READ_TIMEOUT_S of the real transport, less)."""
_Reply = TypeVar("_Reply")


@dataclass(slots=True, kw_only=True)
class Weather:
    """What happens to messages; chances are per message."""

    loss: float = 0.0
    reply_loss: float = 0.0
    double: float = 0.0
    delay_s: float = 0.05
    long_delay: float = 0.0
    long_delay_s: float = 15.0


CALM: Final = Weather()
POOR: Final = Weather(loss=0.08, reply_loss=0.08, double=0.05, delay_s=0.4, long_delay=0.05)
LAN_CALM: Final = Weather(delay_s=0.004)
LAN_POOR: Final = Weather(
    loss=0.03, reply_loss=0.03, double=0.03, delay_s=0.05, long_delay=0.03, long_delay_s=3.0
)


class Network:
    """Who can hear whom. A cut is one-way: (from, to) messages are lost without a word."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.weather = Weather()
        self.lan_weather = LAN_CALM
        self.cuts: set[tuple[str, str]] = set()
        self.half_open: set[tuple[str, str]] = set()
        # In the order of their beginning: a set of tasks has no order that is the same twice.
        self._tails: dict[asyncio.Task[None], None] = {}
        self._dice = world.dice("network")

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Nothing from ``one`` reaches ``other``, nor back unless the cut is one-way."""
        self.cuts.add((one, other))
        if not one_way:
            self.cuts.add((other, one))
        self.world.note("network", "link.cut", a=one, b=other, one_way=one_way)

    def open_half(self, one: str, other: str) -> None:
        """Calls from ``one`` reach ``other`` and are made; every answer vanishes."""
        self.half_open.add((one, other))
        self.world.note("network", "link.half_opened", a=one, b=other)

    def mend(self, one: str, other: str) -> None:
        """Both ways are whole again."""
        for pair in ((one, other), (other, one)):
            self.cuts.discard(pair)
            self.half_open.discard(pair)
        self.world.note("network", "link.mended", a=one, b=other)

    def mend_all(self) -> None:
        """Fair weather everywhere."""
        self.cuts.clear()
        self.half_open.clear()
        self.weather = Weather()
        self.lan_weather = LAN_CALM
        self.world.note("network", "weather.cleared")

    async def call(
        self,
        caller: str,
        answerer: str,
        handler: Callable[[], Awaitable[_Reply]],
        *,
        silence_s: float = SILENCE_S,
        lan: bool = False,
    ) -> _Reply:
        """Make a call; ``handler`` runs at the answerer. ``lan``: over the shop's own wires.

        Raises:
            UnavailableError: nothing came back; the call may have been made all the same.
            AppError: the answerer refused.
        """
        deadline_s = self.world.now_s() + silence_s
        weather = self.lan_weather if lan else self.weather
        if (caller, answerer) in self.cuts or self._dice.happens(weather.loss):
            raise await self._silence(deadline_s)
        await asyncio.sleep(self._delay_s(weather))
        if self._dice.happens(weather.double):
            self._later(handler)
        refusal: AppError | None = None
        try:
            reply = await handler()
        except AppError as error:
            refusal = error
        except Exception as error:
            self.world.surprise(answerer, error)
            raise
        if (
            (answerer, caller) in self.cuts
            or (caller, answerer) in self.half_open
            or self._dice.happens(weather.reply_loss)
        ):
            self.world.note("network", "reply.lost", caller=caller, answerer=answerer)
            raise await self._silence(deadline_s)
        await asyncio.sleep(self._delay_s(weather))
        if self.world.now_s() > deadline_s:
            self.world.note("network", "reply.late", caller=caller, answerer=answerer)
            raise await self._silence(deadline_s)
        if refusal is not None:
            raise refusal
        return reply

    async def close(self) -> None:
        """Forget messages that are still under way."""
        for task in list(self._tails):
            task.cancel()
        await asyncio.gather(*self._tails, return_exceptions=True)

    def _later(self, handler: Callable[[], Awaitable[object]]) -> None:
        """The same request once more, after others may have come; nobody waits for its reply."""

        async def again() -> None:
            await asyncio.sleep(self._dice.uniform(0.0, 60.0))
            try:
                await handler()
            except AppError:
                self.world.note("network", "double.refused")
            except Exception as error:
                self.world.surprise("network", error)
                raise

        task = asyncio.get_running_loop().create_task(again())
        self._tails[task] = None
        task.add_done_callback(lambda done: self._tails.pop(done, None))

    async def _silence(self, deadline_s: float) -> UnavailableError:
        await asyncio.sleep(max(deadline_s - self.world.now_s(), 0.0))
        return UnavailableError("central cannot be reached: silence", code="no_link")

    def _delay_s(self, weather: Weather) -> float:
        if weather.long_delay and self._dice.happens(weather.long_delay):
            return self._dice.uniform(0.0, weather.long_delay_s)
        return self._dice.uniform(0.0, weather.delay_s)

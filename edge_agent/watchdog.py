"""Tell systemd that the agent answers, by its own protocol: datagrams to ``NOTIFY_SOCKET``.

``READY=1`` once tills are answered, ``WATCHDOG=1`` as long as a probe comes back in time, and
``STOPPING=1``. A process whose loop or writer hangs says nothing more, and is started anew. One
that refuses does answer: a full disk is no reason to begin again and again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from shared.errors import AppError
from shared.logs import get_logger

PINGS_A_LIMIT: Final = 3
"""So often within the time after which systemd takes the agent for dead."""
_US_PER_S: Final = 1_000_000
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """``ask`` returns when whoever asks the agent would have an answer."""

    ask: Callable[[], Awaitable[object]]


PROBE: Final = web.AppKey("probe", Probe)
"""Where an application keeps its own: a price, and a turn of the writer."""


class Systemd:
    """Whoever started the agent and wants to hear of it; nobody, where it was started otherwise.

    ``limit_s``: after so long a silence the agent is taken for dead; None: it is not watched.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        told = environment.get("NOTIFY_SOCKET", "")
        # An abstract name begins with a nought, which is written as @.
        self._address = "\0" + told[1:] if told.startswith("@") else told
        usec = environment.get("WATCHDOG_USEC", "")
        watched = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.limit_s: float | None = None
        if self._address and watched and usec.isascii() and usec.isdigit() and int(usec) > 0:
            self.limit_s = int(usec) / _US_PER_S

    def say(self, state: str) -> None:
        """Send it; who does not listen is not waited for."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            end.sendto(state.encode(), self._address)


async def watch(systemd: Systemd, probe: Probe) -> None:
    """Ping while the probe comes back; returns at once where nobody watches."""
    if systemd.limit_s is None:
        return
    every_s = systemd.limit_s / PINGS_A_LIMIT
    while True:
        if await _is_answered(probe, every_s):
            systemd.say("WATCHDOG=1")
        await asyncio.sleep(every_s)


async def _is_answered(probe: Probe, patience_s: float) -> bool:
    try:
        async with asyncio.timeout(patience_s):
            await probe.ask()
    except AppError:
        return True
    except Exception:  # noqa: BLE001 - whatever it is, nobody would be served
        _LOG.exception("watchdog.no_answer")
        return False
    return True

"""Keeps a port open: opens it, serves it, and after a loss opens it again with growing pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from edge_agent.serial.port import Port
from edge_agent.serial_settings import PortSettings
from shared.errors import UnavailableError
from shared.logs import get_logger
from shared.status import Health, Status

PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 1.6
"""A cashier who pushes the plug back in waits no longer than this."""
STEADY_S: Final = 5.0
"""A port that worked for so long is a good one; one that is lost at once is tried less often."""
_LOG = get_logger(__name__)


class PortKeeper:
    """One configured port; ``serve`` uses it until it is lost, that is, until it raises."""

    def __init__(
        self,
        settings: PortSettings,
        serve: Callable[[Port], Awaitable[None]],
        *,
        note: Callable[[], str] = str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``note``: what a technician should know of an open port that works."""
        self._settings = settings
        self._serve = serve
        self._note_of = note
        self._sleep = sleep
        self._pause_s = PAUSE_MIN_S
        self._port: Port | None = None
        self._trouble: str | None = None
        """None: all is well, or nothing was tried yet."""

    async def round(self) -> None:
        """Open the port, or serve the one that is open until it is lost.

        A port that is not there is waited for, and is no failure of the loop.
        """
        if self._port is None:
            await self._open()
            return
        time_s = asyncio.get_running_loop().time
        opened_s = time_s()
        try:
            await self._serve(self._port)
        except UnavailableError as error:
            if time_s() - opened_s >= STEADY_S:
                self._pause_s = PAUSE_MIN_S
            self._note(error.message)
            await self._pause()
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back; may be called twice."""
        if self._port is not None:
            self._port.close()
            self._port = None

    async def _open(self) -> None:
        try:
            self._port = await Port.open(self._settings)
        except UnavailableError as error:
            self._note(error.message)
            await self._pause()
            return
        if self._trouble is not None:
            _LOG.info("serial.port_recovered", port=self._settings.name)
        self._trouble = None

    def status(self) -> Status:
        """A port that is gone is a warning: HTTP tills and the other ports work on."""
        name = f"port_{self._settings.name}"
        if self._port is not None:
            return Status(component=name, health=Health.OK, message=self._note_of())
        health = Health.NOT_READY if self._trouble is None else Health.WARN
        return Status(component=name, health=health, message=self._trouble or "")

    async def _pause(self) -> None:
        await self._sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)

    def _note(self, trouble: str) -> None:
        if self._trouble is None:
            _LOG.warning("serial.port_lost", port=self._settings.name, detail=trouble)
        self._trouble = trouble

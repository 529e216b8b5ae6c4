"""The thin coat over zeroconf: announce this hub, or listen for hubs."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Final

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from edge_agent.discovery.announcement import (
    SERVICE_TYPE,
    VERSION,
    instance_of,
    own_addresses,
    urls_of,
)
from edge_agent.discovery.policy import Places
from shared.logs import get_logger

ASK_TIMEOUT_MS: Final = 3_000
LOOK_AGAIN_S: Final = 10.0
"""How soon a new address of this machine is announced (DHCP, a cable in another socket)."""
QUESTIONS_MAX: Final = 16
"""Announcements that are looked up at once; a storm of them waits."""
WAITING_MAX: Final = 64
"""So many wait; of more the oldest are not looked up."""
_LOG = get_logger(__name__)


class Announcer:
    """Lets this hub be found. Without a network it tries again: a shop sells all the same."""

    def __init__(self, *, edge_id: int, listen_host: str) -> None:
        self._edge_id = edge_id
        self._listen_host = listen_host
        self._zeroconf: AsyncZeroconf | None = None
        self._announced: list[str] = []

    async def round(self, port: int) -> None:
        """Announce, and again when this machine's addresses have changed; then wait."""
        addresses = own_addresses(self._listen_host)
        if addresses != self._announced:
            # Sockets are bound to the interfaces that were there: new ones need new sockets.
            await self.close()
            if addresses:
                await self._announce(addresses, port)
            self._announced = addresses
        await asyncio.sleep(LOOK_AGAIN_S)

    async def close(self) -> None:
        """Take the announcement back."""
        zeroconf, self._zeroconf = self._zeroconf, None
        self._announced = []
        if zeroconf is not None:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()

    async def _announce(self, addresses: list[str], port: int) -> None:
        self._zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
        info = AsyncServiceInfo(
            SERVICE_TYPE,
            instance_of(self._edge_id),
            port=port,
            properties={"v": VERSION},
            server=f"kopilka-{self._edge_id}.local.",
            parsed_addresses=addresses,
        )
        await self._zeroconf.async_register_service(info, allow_name_change=True)
        _LOG.info("hub.announced", addresses=addresses, port=port)


class Finder:
    """Listens for hubs and keeps ``places`` up to date."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._on: list[str] = []
        self._questions: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, None] = {}

    async def round(self) -> None:
        """Listen, and anew when this machine's addresses have changed; then wait."""
        addresses = own_addresses("0.0.0.0")  # noqa: S104 - all interfaces are looked at, none opened
        if addresses != self._on:
            await self.close()
            if addresses:
                self._zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
                self._browser = AsyncServiceBrowser(
                    self._zeroconf.zeroconf, SERVICE_TYPE, handlers=[self._heard]
                )
            self._on = addresses
        await asyncio.sleep(LOOK_AGAIN_S)

    async def close(self) -> None:
        """Stop listening."""
        for task in list(self._questions):
            task.cancel()
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.async_cancel()
        zeroconf, self._zeroconf = self._zeroconf, None
        self._on = []
        if zeroconf is not None:
            await zeroconf.async_close()

    def _heard(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if state_change is ServiceStateChange.Removed:
            self._waiting.pop(name, None)
            self._places.gone(name)
            return
        self._waiting.pop(name, None)
        self._waiting[name] = None
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._ask_next(zeroconf, service_type)

    def _ask_next(self, zeroconf: Zeroconf, service_type: str) -> None:
        while self._waiting and len(self._questions) < QUESTIONS_MAX:
            # The newest first: names that nobody stands behind wait longest for themselves.
            name, _ = self._waiting.popitem()
            task = asyncio.ensure_future(self._look_up(zeroconf, service_type, name))
            self._questions.add(task)
            task.add_done_callback(partial(self._asked, zeroconf, service_type))

    def _asked(self, zeroconf: Zeroconf, service_type: str, task: asyncio.Task[None]) -> None:
        self._questions.discard(task)
        if not task.cancelled():
            self._ask_next(zeroconf, service_type)

    async def _look_up(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        info = AsyncServiceInfo(service_type, name)
        if not await info.async_request(zeroconf, ASK_TIMEOUT_MS):
            return
        addresses = [
            socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)
            for raw in info.addresses_by_version(IPVersion.All)
        ]
        urls = urls_of(addresses, info.port)
        if urls:
            _LOG.info("hub.found", name=name, urls=urls)
            self._places.found(name, urls)

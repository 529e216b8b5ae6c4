"""Where central was when it last answered: for days on which names lead nowhere, or astray.

A name server that is dead, or lies, must not cut a shop off. What it says is tried first; after it
come the addresses at which central has proven who it is, which are kept in a file. Neither is
believed for its address: the certificate of the pinned authority decides.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from edge_agent.config import write_private
from shared.errors import AppError
from shared.logs import get_logger

ADDRESSES_MAX: Final = 4
RESOLVE_S: Final = 3.0
"""For the name server where an address is known without it."""
_FILE_BYTES_MAX: Final = 4096
_LOG = get_logger(__name__)


class KnownAddresses(AbstractResolver):
    """A resolver with a memory of one name; make it inside the event loop."""

    def __init__(self, file: Path, system: AbstractResolver | None = None) -> None:
        self._file = file
        self._system = ThreadedResolver() if system is None else system
        self._host, self._known = _read(file)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """What the name server says, then what is known.

        Raises:
            OSError: neither says anything.
        """
        known = [_result(host, address, port) for address in self._known if host == self._host]
        found: list[ResolveResult] = []
        try:
            async with asyncio.timeout(RESOLVE_S if known else None):
                found = await self._system.resolve(host, port, family)
        except (OSError, TimeoutError):
            if not known:
                raise
        said = {each["host"] for each in found}
        return found + [each for each in known if each["host"] not in said]

    async def remember(self, host: str, addresses: Iterable[str]) -> None:
        """Central has proven itself at these; the newest come first."""
        if host != self._host:
            self._host, self._known = host, []
        known = list(dict.fromkeys([*addresses, *self._known]))[:ADDRESSES_MAX]
        if set(known) == set(self._known):
            return
        self._known = known
        data = json.dumps({"host": host, "addresses": known}).encode()
        try:
            await asyncio.to_thread(write_private, self._file, data)
        except AppError as error:
            _LOG.warning("addresses.not_kept", detail=error.message)

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._system.close()


def _read(file: Path) -> tuple[str, list[str]]:
    """The file's name and addresses; what is no memory of ours is forgotten."""
    try:
        with file.open("rb") as opened:
            kept = json.loads(opened.read(_FILE_BYTES_MAX))
        addresses = [str(ipaddress.ip_address(each)) for each in kept["addresses"]]
        return str(kept["host"]), addresses[:ADDRESSES_MAX]
    except (OSError, ValueError, TypeError, KeyError):
        return "", []


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=family,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )

"""Where central last answered is remembered, and only a help (fault 37)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from edge_agent.uplink.addresses import ADDRESSES_MAX, KnownAddresses

HOST = "central.example"


class NameServer(AbstractResolver):
    """Says one address, or nothing."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.address is None:
            raise OSError("no name server")
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def said(known: KnownAddresses, host: str = HOST) -> list[str]:
    """The addresses in the order in which they are tried."""
    return [each["host"] for each in await known.resolve(host, 443)]


async def test_what_answered_is_known_after_a_restart(tmp_path: Path) -> None:
    """The name server's word comes first, what is known after it; dead, what is known remains."""
    file, server = tmp_path / "central.addresses", NameServer("192.0.2.1")
    first = KnownAddresses(file, server)
    await first.remember(HOST, ["192.0.2.1", "2001:db8::1"])
    again = KnownAddresses(file, server)
    server.address = "192.0.2.66"
    assert await said(again) == ["192.0.2.66", "192.0.2.1", "2001:db8::1"]
    server.address = None
    assert await said(again) == ["192.0.2.1", "2001:db8::1"]
    with pytest.raises(OSError, match="no name server"):
        await said(again, "other.example")


async def test_memory_is_bounded_and_of_one_name(tmp_path: Path) -> None:
    """The newest stay; another central's addresses are not this one's."""
    file = tmp_path / "central.addresses"
    known = KnownAddresses(file, NameServer(None))
    for number in range(1, 3 * ADDRESSES_MAX):
        await known.remember(HOST, [f"192.0.2.{number}"])
    newest = [f"192.0.2.{3 * ADDRESSES_MAX - 1 - number}" for number in range(ADDRESSES_MAX)]
    assert await said(known) == newest
    await known.remember("new.example", ["192.0.2.200"])
    assert await said(KnownAddresses(file, NameServer(None)), "new.example") == ["192.0.2.200"]
    with pytest.raises(OSError, match="no name server"):
        await said(known)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"host": "central.example"}',
        '{"host": "central.example", "addresses": 7}',
        json.dumps({"host": HOST, "addresses": ["evil.example"]}),
        json.dumps({"host": HOST, "addresses": ["192.0.2.1"] * 10_000}),
    ],
)
async def test_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    """Names, other values and endless files are forgotten; the agent goes on without."""
    file = tmp_path / "central.addresses"
    file.write_text(text)
    known = KnownAddresses(file, NameServer("192.0.2.9"))
    assert await said(known) == ["192.0.2.9"]

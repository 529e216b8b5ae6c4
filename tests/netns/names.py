"""The street's name server, which says what it is told to say; and the files that lead to it."""

from __future__ import annotations

import asyncio
import enum
import ipaddress
from pathlib import Path
from typing import Any, Final

from tests.netns.network import run

PORT: Final = 53
_HEADER_BYTES: Final = 12
_A: Final = 1


class Says(enum.Enum):
    """What is answered to whoever asks for an address."""

    NOTHING = "nothing"
    ADDRESS = "address"


class NameServer(asyncio.DatagramProtocol):
    """Knows one answer, whatever the name."""

    def __init__(self, address: str) -> None:
        self.says = Says.ADDRESS
        self.address = address
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.asked += 1
        if self.says is Says.NOTHING or self._transport is None:
            return
        end = data.index(b"\0", _HEADER_BYTES) + 5
        question = data[_HEADER_BYTES:end]
        wanted = int.from_bytes(question[-4:-2], "big")
        answer = b""
        if wanted == _A:
            # The name by its place, A, IN, no time to keep it, four bytes.
            answer = bytes.fromhex("c00c 0001 0001 00000000 0004")
            answer += ipaddress.IPv4Address(self.address).packed
        counts = b"\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0" * 4
        self._transport.sendto(data[:2] + b"\x81\x80" + counts + question + answer, addr)


async def serve_names(at: str, address: str, folder: Path) -> NameServer:
    """Start it; from now on every program of this network asks it, and nothing else."""
    _, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(address), local_addr=(at, PORT)
    )
    files = {
        "/etc/resolv.conf": f"nameserver {at}\noptions timeout:1 attempts:1\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
    }
    for place, text in files.items():
        file = folder / Path(place).name
        file.write_text(text)
        await asyncio.to_thread(run, "mount", "--bind", str(file), place)
    return server

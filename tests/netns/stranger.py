"""A machine on the street that means no good; a program of its own, run on its host until killed.

``portal``: shows everybody a page over TLS, under central's name and an authority of its own.
``impostor``: has other machines' addresses too, and says so again and again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import sys
from pathlib import Path
from typing import Final

from aiohttp import web

from central.uplink.certificates import make_certificates
from shared.system import SystemClock

EVERY_S: Final = 0.05
_ARP: Final = 0x0806
_EVERYBODY: Final = b"\xff" * 6


async def portal(folder: Path, name: str, port: int) -> None:
    """Serve the page; ``connections`` and ``requests`` in the folder grow by a byte for each."""
    made = make_certificates([name], now_ms=SystemClock().now_ms())
    (folder / "portal.pem").write_bytes(made.server + made.server_key)
    counted = (folder / "connections").open("ab", buffering=0)
    asked = (folder / "requests").open("ab", buffering=0)

    class Noted(ssl.SSLObject):
        """Counts whoever shakes hands."""

        def do_handshake(self) -> None:
            if not getattr(self, "noted", False):
                self.noted = True
                counted.write(b".")
            super().do_handshake()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "portal.pem")
    tls.sslobject_class = Noted

    async def page(_request: web.Request) -> web.Response:
        asked.write(b".")
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port, ssl_context=tls).start()  # noqa: S104 - in a namespace
    print("ready", flush=True)
    await asyncio.Event().wait()


async def impostor(addresses: list[str]) -> None:
    """Tell the whole street that these addresses are here."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
        line.bind(("eth0", 0))
        mine = line.getsockname()[4]
        print("ready", flush=True)
        while True:
            for address in addresses:
                line.send(_told(mine, ipaddress.IPv4Address(address).packed))
            await asyncio.sleep(EVERY_S)


def _told(mac: bytes, address: bytes) -> bytes:
    """An ARP answer that nobody asked for."""
    ethernet = _EVERYBODY + mac + _ARP.to_bytes(2, "big")
    kinds = bytes.fromhex("0001 0800 06 04 0002")
    return ethernet + kinds + mac + address + _EVERYBODY + address


if __name__ == "__main__":
    if sys.argv[1] == "portal":
        asyncio.run(portal(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    else:
        asyncio.run(impostor(sys.argv[2:]))

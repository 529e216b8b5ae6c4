"""A till finds its hub on the shop's network; run by ``world_command``.

Hub, till and a rogue stand in namespaces of their own on one street. The rogue announces itself
under the hub's very name before the hub does, and answers everything with 200. The hub then moves
to another address, and dies.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_writer
from edge_agent.lan.peers import put_peers
from shared.crypto.signing import Signer
from shared.wire.enrol import EdgeKind
from shared.wire.lan import PeerEntry
from tests.netns.network import Host, make_bridge
from tests.support.shop import HEADERS, a_bundle, device_key, make_shop, till_receipt

HUB: Final = 7
TILL: Final = 8
LAN_PORT: Final = 8471
TILL_PORT: Final = 8470
FOUND_S: Final = 40
START_S: Final = 60
NEW_ADDRESS: Final = "10.77.0.99"
ROGUE: Final = """
import asyncio, sys
from aiohttp import web
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
from edge_agent.discovery.announcement import SERVICE_TYPE, instance_of

async def yes(request):
    return web.Response(body=b"trust me")

async def main():
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", yes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, sys.argv[1], 8471).start()
    zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
    for number in (7, 9, 10):
        info = AsyncServiceInfo(SERVICE_TYPE, instance_of(number), port=8471,
            properties={"v": "1"}, server="rogue.local.", parsed_addresses=[sys.argv[1]])
        await zeroconf.async_register_service(info, allow_name_change=True)
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def make_folders(place: Path) -> tuple[Path, Path]:
    """A hub's and a till's folder; each knows the other's key as central would tell."""
    hub, till = place / "hub", place / "till"
    listen = {"listen_host": "0.0.0.0"}  # noqa: S104 - reached from the street's head
    make_shop(hub, bundle=a_bundle(1), edge_id=HUB, lan_listen=f"0.0.0.0:{LAN_PORT}", **listen)
    make_shop(till, bundle=a_bundle(1), edge_id=TILL, find_hub=True, **listen)
    peers = [
        PeerEntry(
            edge_id=edge_id,
            kind=kind,
            device_public_key=Signer(device_key(edge_id)).public_key,
            state="active",
        )
        for edge_id, kind in ((HUB, EdgeKind.HUB), (TILL, EdgeKind.TILL))
    ]
    for folder in (hub, till):
        settings = folder / "edge.toml"
        port = f"listen_port = {TILL_PORT}"
        settings.write_text(settings.read_text().replace("listen_port = 0", port))
        connection = open_writer(folder / DATABASE_FILE)
        put_peers(connection, [(str(p.edge_id), msgspec.msgpack.encode(p)) for p in peers])
        connection.close()
    return hub, till


@asynccontextmanager
async def running(host: Host, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program on a host, from its ``ready`` on."""
    process = await asyncio.create_subprocess_exec(
        *host.command(sys.executable, *words), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            assert (await process.stdout.readline()).startswith(b"ready")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Register:
    """A cashier's program at the till's agent."""

    def __init__(self, http: aiohttp.ClientSession, host: Host) -> None:
        self._http = http
        self._url = f"http://{host.address}:{TILL_PORT}"
        self._count = 0

    async def spendable(self) -> str:
        async with self._http.get(f"{self._url}/v1/customers?card=100") as response:
            return str((await response.json())["spendable"].get("main", "0.00"))

    async def until(self, why: str, *points: str) -> None:
        """Wait until the hub says that so many points may be spent."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while (seen := await self.spendable()) not in points:
            assert loop.time() - began_s < FOUND_S, f"{why}: {seen}"
            await asyncio.sleep(0.2)
        print(f"{why}: {loop.time() - began_s:.1f} s", flush=True)

    async def sell(self, points: str) -> None:
        """A sale paid in part with points, promised by the hub before."""
        self._count += 1
        receipt_id = f"r{self._count}"
        spend = {"account": "main", "points": points}
        body = {"receipt": till_receipt(receipt_id, customer={"card": "100"}, spend=spend)}
        for what in ("freeze", "commit"):
            url = f"{self._url}/v1/receipts/{receipt_id}/{what}"
            async with self._http.post(url, json=body) as response:
                reply = await response.json()
                assert response.status == 200, reply
        assert reply["incidents"] == [], reply
        assert reply["answer"]["spent"][0]["points"] == points

    async def price(self) -> str:
        """What two teas cost."""
        url = f"{self._url}/v1/receipts/calculate"
        async with self._http.post(url, json=till_receipt("q")) as response:
            return str((await response.json())["total"]["to_pay"])


async def main() -> None:
    """Find the hub past the rogue, follow it to another address, live without it."""
    make_bridge()
    place = Path(tempfile.mkdtemp(prefix="kopilka-discovery-"))
    try:
        hub_folder, till_folder = make_folders(place)
        hub, till, rogue = (
            Host(name, n, LAN_PORT) for n, name in enumerate(("hub", "till", "rogue"))
        )
        run_hub = ("-m", "edge_agent", "run", "--folder", str(hub_folder))
        run_till = ("-m", "edge_agent", "run", "--folder", str(till_folder))
        async with (
            aiohttp.ClientSession(headers=HEADERS) as http,
            running(rogue, "-c", ROGUE, rogue.address),
            running(till, *run_till),
        ):
            register = Register(http, till)
            assert await register.price() == "180.00"
            # What was lent to no till is at the hub alone.
            assert await register.spendable() == "0.00"
            async with running(hub, *run_hub):
                await register.until("found past a rogue", "30.00")
                await register.sell("10.00")
                # The hub may have lent the till a fifth already, for when it is gone.
                await register.until("spent at the hub", "20.00", "14.00")
                hub.run("ip", "address", "add", f"{NEW_ADDRESS}/24", "dev", "eth0")
                hub.run("ip", "address", "del", f"{hub.address}/24", "dev", "eth0")
                # The second address of a subnet goes with the first, unless it was promoted.
                hub.run("ip", "address", "replace", f"{NEW_ADDRESS}/24", "dev", "eth0")
                await asyncio.sleep(1)
                await register.until("followed to another address", "20.00", "14.00")
                await register.sell("5.00")
            assert await register.price() == "180.00"
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    asyncio.run(main())

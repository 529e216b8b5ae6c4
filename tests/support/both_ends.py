"""Real agents at a real head office in one process: enrolled, over HTTP, each link to be cut."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from central.database.pool import Pool
from central.fleet.store import put_store
from central.gift_cards.pins import Pins
from central.gift_cards.service import GiftCards
from central.members.keys import MemberSecret
from central.members.registering import Registering
from central.publishing.service import Publishing
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest
from central.uplink.members import Members
from central.uplink.server import Uplink
from edge_agent.app import make_app
from edge_agent.config import (
    BUNDLES_FOLDER,
    CONFIG_FILE,
    CREDENTIAL_FILE,
    TILL_TOKEN_FILE,
    Config,
    write_private,
)
from edge_agent.uplink.enrol import EnrolOrder
from edge_agent.uplink.enrol import enrol as enrol_folder
from edge_agent.wiring.ground import Machine
from shared.crypto.signing import Signer
from shared.sync_file import central_key, public_key_of
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind, TrustedKey
from shared.wire.feed import StoreEntry
from tests.support.gift_cards import KEY

SIGNER: Final = Signer(b"\x09" * 32)
PATIENCE_S: Final = 60.0
Till = TestClient[Any, Any]
_MAY_BE_LOST: Final = ("/v1/gift-cards/", "/v1/members/register")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HeadOffice:
    """Central's uplink. ``cut`` names stores whose agents do not get through.

    ``lose_reply``: the next answer about a gift card or a new member is lost on its way.
    """

    def __init__(self, pool: Pool) -> None:
        clock, chance = SystemClock(), SystemChance()
        self.pool = pool
        self.pins = Pins(KEY)
        self.enrolment = Enrolment(
            pool,
            clock,
            chance,
            [TrustedKey(key_id=SIGNER.key_id, public_key=SIGNER.public_key)],
            file_key=public_key_of(central_key(SIGNER)),
        )
        self.publishing = Publishing(pool, clock, SIGNER)
        self.ingest = Ingest(pool, clock)
        self.gift_cards = GiftCards(pool, clock, self.pins)
        self.secret = MemberSecret(b"m" * 32)
        self.registering = Registering(pool, clock, self.secret)
        self.cut: set[str] = set()
        self.lose_reply = False
        self.credentials: dict[str, str] = {}
        self.url = ""
        self._uplink = Uplink(
            pool,
            clock,
            chance,
            self.enrolment,
            self.ingest,
            signer=SIGNER,
            gift_cards=self.gift_cards,
            members=Members(pool, clock, self.secret),
        )

    def application(self) -> web.Application:
        app = self._uplink.application()

        @web.middleware
        async def link(request: web.Request, handler: _Handler) -> web.StreamResponse:
            shown = request.headers.get("Authorization", "")
            if self.credentials.get(shown) in self.cut:
                return self._hang_up(request)
            response = await handler(request)
            if self.lose_reply and request.path.startswith(_MAY_BE_LOST):
                self.lose_reply = False
                return self._hang_up(request)
            if self.credentials.get(shown) in self.cut:
                return self._hang_up(request)
            return response

        app.middlewares.insert(0, link)
        return app

    @staticmethod
    def _hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


class Town:
    """A head office and agents by the name of their store."""

    def __init__(self, central: HeadOffice) -> None:
        self.central = central
        self.tills: dict[str, Till] = {}
        self.folders: dict[str, Path] = {}

    async def ask(self, store: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """A till of this store asks its agent; status and answer."""
        async with self.tills[store].post(path, json=body) as response:
            return response.status, await response.json()

    async def until(self, done: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what the loops of both ends bring about."""
        async with asyncio.timeout(PATIENCE_S):
            while not await done():  # noqa: ASYNC110 - loops of both ends bring it about
                await asyncio.sleep(0.05)

    async def status(self, store: str) -> dict[str, Any]:
        """What an agent says of itself."""
        async with self.tills[store].get("/v1/status") as response:
            found: dict[str, Any] = await response.json()
        return found


@asynccontextmanager
async def a_town(
    pool: Pool, folder: Path, programme: dict[str, Any], stores: tuple[str, ...] = ("S1", "S2")
) -> AsyncIterator[Town]:
    """Every store has one hub, which knows the programme and listens for tills."""
    central = HeadOffice(pool)
    async with pool.connection() as connection:
        for store in stores:
            entry = StoreEntry(store_id=store, name=store, timezone="Europe/Moscow", currency="RUB")
            await put_store(connection, entry)
    await central.publishing.publish(json.dumps(programme | {"version": 1}).encode(), by="test")
    async with AsyncExitStack() as stack:
        stack.callback(central.pins.close)
        server = await stack.enter_async_context(TestServer(central.application()))
        central.url = str(server.make_url("")).rstrip("/")
        town = Town(central)
        for store in stores:
            town.folders[store] = folder / store
            hub = _agent(central, folder / store, store, lan_listen=f"127.0.0.1:{_free_port()}")
            town.tills[store] = await stack.enter_async_context(hub)
        for store in stores:
            await town.until(lambda store=store: _is_ready(town, store))
        yield town


@asynccontextmanager
async def a_till_of(town: Town, store: str) -> AsyncIterator[str]:
    """One more agent, a till of the store's hub; its name in ``tills``."""
    hub = Config.load(town.folders[store])
    name = f"{store}-till"
    folder = town.folders[store].with_name(name)
    town.folders[name] = folder
    async with _agent(
        town.central, folder, store, kind=EdgeKind.TILL, hub_url=f"http://{hub.lan_listen}"
    ) as till:
        town.tills[name] = till
        await town.until(lambda: _is_ready(town, name))
        yield name


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _is_ready(town: Town, store: str) -> bool:
    found = await town.status(store)
    return bool(found["bundle_version"]) and bool(found["link"]["online"])


@asynccontextmanager
async def _agent(
    central: HeadOffice,
    folder: Path,
    store: str,
    *,
    kind: EdgeKind = EdgeKind.HUB,
    **settings: Any,
) -> AsyncIterator[Till]:
    token = await central.enrolment.issue_token(store, kind)
    order = EnrolOrder(
        folder=folder,
        central_url=central.url,
        token=token,
        kind=kind,
        listen_host="127.0.0.1",
        listen_port=0,
        ca_file=None,
        agent_version="0.1.0",
    )
    config = await enrol_folder(order, SystemChance())
    config = msgspec.structs.replace(
        config,
        hello_interval_s=1.0,
        flush_interval_s=0.1,
        feed_wait_s=1.0,
        backoff_min_s=0.05,
        backoff_max_s=0.2,
        reconnect_window_s=0.2,
        announce_hub=False,
        find_hub=False,
        **settings,
    )
    write_private(folder / CONFIG_FILE, config.to_toml().encode())
    (folder / BUNDLES_FOLDER).mkdir(exist_ok=True)
    central.credentials["Bearer " + (folder / CREDENTIAL_FILE).read_text()] = store
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    headers = {"Authorization": "Bearer " + (folder / TILL_TOKEN_FILE).read_text()}
    async with TestClient(TestServer(app), headers=headers) as till:
        yield till

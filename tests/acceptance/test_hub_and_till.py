"""A till and its hub as programs: the hub is killed while the till sells, and comes back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_reader, open_writer
from edge_agent.lan.peers import put_peers
from edge_agent.outbox.store import verify_chain
from shared.crypto.signing import Signer
from shared.wire.enrol import EdgeKind
from shared.wire.lan import PeerEntry
from shared.wire.stream import Lane
from tests.support.agent_process import an_agent
from tests.support.shop import HEADERS, a_bundle, device_key, make_shop, till_receipt

HUB: Final = 7
TILL: Final = 8
SETTLE_TIMEOUT_S: Final = 60


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_both(tmp_path: Path) -> tuple[Path, Path]:
    """A hub's and a till's folder; each knows the other as central would tell."""
    port = free_port()
    hub, till = tmp_path / "hub", tmp_path / "till"
    make_shop(hub, bundle=a_bundle(1), edge_id=HUB, lan_listen=f"127.0.0.1:{port}")
    make_shop(till, bundle=a_bundle(1), edge_id=TILL, hub_url=f"http://127.0.0.1:{port}")
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
        connection = open_writer(folder / DATABASE_FILE)
        put_peers(connection, [(str(p.edge_id), msgspec.msgpack.encode(p)) for p in peers])
        connection.close()
    return hub, till


class Register:
    """What a cashier's program does at the till."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def spendable(self) -> str:
        async with self._http.get(f"{self._url}/v1/customers?card=100") as response:
            return str((await response.json())["spendable"].get("main", "0.00"))

    async def until_spendable(self, points: str) -> None:
        """A till that found no hub a moment ago asks again after a second."""
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while await self.spendable() != points:  # noqa: ASYNC110 - another program's answer
                await asyncio.sleep(0.1)

    async def freeze(self, receipt_id: str, points: str) -> tuple[int, dict[str, Any]]:
        return await self._post(receipt_id, "freeze", self._body(receipt_id, points))

    async def sell(self, receipt_id: str, points: str) -> dict[str, Any]:
        status, reply = await self._post(receipt_id, "commit", self._body(receipt_id, points))
        assert status == 200, reply
        return reply

    def _body(self, receipt_id: str, points: str) -> dict[str, Any]:
        spend = {"account": "main", "points": points}
        receipt = till_receipt(receipt_id, customer={"card": "100"}, spend=spend)
        return {"receipt": receipt}

    async def _post(self, receipt_id: str, what: str, body: Any) -> tuple[int, dict[str, Any]]:
        url = f"{self._url}/v1/receipts/{receipt_id}/{what}"
        async with self._http.post(url, json=body) as response:
            return response.status, await response.json()


def ask(folder: Path, sql: str) -> Any:
    connection = open_reader(folder / DATABASE_FILE)
    try:
        return connection.execute(sql).get
    finally:
        connection.close()


async def until(folder: Path, sql: str, is_so: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(SETTLE_TIMEOUT_S):
        while not is_so(ask(folder, sql)):  # noqa: ASYNC110 - another program's database
            await asyncio.sleep(0.1)


@pytest.mark.processes
async def test_hub_is_killed_while_the_till_sells_and_comes_back(tmp_path: Path) -> None:
    """Points come from the hub, then from what it lent; afterwards both books say the same."""
    hub, till = make_both(tmp_path)
    async with (
        aiohttp.ClientSession(headers=HEADERS) as http,
        an_agent(till) as (_, url),
    ):
        register = Register(http, url)
        async with an_agent(hub) as (hub_process, _):
            await register.until_spendable("30.00")
            status, reply = await register.freeze("r1", "10.00")
            assert status == 200, reply
            assert (await register.sell("r1", "10.00"))["incidents"] == []
            await until(till, "SELECT state FROM own_sub_lease", lambda state: state == "open")
            status, reply = await register.freeze("r2", "5.00")
            assert status == 200, reply
            hub_process.kill()
            await hub_process.wait()
        assert (await register.sell("r2", "5.00"))["incidents"] == []
        assert await register.spendable() == "6.00"
        assert (await register.sell("r3", "4.00"))["incidents"] == []
        assert await register.spendable() == "2.00"
        status, reply = await register.freeze("r4", "9.00")
        assert status == 200, "the engine never takes more than can be spent here"
        assert (await register.sell("r4", "9.00"))["answer"]["spent"][0]["points"] == "2.00"

        async with an_agent(hub):
            told = "SELECT count(*) FROM token WHERE told = 0"
            await until(till, told, lambda untold: untold == 0)
        assert ask(hub, "SELECT held FROM lease_book") == 0
        spent = "SELECT sum(amount) FROM hold_part JOIN hold USING (uid) WHERE state = 'captured'"
        assert ask(hub, spent) == 1_500
        assert ask(till, spent) == 600
        assert ask(hub, "SELECT lent FROM lease_book") == 600
    for folder, count in ((hub, 3), (till, 2)):
        connection = open_reader(folder / DATABASE_FILE)
        assert verify_chain(connection, int(Lane.MONEY)) == count
        connection.close()

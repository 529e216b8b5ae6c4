"""Both programs as processes: an old database comes back, a copy is found out, all sales arrive."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from edge_agent.__main__ import main
from edge_agent.config import CONFIG_FILE, DATABASE_FILE, Config
from edge_agent.database.connection import open_reader
from edge_agent.outbox.store import streams_of
from installer.demo.town import database_url
from tests.support.agent_process import an_agent
from tests.support.head_office import HeadOffice
from tests.support.shop import PROGRAMME, till_receipt

PATIENCE_S = 60


@pytest.fixture
def office(tmp_path: Path) -> Iterator[HeadOffice]:
    made = HeadOffice(tmp_path / "central")
    ports = ("--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0")
    assert made.command("init", "--embedded", *ports).code == 0
    yield made
    made.forget()


class Shop:
    """An agent's folder, and what was sold in it."""

    def __init__(self, office: HeadOffice, folder: Path) -> None:
        self.office = office
        self.folder = folder
        self.numbers = count(1)
        self.sold = 0

    def enrol(self, *more: str) -> int:
        """With a new token; the exit code."""
        token = self.office.command("enrol-token", "--store", "S1").out.split()[-1]
        ca_file = self.office.folder / "uplink-ca.pem"
        where = ("--folder", str(self.folder), "--central", self.office.uplink)
        trust = ("--token", token, "--ca", str(ca_file))
        return main(["enrol", *where, *trust, "--listen", "127.0.0.1:0", *more])

    def hurry(self) -> None:
        """Send at once, so that the test need not wait for company."""
        text = (self.folder / CONFIG_FILE).read_text("utf-8")
        faster = text.replace("flush_interval_s = 15.0", "flush_interval_s = 0.2")
        (self.folder / CONFIG_FILE).write_text(faster, "utf-8")

    def put_back(self, copy: Path, *patterns: str) -> None:
        for pattern in patterns:
            for path in self.folder.glob(pattern):
                path.unlink()
            for path in copy.glob(pattern):
                shutil.copy(path, self.folder)

    @asynccontextmanager
    async def open(self, environment: Mapping[str, str] | None = None) -> AsyncIterator[Selling]:
        token = (self.folder / "till.token").read_text("utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with (
            an_agent(self.folder, environment=environment) as (_, url),
            aiohttp.ClientSession(url, headers=headers, timeout=timeout) as http,
        ):
            yield Selling(self, http)


class Selling:
    """A shop that is open."""

    def __init__(self, shop: Shop, http: aiohttp.ClientSession) -> None:
        self._shop = shop
        self._http = http

    async def status(self) -> dict[str, Any]:
        async with self._http.get("/v1/status") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def sell(self, number: int) -> None:
        for _ in range(number):
            receipt_id = f"r{next(self._shop.numbers)}"
            await self.commit(receipt_id, till_receipt(receipt_id))
            self._shop.sold += 1

    async def commit(self, receipt_id: str, receipt: dict[str, Any]) -> dict[str, Any]:
        """One sale; the till's answer."""
        url = f"/v1/receipts/{receipt_id}/commit"
        async with self._http.post(url, json={"receipt": receipt}) as response:
            assert response.status == 200, await response.text()
            reply: dict[str, Any] = await response.json()
            return reply

    async def until_ready(self) -> None:
        await self._until(lambda status: status["bundle_version"] is not None)

    async def until_sent(self) -> None:
        await self._until(lambda status: status["queue_depth"] == 0)

    async def until_said(self, component: str, text: str) -> None:
        await self._until(
            lambda status: any(
                each["component"] == component and text in each["message"]
                for each in status["components"]
            )
        )

    async def _until(self, holds: Any) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(await self.status()):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(json.dumps(await self.status(), indent=1))


def known_sales(office: HeadOffice) -> set[str]:
    with psycopg.connect(database_url(office.folder)) as connection:
        return {row[0] for row in connection.execute("select receipt_id from receipt")}


@pytest.mark.processes
async def test_every_sale_arrives_whatever_copy_the_shop_was_put_back_from(
    office: HeadOffice, tmp_path: Path
) -> None:
    """Faults 12, 14 and 57: a new epoch with the witness, a new agent without it."""
    assert office.command("store-add", "S1", "Shop", "--timezone", "Europe/Moscow").code == 0
    document = tmp_path / "programme.json"
    document.write_text(json.dumps({**PROGRAMME, "version": 1}))
    published = office.command("publish", str(document))
    assert published.code == 0, published.err
    await asyncio.to_thread(office.start)
    shop = Shop(office, tmp_path / "shop")
    assert await asyncio.to_thread(shop.enrol) == 0
    shop.hurry()
    async with shop.open() as selling:
        await selling.until_ready()
        await selling.sell(3)
        await selling.until_sent()
    shutil.copytree(shop.folder, tmp_path / "first")
    async with shop.open() as selling:
        await selling.sell(3)
        await selling.until_sent()

    shop.put_back(tmp_path / "first", f"{DATABASE_FILE}*")
    async with shop.open() as selling:
        await selling.sell(2)
        await selling.until_sent()
        reader = open_reader(shop.folder / DATABASE_FILE)
        assert [(head.epoch, head.seq) for head in streams_of(reader) if head.lane == 1] == [
            (1, 3),
            (2, 2),
        ]
        reader.close()
    shutil.copytree(shop.folder, tmp_path / "second")
    async with shop.open() as selling:
        await selling.sell(2)
        await selling.until_sent()
    assert len(known_sales(office)) == shop.sold == 10

    shop.put_back(tmp_path / "second", f"{DATABASE_FILE}*", "witness")
    async with shop.open() as selling:
        await selling.until_said("hello", "enrolled again")
        await selling.sell(4)
        assert (await selling.status())["queue_depth"] == 4
        assert await asyncio.to_thread(shop.enrol, "--again") == 1, "it runs"
    before = Config.load(shop.folder)
    assert await asyncio.to_thread(shop.enrol, "--again") == 0
    assert Config.load(shop.folder).edge_id != before.edge_id
    async with shop.open() as selling:
        await selling.sell(1)
        await selling.until_sent()

    assert len(known_sales(office)) == shop.sold == 15
    verified = await asyncio.to_thread(office.command, "verify")
    assert verified.code == 0, verified.out + verified.err
    assert await asyncio.to_thread(main, ["verify", "--folder", str(shop.folder)]) == 0

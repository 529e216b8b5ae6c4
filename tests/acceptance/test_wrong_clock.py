"""The agent as a process whose clock is set back, set ahead, fast or stopped (faults 21-23)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.config import CREDENTIAL_FILE, DATABASE_FILE
from edge_agent.database.connection import open_writer
from edge_agent.loyalty.store import put_lease
from shared.wire.feed import LeaseEntry, LeaseState
from tests.acceptance.test_new_epoch import Shop as EnrolledShop
from tests.acceptance.test_new_epoch import known_sales
from tests.support.agent_process import START_TIMEOUT_S, an_agent
from tests.support.central_double import CREDENTIAL, STARTS, CentralDouble, running_central
from tests.support.head_office import HeadOffice
from tests.support.shop import HEADERS, PROGRAMME, a_bundle, make_shop, till_receipt
from tests.support.wrong_clock import WrongClock

DAY_MS = 86_400_000
LONG_S = 19 * 365 * 86_400
PATIENCE_S = 30.0
ZERO = Decimal("0.00")
LOG = "agent.err"
POWERED_OFF = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


class Till:
    """What a cashier sees."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def status(self) -> dict[str, Any]:
        async with self._http.get("/v1/status") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def ahead_s(self) -> int:
        """By how much the wall clock is said to be ahead of trusted time; 0: it is right."""
        parts = (await self.status())["components"]
        said = next(each["message"] for each in parts if each["component"] == "clock")
        found = re.search(r"(\d+) s (ahead|behind)", said)
        return 0 if found is None else int(found[1]) * (1 if found[2] == "ahead" else -1)

    async def spendable(self) -> str:
        async with self._http.get("/v1/customers", params={"card": "100"}) as response:
            member = await response.json()
            points: str = member["spendable"].get("main", "0.00")
            return points

    async def sell(self, receipt_id: str) -> str:
        """A sale that pays with a point where it may; the points it paid with."""
        receipt = till_receipt(
            receipt_id,
            customer={"card": "100"},
            spend={"account": "main", "points": "1.00"},
        )
        body = {"receipt": receipt}
        async with self._http.post(f"/v1/receipts/{receipt_id}/commit", json=body) as response:
            reply = await response.json()
            assert response.status == 200, reply
        return str(sum((Decimal(each["points"]) for each in reply["answer"]["spent"]), ZERO))

    async def until(self, ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds(await ask()):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)


class Shop:
    """A folder, its clock, and a lease of 30 points that ends in ten days."""

    def __init__(self, folder: Path, central: CentralDouble) -> None:
        self.folder = folder
        self.clock = WrongClock(folder.parent / "clock")
        make_shop(
            folder,
            bundle=a_bundle(1),
            central_url=central.url,
            starts=STARTS,
            hello_interval_s=0.2,
            flush_interval_s=0.2,
            backoff_max_s=1.0,
            feed_wait_s=1.0,
        )
        (folder / CREDENTIAL_FILE).write_text(CREDENTIAL)
        self.ends_at_ms = now_ms() + 10 * DAY_MS
        entry = LeaseEntry(
            lease_id="L1",
            owner="c1",
            asset="points:main",
            granted=3_000,
            spend_until_ms=self.ends_at_ms,
            state=LeaseState.OPEN,
            edge_id=7,
        )
        connection = open_writer(folder / DATABASE_FILE)
        put_lease(connection, entry, 2)
        connection.close()

    @asynccontextmanager
    async def open(self, *before: str) -> AsyncIterator[tuple[Till, asyncio.subprocess.Process]]:
        environment = self.clock.environment()
        timeout = aiohttp.ClientTimeout(total=START_TIMEOUT_S)
        async with (
            an_agent(self.folder, environment=environment, before=before) as (process, url),
            aiohttp.ClientSession(url, headers=HEADERS, timeout=timeout) as http,
        ):
            yield Till(http), process

    def log(self) -> str:
        return (self.folder / LOG).read_text("utf-8")


def _is_back(moment: str, ahead_s: int) -> bool:
    """Whether the wall clock is as far behind trusted time, ten days ahead, as was set."""
    days = {"-1h": 10, "-30d": 40}.get(moment, 50 * 365)
    return ahead_s < -days * 86_400 + 3_000


def now_ms() -> int:
    """The right time."""
    return time.time_ns() // 1_000_000


@pytest.mark.processes
async def test_clock_set_back_revives_no_right(tmp_path: Path) -> None:
    """Fault 21: by an hour, by 30 days, to 1970, while it runs and when it starts."""
    async with running_central() as central:
        shop = Shop(tmp_path / "shop", central)
        async with shop.open() as (till, _):
            assert (await till.spendable(), await till.sell("before")) == ("30.00", "1.00")
            central.time_ms = shop.ends_at_ms + 1
            await till.until(till.spendable, lambda points: points == "0.00")
            central.down = True
            for moment in ("-1h", "-30d", "@1970-01-01 00:05:00"):
                shop.clock.set(moment)
                # Trusted time is ten days ahead of the right one.
                await till.until(till.ahead_s, partial(_is_back, moment))
                assert await till.sell(f"runs {moment}") == "0.00"
        async with shop.open() as (till, _):
            assert await till.spendable() == "0.00"
            assert await till.sell("started in 1970") == "0.00"


@pytest.mark.processes
async def test_clock_set_ahead_ends_no_right(tmp_path: Path) -> None:
    """Fault 22: by twenty years, to 2106, while it runs, when it starts, after a power cut."""
    async with running_central() as central:
        shop = Shop(tmp_path / "shop", central)
        async with shop.open() as (till, _):
            for moment in ("+20y", "@2106-02-08 00:00:00"):
                shop.clock.set(moment)
                await till.until(till.ahead_s, lambda ahead_s: ahead_s > LONG_S)
                assert await till.sell(f"runs {moment}") == "1.00"
            shop.clock.set("+0")
            assert await till.sell("in between") == "1.00"
        shop.clock.set("+20y")
        async with shop.open() as (till, _):
            assert await till.sell("started") == "1.00"
        other_boot = tmp_path / "boot_id"
        other_boot.write_text("11111111-2222-3333-4444-555555555555\n")
        async with shop.open(*_unshared(), "sh", "-c", POWERED_OFF, str(other_boot)) as (till, _):
            assert await till.sell("powered off") == "1.00"
            # A night is believed, and no more.
            assert await till.ahead_s() > LONG_S


def _unshared() -> list[str]:
    assert shutil.which("unshare"), "unshare is missing: `make setup-tests`"
    command = ["unshare", "--mount"]
    return command if os.geteuid() == 0 else [*command, "--user", "--map-root-user"]


@pytest.mark.processes
async def test_fast_clock_and_stopped_process_are_told_apart(tmp_path: Path) -> None:
    """Fault 23: a fast clock is a jump of the clock; a stopped process is not."""
    async with running_central() as central:
        shop = Shop(tmp_path / "shop", central)
        async with shop.open() as (till, process):
            await till.until(till.status, lambda status: bool(status["link"]["online"]))
            await till.sell("before")
            process.send_signal(signal.SIGSTOP)
            waiting = asyncio.create_task(till.sell("stopped"))
            await asyncio.sleep(4.0)
            process.send_signal(signal.SIGCONT)
            assert await waiting == "1.00"
            assert await till.ahead_s() == 0
            assert "clock.jumped" not in shop.log()

            shop.clock.set("+0 x100")
            await till.until(till.ahead_s, lambda ahead_s: ahead_s > 150)
            assert await till.sell("fast") == "1.00"
            shop.clock.set("+0 x1")
            assert await till.sell("right again") == "1.00"
            await till.until(till.ahead_s, lambda ahead_s: ahead_s == 0)
            assert "clock.jumped" in shop.log()
            await till.until(till.status, lambda status: status["queue_depth"] == 0)


@pytest.mark.processes
async def test_shop_that_wakes_in_another_year_finds_central(tmp_path: Path) -> None:
    """Faults 21, 22 over real TLS: no certificate is of that day, and sales arrive all the same."""
    office = HeadOffice(tmp_path / "central")
    clock = WrongClock(tmp_path / "clock")
    document = tmp_path / "programme.json"
    document.write_text(json.dumps({**PROGRAMME, "version": 1}))
    try:
        ports = ("--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0")
        for words in (
            ("init", "--embedded", *ports),
            ("store-add", "S1", "Shop"),
            ("publish", str(document)),
        ):
            done = await asyncio.to_thread(office.command, *words)
            assert done.code == 0, done.err
        await asyncio.to_thread(office.start)
        shop = EnrolledShop(office, tmp_path / "shop")
        assert await asyncio.to_thread(shop.enrol) == 0
        shop.hurry()
        for moment in ("@1970-01-01 00:05:00", "+20y"):
            clock.set(moment)
            async with shop.open(clock.environment()) as selling:
                await selling.until_ready()
                await selling.sell(2)
                await selling.until_sent()
        assert len(known_sales(office)) == shop.sold == 4
        assert (shop.folder / LOG).read_text("utf-8").count("clock.told") == 2
    finally:
        await asyncio.to_thread(office.forget)

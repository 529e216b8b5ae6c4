"""Five hundred strangers hang on a shop's till port and on central's uplink (fault 34)."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.agent_process import START_TIMEOUT_S, an_agent
from tests.support.head_office import HeadOffice
from tests.support.shop import HEADERS, TOKEN, a_bundle, make_shop, till_receipt

STRANGERS = 500
ASKED = 40
TIMEOUT = aiohttp.ClientTimeout(total=START_TIMEOUT_S)
LEFT_S_MAX = 60.0
"""The product leaves within some twelve seconds; machines may be busy."""
HEAD = b"GET /v1/time HTTP/1.1\r\nHost: shop\r\nX-Slow: "
BODY = (
    "POST /v1/receipts/calculate HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000000\r\n\r\n"
).encode()


async def hang_on(address: str, begins: bytes, tls: ssl.SSLContext | None) -> None:
    """Connect, begin, send a byte a second, read nothing, until it is over."""
    url = urlsplit(address)
    with suppress(OSError, asyncio.IncompleteReadError):
        _, writer = await asyncio.open_connection(url.hostname, url.port, ssl=tls)
        try:
            writer.write(begins)
            while not writer.transport.is_closing():
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(1.0)
        finally:
            writer.transport.abort()


async def median_s(ask: Callable[[int], Awaitable[None]], kind: str) -> float:
    """Half of the answers came within this."""
    took = []
    for number in range(ASKED):
        started = time.perf_counter()
        await ask(number)
        took.append(time.perf_counter() - started)
    print(
        f"{kind}: median {statistics.median(took) * 1000:.1f} ms, worst {max(took) * 1000:.0f} ms"
    )
    return statistics.median(took)


async def look(address: str, ask: Callable[[int], Awaitable[None]], kinds: list[bytes],
               tls: ssl.SSLContext | None) -> None:  # fmt: skip
    """Ask alone and in company: all is answered, in much the same time; strangers are left."""
    alone_s = await median_s(ask, "alone")
    crowd = [
        asyncio.create_task(hang_on(address, kinds[number % len(kinds)], tls))
        for number in range(STRANGERS)
    ]
    try:
        await asyncio.sleep(1.0)
        together_s = await median_s(ask, f"beside {STRANGERS} strangers")
        # The strangers run in this very process and on this very machine.
        assert together_s < 10 * alone_s + 0.1
        async with asyncio.timeout(LEFT_S_MAX):
            await asyncio.gather(*crowd)
    finally:
        for each in crowd:
            each.cancel()


@pytest.mark.processes
async def test_strangers_hold_up_neither_a_till_nor_central(tmp_path: Path) -> None:
    """Heads and bodies that dribble, with and without TLS; the others hardly notice."""
    async with asyncio.TaskGroup() as both:
        both.create_task(look_at_a_shop(tmp_path / "shop"))
        both.create_task(look_at_central(tmp_path / "central"))


async def look_at_a_shop(folder: Path) -> None:
    """Tills price receipts meanwhile."""
    make_shop(folder, bundle=a_bundle(1))
    async with (
        an_agent(folder) as (_, url),
        aiohttp.ClientSession(url, headers=HEADERS, timeout=TIMEOUT) as http,
    ):

        async def price(number: int) -> None:
            receipt = till_receipt(f"r{number}")
            async with http.post("/v1/receipts/calculate", json=receipt) as answer:
                assert answer.status == 200, await answer.text()

        await look(url, price, [HEAD, BODY, b""], None)


async def look_at_central(folder: Path) -> None:
    """Agents ask what time it is meanwhile."""
    office = HeadOffice(folder)
    try:
        ports = ("--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0")
        done = await asyncio.to_thread(office.command, "init", "--embedded", *ports)
        assert done.code == 0, done.err
        await asyncio.to_thread(office.start)
        tls = ssl.create_default_context(cafile=str(office.folder / "uplink-ca.pem"))
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(
            office.uplink, connector=connector, timeout=TIMEOUT
        ) as http:

            async def ask_time(_number: int) -> None:
                async with http.get("/v1/time") as answer:
                    assert answer.status == 200

            await look(office.uplink, ask_time, [HEAD, b"", b"PUT "], tls)
    finally:
        await asyncio.to_thread(office.forget)

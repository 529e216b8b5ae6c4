"""Strangers hold on to more connections than the system lets the agent have: tills sell on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.agent_process import an_agent
from tests.support.shop import HEADERS, STORE, TIME, a_bundle, make_shop

PATIENCE_S = 20.0
STRANGERS = 300

pytestmark = pytest.mark.processes


async def sell(till: aiohttp.ClientSession, receipt_id: str) -> str:
    line = {"line": 1, "sku": "tea", "qty": "1", "price": "100.00"}
    receipt = {"store": STORE, "register": "R1", "time": TIME, "lines": [line]}
    path = f"/v1/receipts/{receipt_id}/commit"
    async with till.post(path, json={"receipt": receipt}) as answer:
        told: dict[str, Any] = await answer.json()
        assert answer.status == 200, told
        return str(told["record_uid"])


@pytest.mark.parametrize("limit", [50, 150])
async def test_no_descriptor_is_left(tmp_path: Path, limit: int) -> None:
    """Whoever sold before sells on, and another till gets in; each sale is there once."""
    folder = tmp_path / "shop"
    make_shop(folder, bundle=a_bundle(1))
    before = ("prlimit", f"--nofile={limit}:{limit}")
    async with an_agent(folder, before=before) as (_, url):
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        till, other = (
            aiohttp.ClientSession(url, headers=HEADERS, timeout=timeout) for _ in range(2)
        )
        async with till, other, contextlib.AsyncExitStack() as strangers:
            uids = [await sell(till, "r1")]
            where = urlsplit(url)
            for _ in range(STRANGERS):
                end = strangers.enter_context(socket.socket())
                end.setblocking(False)
                # Who finds no room in the system's queue goes on asking for it.
                end.connect_ex((where.hostname, where.port))
                await asyncio.sleep(0.002)
            uids += [await sell(till, "r2"), await sell(other, "r3"), await sell(other, "r4")]
            for number, uid in enumerate(uids, 1):
                async with till.get(f"/v1/receipts/r{number}") as answer:
                    assert (await answer.json())["record_uid"] == uid
            assert len(set(uids)) == len(uids)

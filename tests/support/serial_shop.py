"""A shop with tills on ptys: settings, greetings, waiting for ports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient

from edge_agent.serial_settings import SerialSettings, TillSettings
from tests.support.pty_till import PtyPort, PtyTill
from tests.support.shop import TIME

SETTLED_S = 20.0
"""How long a port may take to be opened on a busy machine; no law, only an end."""
Http = TestClient[Any, Any] | aiohttp.ClientSession


@contextmanager
def ptys_of(folder: Path, *names: str) -> Iterator[list[PtyPort]]:
    """Devices under these names, gone after the block."""
    ports = [PtyPort(folder / name) for name in names]
    yield ports
    for port in ports:
        if port.master != -1:
            port.unplug()


def till_settings(folder: Path, *names: str, **more: Any) -> SerialSettings:
    """Tills on the ptys of these names."""
    return SerialSettings(
        language="en",
        till=tuple(TillSettings(name=name, path=str(folder / name), **more) for name in names),
    )


async def port_is(http: Http, name: str, health: str) -> None:
    """Until the agent says so of the port."""
    async with asyncio.timeout(SETTLED_S):
        seen = ""
        while seen != health:
            async with http.get("/v1/status") as response:
                report = await response.json()
            found = {each["component"]: each["health"] for each in report["components"]}
            seen = found[f"port_{name}"]


async def greeted(http: Http, till: PtyTill) -> None:
    """The till begins its conversation on a port that the agent has open."""
    await port_is(http, till.port.link.name, "ok")
    assert (await till.ask("HELLO", number=0))[0][:4] == ["OK", "HELLO", "1", "S1"]


async def sold(till: PtyTill, receipt_id: str, *, qty: str = "2") -> list[str]:
    """A sale of tea from the first command to the last."""
    await till.done("OPEN", receipt_id, TIME)
    await till.done("ITEM", "1", "tea", qty, "100.00")
    to_pay = (await till.done("SUBT", receipt_id, "1"))[1]
    return await till.done("COMMIT", receipt_id, to_pay)

"""A played shop: every receipt is a sale of the agent's, and what goes wrong is counted."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.agent_process import an_agent
from tests.support.shop import HEADERS, a_bundle, make_shop
from tests.support.wrong_agent import (
    Asked,
    Door,
    Told,
    a_wrong_agent,
    accepted,
    in_answers,
    refused,
)

pytestmark = pytest.mark.processes
PATIENCE_S = 60


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[str]:
    make_shop(tmp_path / "shop", bundle=a_bundle(1))
    async with an_agent(tmp_path / "shop") as (_, url):
        yield url


async def started(folder: Path, url: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", "simulate", "--url", url),
        *("--token-file", str(folder / "shop" / "till.token"), "--sku", "tea", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def sales_at(url: str, register: str) -> int:
    """Of today and yesterday: the day may have turned while the test ran."""
    today = datetime.now(UTC).astimezone().date()
    sales = 0
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for day in (today, today.fromordinal(today.toordinal() - 1)):
            query = {"date": day.isoformat(), "register": register}
            async with session.get(f"{url}/v1/totals", params=query) as response:
                sales += int((await response.json())["sales"])
    return sales


async def test_every_receipt_is_sold_and_timed(agent: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await started(
        tmp_path,
        agent,
        *("--tills", "4", "--receipts", "3", "--card", "100", "--report", str(report)),
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    assert b"12 receipts in" in out
    assert [await sales_at(agent, f"SIM{till}") for till in range(1, 6)] == [3, 3, 3, 3, 0]
    told = json.loads(report.read_text("utf-8"))
    assert (told["begun"], told["sold"], told["errors"]) == (12, 12, {})
    calls = told["calls"]
    assert (calls["freeze"]["count"], calls["commit"]["count"]) == (12, 12)
    assert 12 <= calls["scan"]["count"] <= 120
    for times in calls.values():
        assert 0 < times["p50_us"] <= times["p95_us"] <= times["p99_us"] <= times["longest_us"]


async def test_errors_are_counted_by_name(agent: str, tmp_path: Path) -> None:
    """A refused freeze ends its receipt; an incident is an error; the exit code says so."""

    async def wrong(door: Door, asked: Asked) -> Told:
        if asked.what == "freeze" and "SIM1" in str(asked.body):
            return refused(503, "disk")
        lies = in_answers("commit", "incidents", to=[{"code": "to_pay_differs"}])
        return await lies(door, asked)

    async with a_wrong_agent(agent, wrong) as door:
        process = await started(tmp_path, door, "--tills", "2", "--receipts", "2", "--lines", "1")
        out, _ = await process.communicate()
    assert process.returncode == 1
    assert "2 × freeze 503 disk" in out.decode()
    assert "2 × incident to_pay_differs" in out.decode()
    assert "2 receipts in" in out.decode()


async def test_strange_replies_end_no_shop(agent: str, tmp_path: Path) -> None:
    """A list where an object must be, sums that are none, incidents that are none."""

    async def wrong(door: Door, asked: Asked) -> Told:
        told = await door.ask(asked)
        if asked.what == "calculate" and "SIM1" in str(asked.body):
            return accepted(told, [])
        if asked.what == "calculate":
            return accepted(told, {"total": [1]})
        return accepted(told, {"incidents": [5]}) if asked.what == "commit" else told

    async with a_wrong_agent(agent, wrong) as door:
        process = await started(tmp_path, door, "--tills", "2", "--receipts", "1", "--lines", "1")
        out, _ = await process.communicate()
    assert process.returncode == 1
    assert "1 × scan 200" in out.decode()
    assert "1 × incident None" in out.decode()


async def test_ctrl_c_gives_the_summary_so_far(agent: str, tmp_path: Path) -> None:
    """Each till finishes what it began: nothing is left half sold."""
    report = tmp_path / "report.json"
    process = await started(
        tmp_path,
        agent,
        *("--tills", "2", "--receipts", "1000000", "--rate", "50", "--lang", "ru"),
        *("--report", str(report)),
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        progress = (await process.stderr.readline()).decode()
        assert "из 2000000" in progress
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    told: dict[str, Any] = json.loads(report.read_text("utf-8"))
    assert process.returncode == 0, out
    assert "Ошибок нет." in out.decode()
    assert 0 < told["sold"] == told["begun"] == told["calls"]["commit"]["count"]
    sold = [await sales_at(agent, f"SIM{till}") for till in (1, 2)]
    assert sum(sold) == told["sold"]

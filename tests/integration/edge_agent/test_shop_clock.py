"""The machine's clock says 1971 after a day that was known: the shop keeps its own time."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import make_app
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.wiring.ground import Machine
from shared.system import SystemChance, SystemClock
from tests.integration.edge_agent.test_till_api import ask
from tests.support.shop import HEADERS, TIME, a_bundle, make_shop, till_receipt

NEAR_MS = 10 * 60_000


class Set(SystemClock):
    """The machine's clock as somebody set it: by so much beside the right time."""

    def __init__(self, by_ms: int) -> None:
        self._by_ms = by_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


@pytest.mark.parametrize("by_ms", [0, -(55 * 365 * 86_400_000)])
async def test_wall_clock_that_went_back_dates_nothing(tmp_path: Path, by_ms: int) -> None:
    """A coupon that ended stays ended, and a record is dated by the day it is."""
    folder = tmp_path / "shop"
    make_shop(folder, bundle=a_bundle(1))
    now_ms = SystemClock().now_ms()
    for number, clock in enumerate((SystemClock(), Set(by_ms))):
        machine = Machine(clock=clock, chance=SystemChance())
        app = make_app(folder, Config.load(folder), machine)
        async with TestClient(TestServer(app), headers=HEADERS) as till:
            async with till.get("/v1/coupons?code=OLD") as response:
                assert (await response.json())["state"] == "expired"
            sale = {"receipt": till_receipt(f"r{number}", time=TIME)}
            await ask(till, f"/v1/receipts/r{number}/commit", sale)
    with closing(apsw.Connection(str(folder / DATABASE_FILE))) as connection:
        for query in ("SELECT recorded_at_ms FROM receipt", "SELECT recorded_at_ms FROM outbox"):
            rows = connection.execute(query).fetchall()
            assert len(rows) == 2
            assert all(abs(at_ms - now_ms) < NEAR_MS for (at_ms,) in rows), rows

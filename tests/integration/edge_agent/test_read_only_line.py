"""What head office hears of an agent on a read-only disk: how it is, and nothing of its records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from central.database.pool import Pool, rows_of
from edge_agent.app import make_app
from edge_agent.config import TILL_TOKEN_FILE, Config
from edge_agent.wiring import ground
from edge_agent.wiring.ground import Machine
from shared.system import SystemChance, SystemClock
from tests.support.both_ends import a_town
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt

HELLOS = 5
"""So many give central the time to order whatever it would, and the agent to do it."""


async def sold(till: Any, receipt_id: str) -> None:
    body = {"receipt": till_receipt(receipt_id)}
    async with till.post(f"/v1/receipts/{receipt_id}/commit", json=body) as response:
        assert response.status == 200, await response.text()


async def agent_row(pool: Pool) -> dict[str, Any]:
    async with pool.connection() as connection:
        [row] = await rows_of(
            connection,
            """select e.components, e.last_contact_at, e.state, count(r.*) as receipts,
            (select max(epoch) from stream_head h where h.edge_id = e.edge_id) as epoch
            from edge e left join receipt r using (edge_id) group by e.edge_id""",
        )
    return row


async def test_head_office_hears_that_the_disk_is_read_only(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams stay as they were; the agent of the repaired disk goes on in the same epoch."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town:
        await sold(town.tills["S1"], "r1")

        async def told() -> bool:
            return (await agent_row(pool))["receipts"] == 1

        await town.until(told)
        await town.tills["S1"].close()
        folder = town.folders["S1"]
        config = Config.load(folder)
        (folder / "edge.toml").write_text(config.to_toml() + 'spare_folder = "../spare"\n')
        monkeypatch.setattr(ground, "is_read_only", lambda _folder: True)
        async with an_agent(folder) as till:
            await sold(till, "r2")

            async def complains() -> bool:
                health = {
                    each["component"]: each["health"]
                    for each in (await agent_row(pool))["components"]
                }
                return health["disk"] == "error" and health["spare"] == "warn"

            await town.until(complains)
            heard = set()

            async def said_hello_often() -> bool:
                heard.add((await agent_row(pool))["last_contact_at"])
                return len(heard) == HELLOS

            await town.until(said_hello_often)
            row = await agent_row(pool)
            assert (row["receipts"], row["epoch"], row["state"]) == (1, 1, "active")
        monkeypatch.undo()
        async with an_agent(folder) as till:

            async def all_told() -> bool:
                return (await agent_row(pool))["receipts"] == 2

            await town.until(all_told)
            assert (await agent_row(pool))["epoch"] == 1


def an_agent(folder: Path) -> TestClient[Any, Any]:
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    headers = {"Authorization": "Bearer " + (folder / TILL_TOKEN_FILE).read_text()}
    return TestClient(TestServer(app), headers=headers)

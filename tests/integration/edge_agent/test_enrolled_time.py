"""Trusted time begins with what central said at enrolment, not with the machine's clock."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from edge_agent.clock.policy import OFF_ALLOWANCE_MS
from edge_agent.clock.store import kept_floor
from edge_agent.clock.trusted import TrustedClock
from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_writer
from edge_agent.uplink.enrol import EnrolOrder, enrol
from shared.system import SystemChance
from shared.wire.enrol import EdgeKind, EnrolReply, LaneStart
from shared.wire.stream import Lane
from tests.support.clocks import FakeClock

CENTRAL_MS = 1_790_000_000_000
YEAR_MS = 365 * 24 * 3_600_000


async def _answer(_request: web.Request) -> web.Response:
    reply = EnrolReply(
        edge_id=7,
        store_id="S1",
        credential="x",
        lanes=[LaneStart(lane=lane, epoch=1, nonce=b"n" * 16) for lane in Lane],
        trusted_keys=[],
        server_time_ms=CENTRAL_MS,
    )
    return web.Response(body=msgspec.json.encode(reply), content_type="application/json")


@pytest.mark.parametrize(
    ("wall_ms", "expected_ms"),
    [
        (CENTRAL_MS + YEAR_MS, CENTRAL_MS + OFF_ALLOWANCE_MS),
        (CENTRAL_MS - YEAR_MS, CENTRAL_MS),
        (CENTRAL_MS + 5_000, CENTRAL_MS + 5_000),
    ],
)
async def test_first_start_goes_by_central_and_not_by_the_clock_of_the_machine(
    tmp_path: Path, wall_ms: int, expected_ms: int
) -> None:
    """A year ahead counts for a day, a year behind for nothing."""
    app = web.Application()
    app.router.add_post("/v1/enrol", _answer)
    async with TestServer(app) as central:
        order = EnrolOrder(
            folder=tmp_path / "shop",
            central_url=f"http://127.0.0.1:{central.port}",
            token="t",
            kind=EdgeKind.HUB,
            listen_host="127.0.0.1",
            listen_port=0,
            ca_file=None,
            agent_version="0.1.0",
        )
        await enrol(order, SystemChance())
    connection = open_writer(tmp_path / "shop" / DATABASE_FILE)
    floor = kept_floor(connection)
    connection.close()

    assert TrustedClock(FakeClock(wall_ms=wall_ms), floor).trusted_now_ms() == expected_ms

"""The agent's own page: what it shows, and what can be done there."""

from __future__ import annotations

import asyncio

from edge_agent.http.metrics import Metrics
from edge_agent.http.page import PageApi
from edge_agent.http.status import StatusReport
from edge_agent.support.bundle import pack
from edge_agent.support.collecting import Asked, collect
from edge_agent.tills.service import Tills
from edge_agent.wiring.files import make_files
from edge_agent.wiring.ground import Ground, agent_version
from edge_agent.wiring.line import Line


def make_page(
    ground: Ground, line: Line, report: StatusReport, metrics: Metrics, tills: Tills, token: str
) -> PageApi:
    """The page; its parts are made at the first visit."""

    async def support() -> bytes:
        asked = Asked(status=await report.collect(), metrics=await metrics.text())
        now_ms = ground.clock.now_ms()

        def make() -> bytes:
            parts = collect(ground.folder, asked, version=agent_version(), now_ms=now_ms)
            return pack(parts, ground.folder)

        return await asyncio.to_thread(make)

    return PageApi(
        lambda site: site(
            token=token,
            reader=ground.reader,
            bundles=ground.bundles,
            report=report.collect,
            clock=ground.clock,
            files=make_files(ground, line.uplink, line.transport),
            tills=lambda: tills.known,
            support=support,
        )
    )

"""An agent's loops with real files and real HTTP, for tests of its talk with central."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from edge_agent.bundles.service import BundleService
from edge_agent.database.connection import open_writer
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import Fact, append_fact, start_stream
from edge_agent.supervisor import Supervisor
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.loops import Identity, Uplink
from edge_agent.uplink.plan import backoff_bounds_s
from edge_agent.uplink.transport import Transport
from edge_agent.uplink.wipe import forget_people
from edge_agent.witness.start import Media, Opened, open_media
from shared.crypto.signing import Signer
from shared.status import Health
from shared.system import SystemChance, SystemClock
from shared.wire.stream import Lane
from tests.support.central_double import CREDENTIAL, EDGE_ID, STARTS, CentralDouble

SIGNER: Final = Signer(bytes(range(32)))
LANE: Final = int(Lane.RECEIPTS)


@dataclass(kw_only=True)
class Agent:
    """What runs."""

    opened: Opened
    writer: Writer
    reader: Reader
    bundles: BundleService
    link: LinkState
    supervisor: Supervisor
    uplink: Uplink

    async def record(self, count: int, *, lane: int = LANE) -> None:
        """Make so many facts."""

        def job(connection: apsw.Connection) -> None:
            uid = random.randbytes(16)
            fact = Fact(uid=uid, kind="test", body=uid * 8, recorded_at_ms=5)
            append_fact(connection, lane, fact)

        await asyncio.gather(*(self.writer.run(job) for _ in range(count)))
        self.uplink.note_flush()

    async def run(self, job: Callable[[apsw.Connection], object]) -> None:
        await self.writer.run(job)

    def health(self, name: str) -> tuple[Health, str]:
        statuses = [*self.supervisor.statuses(), self.uplink.stream_status()]
        status = next(s for s in statuses if s.component == name)
        return status.health, status.message


@asynccontextmanager
async def running_agent(
    folder: Path, central: CentralDouble, *, flush_interval_s: float = 0.05, enrols: bool = True
) -> AsyncIterator[Agent]:
    """Its loops until the block ends; ``enrols``: make its streams where there are none."""
    path = folder / "edge.sqlite"
    if enrols:
        connection = open_writer(path)
        for start in STARTS:
            start_stream(connection, EDGE_ID, start)
        connection.close()
    clock = SystemClock()
    media = Media(database=path, witness=folder / "witness", journal=None, edge_id=EDGE_ID)
    opened = open_media(media, {}, clock=clock, chance=SystemChance())
    transport = Transport(central.url, credential=CREDENTIAL)
    await transport.open()
    supervisor = Supervisor(
        clock, lambda n: random.uniform(*backoff_bounds_s(n, min_s=0.01, max_s=0.05))
    )
    link = LinkState(clock)
    writer, reader = Writer(path, opened.guard), Reader(path)
    bundles = BundleService(folder / "bundles", {SIGNER.key_id: SIGNER.public_key})
    uplink = Uplink(
        Identity(
            edge_id=EDGE_ID,
            agent_version="1",
            started_at_ms=1,
            hello_interval_s=0.1,
            flush_interval_s=flush_interval_s,
            feed_wait_s=5,
        ),
        central=transport,
        writer=writer,
        reader=reader,
        bundles=bundles,
        link=link,
        clock=clock,
        chance=SystemChance(),
        statuses=supervisor.statuses,
        witness=opened.guard.heads,
        hear_time=opened.clock.note_central,
        wipe=lambda: writer.run(forget_people),
    )
    for name in ("hello", "flush", "feed", "bundle"):
        supervisor.add(name, getattr(uplink, f"{name}_round"))
    supervisor.start()
    try:
        yield Agent(
            opened=opened,
            writer=writer,
            reader=reader,
            bundles=bundles,
            link=link,
            supervisor=supervisor,
            uplink=uplink,
        )
    finally:
        await supervisor.stop()
        await transport.close()
        reader.close()
        writer.close()
        opened.guard.close()


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; twenty seconds at the most."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is awaited happens in another program
            await asyncio.sleep(0.01)


async def queue_depth(agent: Agent) -> int:
    """How much waits for central."""
    return (await agent.uplink.queue()).depth

"""A disk that takes half a second for every flush."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from edge_agent.database.connection import open_writer
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import append_fact, head_of, start_stream, verify_chain
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane
from tests.support.shop_facts import a_fact

LANE = int(Lane.RECEIPTS)
FLUSH_S = 0.5
TILLS = 40


class SlowFile(apsw.VFSFile):
    """A file whose flush takes long."""

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        time.sleep(FLUSH_S)
        super().xSync(flags)


class SlowDisk(apsw.VFS):
    """Everything but flushes is as usual."""

    def __init__(self) -> None:
        super().__init__("slow", "unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> SlowFile:  # noqa: N802
        return SlowFile("unix", name, flags)


@pytest.fixture
def slow_disk() -> Iterator[None]:
    before = apsw.vfs_names()[0]
    disk = SlowDisk()
    apsw.set_default_vfs("slow")
    yield
    apsw.set_default_vfs(before)
    disk.unregister()


async def test_tills_share_slow_flushes_and_reading_does_not_wait(
    tmp_path: Path, slow_disk: None
) -> None:
    """Fault 15: forty sales at once are two or three flushes; nobody is refused or kept out."""
    path = tmp_path / "edge.sqlite"
    connection = open_writer(path)
    start_stream(connection, 7, LaneStart(lane=Lane.RECEIPTS, epoch=1, nonce=bytes(16)))
    connection.close()
    writer, reader = Writer(path), Reader(path)
    started = time.monotonic()
    tills = [
        asyncio.create_task(writer.run(lambda c, n=n: append_fact(c, LANE, a_fact(n))))
        for n in range(1, TILLS + 1)
    ]
    await asyncio.sleep(FLUSH_S / 5)
    asked = time.monotonic()
    await reader.run(lambda c: head_of(c, LANE))
    assert time.monotonic() - asked < FLUSH_S
    await asyncio.gather(*tills)
    assert time.monotonic() - started < 8 * FLUSH_S
    assert await reader.run(lambda c: verify_chain(c, LANE)) == TILLS
    reader.close()
    writer.close()

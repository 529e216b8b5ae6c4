"""What the wall clock moved stays known: in the database, and in the witness."""

from __future__ import annotations

from pathlib import Path

from edge_agent.checkout.replay import REPLAYS
from edge_agent.clock.policy import OFF_ALLOWANCE_MS
from edge_agent.clock.store import kept_floor
from edge_agent.database.connection import open_writer
from edge_agent.database.disk import Disk
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import start_stream
from edge_agent.witness.guard import floor_of
from edge_agent.witness.slots import read_witness
from edge_agent.witness.start import Media, open_media
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane
from tests.support.clocks import FakeClock
from tests.support.shop_network import SeededChance

YEAR_MS = 365 * 24 * 3_600_000


async def test_power_cuts_under_a_wrong_clock_count_once(tmp_path: Path) -> None:
    """Five starts with the machine's clock a year ahead; both media know what it moved."""
    path = tmp_path / "edge.sqlite"
    connection = open_writer(path)
    for lane in Lane:
        start_stream(connection, 7, LaneStart(lane=lane, epoch=1, nonce=b"n" * 16))
    connection.close()
    clock = FakeClock()
    right_ms = clock.wall_ms
    media = Media(database=path, witness=tmp_path / "witness", journal=None, edge_id=7)
    for _ in range(6):
        opened = open_media(media, REPLAYS, clock=clock, chance=SeededChance(1))
        writer = Writer(path, opened.guard, Disk(tmp_path))
        await writer.run(opened.guard.put_time_down)
        writer.close()
        opened.guard.close()
        clock.reboot(off_ms=0)
        clock.wall_ms = right_ms + YEAR_MS
    assert opened.clock.trusted_now_ms() - right_ms == OFF_ALLOWANCE_MS
    connection = open_writer(path)
    in_database = kept_floor(connection)
    connection.close()
    in_witness = floor_of(read_witness(tmp_path / "witness"))
    assert in_database is not None
    assert in_witness is not None
    assert (in_database.off_ms, in_witness.off_ms) == (0, 0)

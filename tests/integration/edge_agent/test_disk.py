"""A disk that is full, read-only or broken: what is recorded, what is said, and who ends."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec
import pytest

from edge_agent.clock.trusted import TrustedClock
from edge_agent.config import Config
from edge_agent.database.connection import open_reader, open_writer
from edge_agent.database.disk import RESERVE_FILE, Disk, Fault
from edge_agent.database.reader import Reader
from edge_agent.database.writer import FOLD_PAGES, Writer
from edge_agent.outbox.held import held_counts
from edge_agent.outbox.store import append_fact, head_of, start_stream, verify_chain, verify_stream
from edge_agent.wiring.ground import Machine, lay_ground
from edge_agent.witness.guard import Guard
from edge_agent.witness.policy import Action
from edge_agent.witness.scrub import PART_S_MAX, Scrub
from edge_agent.witness.start import ASIDE_FOLDER, Media, Opened, open_media
from shared.errors import UnavailableError
from shared.status import Health
from shared.system import SystemChance
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane
from tests.support.broken_disk import BrokenDisk
from tests.support.clocks import FakeClock
from tests.support.shop import a_bundle, make_shop
from tests.support.shop_facts import a_fact, uid_of

LANE = int(Lane.RECEIPTS)
RESERVE_BYTES = 2**20


@pytest.fixture
def broken() -> Iterator[BrokenDisk]:
    with BrokenDisk.mounted() as disk:
        yield disk


@pytest.fixture
def path(tmp_path: Path, broken: BrokenDisk) -> Path:
    path = tmp_path / "edge.sqlite"
    connection = open_writer(path)
    for lane in Lane:
        start_stream(connection, 7, LaneStart(lane=lane, epoch=1, nonce=bytes(16)))
    connection.close()
    return path


async def record(writer: Writer, number: int, lane: int = LANE) -> None:
    await writer.run(lambda connection: append_fact(connection, lane, a_fact(number)))


async def record_until_refused(writer: Writer, first: int) -> tuple[int, str]:
    """How far it went, and why no further."""
    for number in range(first, 10 * FOLD_PAGES):
        try:
            await record(writer, number)
        except UnavailableError as error:
            return number - 1, error.stable_code
    pytest.fail("the disk never failed")


def chained(path: Path) -> int:
    connection = open_reader(path)
    try:
        return verify_chain(connection, LANE)
    finally:
        connection.close()


def disk_at(path: Path) -> Disk:
    return Disk(path.parent, reserve_bytes=RESERVE_BYTES)


async def test_full_disk_records_sales_in_the_reserve(path: Path, broken: BrokenDisk) -> None:
    """Fault 7: the sale that met the full disk is recorded; so are others; telemetry is not."""
    disk = disk_at(path)
    assert disk.hold_reserve()
    reserve = path.with_name(RESERVE_FILE)
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    writer = Writer(path, disk=disk)
    await record(writer, 1)
    broken.refuse_while(errno.ENOSPC, lambda: reserve.stat().st_size > 0)
    await record(writer, 2)
    assert reserve.stat().st_size == 0
    assert disk.short
    assert disk.status().health is Health.ERROR
    await asyncio.gather(*(record(writer, number) for number in range(3, 30)))
    with pytest.raises(UnavailableError) as held:
        await disk.when_roomy(lambda: record(writer, 99))()
    assert held.value.stable_code == "disk_full"

    assert await writer.run(lambda _: disk.hold_reserve())
    assert not disk.short
    assert disk.status().health is Health.OK
    assert reserve.stat().st_size == RESERVE_BYTES
    broken.mend()
    writer.close()
    assert chained(path) == 29


async def test_full_reserve_refuses_and_goes_on_later(path: Path, broken: BrokenDisk) -> None:
    """Fault 7: what could not be recorded is not there; when there is room it is taken."""
    disk = disk_at(path)
    disk.hold_reserve()
    writer = Writer(path, disk=disk)
    full = True
    broken.refuse_while(errno.ENOSPC, lambda: full)
    for number in (1, 2):
        with pytest.raises(UnavailableError) as refused:
            await record(writer, number)
        assert refused.value.stable_code == "disk_full"
    full = False
    await record(writer, 2)
    writer.close()
    assert chained(path) == 1


async def test_disk_too_small_for_a_reserve_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the reserve would be the last room there is, it is not taken, and that is said."""
    disk = Disk(path.parent, reserve_bytes=2**60)
    assert not disk.hold_reserve()
    assert disk.short
    assert not path.with_name(RESERVE_FILE).exists() or not disk.give_up_reserve()
    monkeypatch.setattr(os, "posix_fallocate", _no_room)
    assert not disk_at(path).hold_reserve()
    assert path.with_name(RESERVE_FILE).stat().st_size == 0


def _no_room(_descriptor: int, _offset: int, _length: int) -> None:
    raise OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("what", ["write", "sync"])
@pytest.mark.parametrize("at", range(4))
async def test_failed_disk_ends_the_process(
    path: Path, broken: BrokenDisk, what: str, at: int
) -> None:
    """Fault 6: nothing unanswered is believed, nothing is asked twice, and the start is whole."""
    ended = threading.Event()
    disk = Disk(path.parent, reserve_bytes=RESERVE_BYTES, on_failure=ended.set)
    writer = Writer(path, disk=disk)
    await record(writer, 1)
    broken.fail_at(what, at, errno.EIO)
    answered, refused = await record_until_refused(writer, 2)
    assert refused == "disk_failed"
    assert ended.is_set()
    assert disk.fault is Fault.FAILED
    calls = broken.calls
    with pytest.raises(UnavailableError):
        await record(writer, 100)
    writer.close()
    assert broken.calls == calls, "a disk that failed is asked no more"
    broken.mend()
    assert answered <= chained(path) <= answered + 1


async def test_failure_while_the_log_is_folded_ends_the_process(
    path: Path, broken: BrokenDisk
) -> None:
    """Fault 6: SQLite keeps such a failure to itself; the writer does not."""
    ended = threading.Event()
    disk = Disk(path.parent, reserve_bytes=RESERVE_BYTES, on_failure=ended.set)
    writer = Writer(path, disk=disk)
    broken.fail_at("sync", 0, errno.EIO, name=path.name)
    number, _ = await record_until_refused(writer, 1)
    assert ended.is_set()
    writer.close()
    broken.mend()
    assert chained(path) == number


async def test_read_only_disk_refuses_to_record_and_is_still_read(
    path: Path, broken: BrokenDisk
) -> None:
    """Fault 9: reading goes on, recording is refused; writable again, the process starts anew."""
    ended = threading.Event()
    disk = Disk(path.parent, reserve_bytes=RESERVE_BYTES, on_failure=ended.set)
    writer, reader = Writer(path, disk=disk), Reader(path)
    await record(writer, 1)
    broken.refuse_while(errno.EROFS, lambda: True)
    for number in (2, 3):
        with pytest.raises(UnavailableError) as refused:
            await record(writer, number)
        assert refused.value.stable_code == "disk_read_only"
    assert not ended.is_set()
    assert disk.status().health is Health.ERROR
    assert (await reader.run(lambda c: head_of(c, LANE))).seq == 1
    broken.mend()
    disk.look_again()
    assert ended.is_set()
    reader.close()
    writer.close()
    assert chained(path) == 1


async def test_endless_reading_is_cut_off(path: Path) -> None:
    """Fault 8: who reads for too long is stopped, so the log can be folded."""
    reader = Reader(path, read_s_max=0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(UnavailableError) as refused:
        await reader.run(lambda connection: connection.execute(endless).get)
    assert refused.value.stable_code == "read_too_long"
    assert (await reader.run(lambda c: head_of(c, LANE))).seq == 0
    reader.close()


async def test_log_shrinks_when_the_long_reader_has_gone(path: Path) -> None:
    """Fault 8: a reader holds the log; without it the log is folded and begun anew."""
    writer = Writer(path)
    reader = open_reader(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM outbox").fetchall()
    blob = bytes(2**20)

    def put(connection: apsw.Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO product VALUES ('x', ?)", (blob,))

    log = path.with_name(path.name + "-wal")
    for _ in range(70):
        await writer.run(put)
    held_bytes = log.stat().st_size
    assert held_bytes > 70 * 2**20
    reader.execute("ROLLBACK")
    for _ in range(3):
        await writer.run(put)
    assert log.stat().st_size <= 64 * 2**20
    reader.close()
    writer.close()


async def test_telemetry_goes_first(path: Path, broken: BrokenDisk) -> None:
    """Fault 7: on a full disk no telemetry is kept; receipts are."""
    clock = TrustedClock(FakeClock(), None, None)
    guard = Guard(edge_id=7, clock=clock, witness=None, journal=None, statement=None)
    disk = disk_at(path)
    disk.hold_reserve()
    writer = Writer(path, guard, disk)
    await record(writer, 1, int(Lane.TELEMETRY))
    reserve = path.with_name(RESERVE_FILE)
    broken.refuse_while(errno.ENOSPC, lambda: reserve.stat().st_size > 0)
    await record(writer, 2)
    await record(writer, 3, int(Lane.TELEMETRY))
    assert await writer.run(held_counts) == {}
    broken.mend()
    writer.close()
    assert chained(path) == 1


async def test_scrub_finds_what_went_bad_and_ends_the_process(path: Path) -> None:
    """Fault 10: any of the pages, before anybody asks for it; a whole database is left in peace."""
    ended = threading.Event()
    disk = Disk(path.parent, reserve_bytes=RESERVE_BYTES, on_failure=ended.set)
    writer = Writer(path, disk=disk)
    await asyncio.gather(*(record(writer, number) for number in range(1, 200)))
    writer.close()
    Scrub(path, disk).look()
    assert not ended.is_set()
    turn_a_bit(path, msgspec.msgpack.encode(uid_of(150)))
    Scrub(path, disk).look()
    assert ended.is_set()
    assert "went bad" in disk.status().message


async def test_selling_is_no_damage_to_the_scrub(path: Path) -> None:
    """Sales that come while the chains are read do not make a whole database look bad."""
    disk = disk_at(path)
    writer = Writer(path, disk=disk)
    await asyncio.gather(*(record(writer, number) for number in range(1, 600)))
    looking = asyncio.create_task(asyncio.to_thread(look_often, path, disk, 20))
    number = 600
    while not looking.done():
        await record(writer, number)
        number += 1
    await looking
    assert number > 620, "somebody sold meanwhile"
    assert disk.fault is None
    writer.close()


def look_often(path: Path, disk: Disk, times: int) -> None:
    for _ in range(times):
        Scrub(path, disk).look()


def test_scrub_that_takes_too_long_is_stopped_and_says_nothing_of_the_file(path: Path) -> None:
    """Fault 8: a part of the looking ends in time, so that the log can be folded."""
    disk = disk_at(path)
    fill(path)
    passing = itertools.count(step=10 * PART_S_MAX)
    with pytest.raises(UnavailableError):
        Scrub(path, disk).look(lambda: next(passing))
    assert disk.fault is None


def fill(path: Path) -> None:
    """More goods than are read in a moment."""
    connection = open_writer(path)
    with connection:
        connection.executemany(
            "INSERT INTO product VALUES (?, ?)", ((f"p{n}", bytes(50)) for n in range(40_000))
        )
    connection.close()


PASSING = [apsw.FullError, apsw.CantOpenError, apsw.BusyError, apsw.NoMemError, apsw.IOError]


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_no_damage(
    path: Path, kind: type[apsw.Error], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 7: want of room, memory or a lock neither ends the process nor puts a file aside."""
    disk = disk_at(path)

    def refuse(*_arguments: object) -> int:
        raise kind("not now")

    monkeypatch.setattr("edge_agent.witness.look.verify_stream", refuse)
    with pytest.raises(UnavailableError):
        Scrub(path, disk).look()
    assert disk.fault is None
    monkeypatch.setattr("edge_agent.witness.look.verify_stream", verify_stream)
    monkeypatch.setattr("edge_agent.database.connection.is_of_this_release", refuse)
    with pytest.raises(UnavailableError):
        Scrub(path, disk).look()
    assert disk.fault is None
    with pytest.raises(UnavailableError):
        start(path)
    assert not (path.parent / ASIDE_FOLDER).exists()
    monkeypatch.undo()
    opened = start(path)
    opened.guard.close()
    assert opened.start.action is Action.GO_ON


def start(path: Path) -> Opened:
    media = Media(database=path, witness=path.with_name("witness"), journal=None, edge_id=7)
    return open_media(media, {}, clock=FakeClock(), chance=SystemChance())


@pytest.mark.parametrize("kind", [*PASSING, apsw.ConnectionClosedError, apsw.SQLError])
async def test_reading_that_was_refused_is_no_bad_page(path: Path, kind: type[apsw.Error]) -> None:
    """Only the file's own fault ends the process; a bad page does, whoever reads it first."""
    disk = disk_at(path)
    reader = Reader(path, disk)

    def refuse(_connection: apsw.Connection) -> None:
        raise kind("not now")

    with pytest.raises(UnavailableError):
        await reader.run(refuse)
    assert disk.fault is None
    reader.close()


async def test_bad_page_that_is_read_ends_the_process(path: Path) -> None:
    """Fault 10: it is found when it is read, though nobody writes."""
    fill(path)
    with path.open("r+b") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        for at in range(size_bytes - 100 * 4096, size_bytes, 4096):
            file.seek(at)
            file.write(bytes([255]) * 64)
    ended = threading.Event()
    disk = Disk(path.parent, reserve_bytes=RESERVE_BYTES, on_failure=ended.set)
    reader = Reader(path, disk)
    with pytest.raises(UnavailableError):
        await reader.run(lambda c: c.execute("SELECT sum(length(entry)) FROM product").get)
    assert ended.is_set()
    assert "went bad" in disk.status().message
    reader.close()


@pytest.mark.parametrize("wrong", [apsw.CorruptError, apsw.NotADBError])
def test_what_says_the_file_is_bad_is_damage(
    path: Path, wrong: type[apsw.Error], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 10: the process ends, and the next start puts the file aside."""
    disk = disk_at(path)

    def refuse(*_arguments: object) -> int:
        raise wrong("malformed")

    monkeypatch.setattr("edge_agent.witness.look.verify_stream", refuse)
    Scrub(path, disk).look()
    assert disk.fault is Fault.FAILED
    opened = start(path)
    opened.guard.close()
    assert opened.start.reason == "database_damaged"
    assert list((path.parent / ASIDE_FOLDER).iterdir())


def test_sorting_takes_no_room_on_a_disk(path: Path) -> None:
    """Fault 7: whatever is opened sorts in memory, so a full disk cannot make a look fail."""
    for opener in (open_writer, open_reader):
        connection = opener(path)
        assert connection.pragma("temp_store") == 2
        connection.close()


def test_start_that_meets_a_full_disk_has_the_reserve(tmp_path: Path, broken: BrokenDisk) -> None:
    """Fault 7: nobody sees a quota beforehand; the start gives the reserve up, and goes on."""
    folder = tmp_path / "shop"
    make_shop(folder, bundle=a_bundle(1))
    disk = Disk(folder, reserve_bytes=RESERVE_BYTES)
    assert disk.hold_reserve()
    reserve = folder / RESERVE_FILE
    broken.refuse_while(errno.ENOSPC, lambda: reserve.stat().st_size > 0)
    machine = Machine(clock=FakeClock(), chance=SystemChance())
    ground = lay_ground(folder, Config.load(folder), machine, disk)
    broken.mend()
    ground.writer.close()
    ground.reader.close()
    ground.guard.close()
    assert not (folder / ASIDE_FOLDER).exists()


def test_start_gives_the_reserve_up_where_next_to_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 7: SQLite's files beside the database need room, whatever else does; else it stays."""
    disk = Disk(tmp_path, reserve_bytes=RESERVE_BYTES)
    assert disk.hold_reserve()
    disk.make_room_to_start()
    assert not disk.short
    room = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: _Room(f_bavail=1, f_frsize=room.f_frsize))
    disk.make_room_to_start()
    assert disk.short
    assert (tmp_path / RESERVE_FILE).stat().st_size == 0


@dataclass(frozen=True, kw_only=True)
class _Room:
    f_bavail: int
    f_frsize: int


def turn_a_bit(path: Path, of: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(of) + 5] ^= 1
    path.write_bytes(data)

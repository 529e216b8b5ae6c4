"""The spare medium byte by byte: what was answered is found, what was torn was never answered."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge_agent.database.connection import open_reader, open_writer
from edge_agent.database.disk import Disk, Fault, is_read_only
from edge_agent.database.writer import Writer
from edge_agent.outbox.held import held_counts
from edge_agent.outbox.store import append_fact, start_stream, verify_chain
from edge_agent.witness import spare as spare_room
from edge_agent.witness import working_copy
from edge_agent.witness.layout import Waiting
from edge_agent.witness.spare import Spare, SpareGuard, take_in
from edge_agent.witness.working_copy import make_working_copy
from shared.errors import UnavailableError
from shared.status import Health
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane
from tests.support.shop_facts import a_fact

EDGE = 7
LANE = int(Lane.RECEIPTS)


def waiting(number: int) -> Waiting:
    fact = a_fact(number)
    return Waiting(
        lane=LANE,
        uid=fact.uid,
        recorded_at_ms=fact.recorded_at_ms,
        kind=fact.kind,
        body=fact.body,
        local=fact.local,
    )


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "edge.sqlite"
    connection = open_writer(path)
    for lane in Lane:
        start_stream(connection, EDGE, LaneStart(lane=lane, epoch=1, nonce=bytes(16)))
    append_fact(connection, LANE, a_fact(0))
    connection.close()
    return path


def open_spare(folder: Path, edge_id: int = EDGE) -> Spare:
    return Spare(folder, edge_id)


def numbers_on(folder: Path) -> list[int]:
    uids = {waiting(number).uid: number for number in range(50)}
    return [uids[fact.uid] for fact in open_spare(folder).find().facts]


def chained(path: Path) -> int:
    connection = open_reader(path)
    try:
        return verify_chain(connection, LANE)
    finally:
        connection.close()


def test_file_cut_at_any_byte_holds_what_was_flushed_before(tmp_path: Path) -> None:
    """And whoever goes on behind the cut loses nothing of either side."""
    spare = open_spare(tmp_path / "a")
    ends = []
    for number in range(3):
        spare.append([waiting(number)])
        [path] = (tmp_path / "a").glob("sales-*.spare")
        ends.append(path.stat().st_size)
    spare.close()
    data = path.read_bytes()
    for at in range(len(data) + 1):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        (folder / path.name).write_bytes(data[:at])
        whole = [number for number in range(3) if ends[number] <= at]
        assert numbers_on(folder) == whole
        again = open_spare(folder)
        again.append([waiting(9)])
        again.close()
        assert numbers_on(folder) == [*whole, 9]
        assert open_spare(folder).find().whole


def test_changed_byte_is_found_and_the_rest_is_not_lost(
    tmp_path: Path, chance: random.Random
) -> None:
    """What stands before it counts, what stands in other files counts, and it is said."""
    for number in range(4):
        one = open_spare(tmp_path / "a")
        one.append([waiting(number)])
        one.close()
    files = sorted((tmp_path / "a").glob("sales-*.spare"))
    assert len(files) == 4
    data = bytearray(files[1].read_bytes())
    for _ in range(200):
        at = chance.randrange(len(data))
        flipped = bytearray(data)
        flipped[at] ^= 1 << chance.randrange(8)
        files[1].write_bytes(flipped)
        found = open_spare(tmp_path / "a").find()
        assert [fact.uid for fact in found.facts] == [waiting(n).uid for n in (0, 2, 3)]
        assert not found.whole


def test_facts_come_into_the_database_once(tmp_path: Path, database: Path) -> None:
    """Numbered behind what is there, files put by; brought back they change nothing."""
    spare = open_spare(tmp_path / "a")
    spare.append([waiting(number) for number in (1, 2)])
    spare.append([waiting(3)])
    assert take_in(database, spare, {}) == 3
    assert chained(database) == 4
    assert take_in(database, spare, {}) == 0
    for path in (tmp_path / "a").glob("*.taken"):
        path.rename(path.with_name(path.name.removesuffix(".taken")))
    assert take_in(database, open_spare(tmp_path / "a"), {}) == 0
    assert chained(database) == 4


def test_nothing_is_put_by_before_the_database_has_it(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut in the middle leaves all of it for the next start."""
    spare = open_spare(tmp_path / "a")
    spare.append([waiting(number) for number in (1, 2)])
    real, calls = spare_room.take_waiting, [0]

    def torn(*arguments: Any) -> int:
        calls[0] += 1
        if calls[0] == 2:
            raise apsw.FullError("no room")
        return real(*arguments)

    monkeypatch.setattr(spare_room, "take_waiting", torn)
    with pytest.raises(UnavailableError):
        take_in(database, spare, {})
    assert chained(database) == 1
    monkeypatch.undo()
    assert take_in(database, spare, {}) == 2
    assert chained(database) == 3


def test_another_agents_files_are_let_be(tmp_path: Path, database: Path) -> None:
    """A stick that is put into the wrong machine gives nothing there."""
    spare = open_spare(tmp_path / "a", edge_id=8)
    spare.append([waiting(1)])
    spare.close()
    assert take_in(database, open_spare(tmp_path / "a"), {}) == 0
    assert len(open_spare(tmp_path / "a", edge_id=8).find().facts) == 1


@pytest.fixture
def copy(tmp_path: Path, database: Path) -> Path:
    (tmp_path / "a").mkdir()
    return make_working_copy(
        database, [tmp_path / "a"], edge_id=EDGE, recovery_id=bytes(16), now_ms=1
    )


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EIO, "disk_read_only")]
)
async def test_sale_that_the_medium_refuses_is_answered_to_nobody(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    """It is told, it is not there, and the next one goes on when the medium does."""
    spare = open_spare(tmp_path / "a")
    guard = SpareGuard(spare)
    disk = Disk(tmp_path)
    disk.found_read_only(sales_go_elsewhere=True)
    writer = Writer(copy, guard, disk)
    await writer.run(lambda connection: append_fact(connection, LANE, a_fact(1)))

    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        with pytest.raises(UnavailableError) as refused:
            await writer.run(lambda connection: append_fact(connection, LANE, a_fact(2)))
    assert refused.value.stable_code == code
    assert guard.statuses()[0].health is Health.ERROR
    await writer.run(lambda connection: append_fact(connection, LANE, a_fact(3)))
    assert guard.statuses()[0].health is Health.WARN
    writer.close()
    guard.close()
    assert numbers_on(tmp_path / "a") == [1, 3]
    assert open_spare(tmp_path / "a").find().whole


def test_working_copy_holds_what_the_log_holds_and_leaves_the_database_alone(
    tmp_path: Path, database: Path
) -> None:
    """Facts of the copy get no numbers: only the database knows which are free."""
    writing = open_writer(database)
    append_fact(writing, LANE, a_fact(1))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("edge.sqlite*")}
    (tmp_path / "a").mkdir()
    copy = make_working_copy(
        database, [tmp_path / "a"], edge_id=EDGE, recovery_id=bytes(16), now_ms=1
    )
    assert chained(copy) == 2
    working = open_writer(copy)
    assert append_fact(working, LANE, a_fact(2)) is None
    assert held_counts(working)[LANE][0] == 1
    working.close()
    assert {path.name: path.read_bytes() for path in tmp_path.glob("edge.sqlite*")} == before
    writing.close()


def test_damaged_database_is_worked_without(tmp_path: Path, database: Path) -> None:
    """Prices go on without what it knew, and it stays as it is for the repair."""
    data = bytearray(database.read_bytes())
    data[4096:8192] = os.urandom(4096)
    database.write_bytes(data)
    (tmp_path / "a").mkdir()
    copy = make_working_copy(
        database, [tmp_path / "a"], edge_id=EDGE, recovery_id=bytes(16), now_ms=1
    )
    connection = open_writer(copy)
    assert not held_counts(connection)
    connection.close()
    assert database.read_bytes() == data


def test_without_room_for_a_copy_the_start_says_so(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_copy, "ROOM_BYTES", 2**60)
    with pytest.raises(UnavailableError) as refused:
        make_working_copy(database, [tmp_path], edge_id=EDGE, recovery_id=bytes(16), now_ms=1)
    assert refused.value.stable_code == "disk_read_only"


@pytest.mark.parametrize("elsewhere", [True, False])
def test_disk_that_was_repaired_ends_the_process(tmp_path: Path, elsewhere: bool) -> None:
    """The next start takes in what was sold; until then only a spare medium takes sales."""
    ended: list[None] = []
    disk = Disk(tmp_path, on_failure=lambda: ended.append(None))
    disk.found_read_only(sales_go_elsewhere=elsewhere)
    assert (disk.fault, disk.refuses) == (Fault.READ_ONLY, None if elsewhere else Fault.READ_ONLY)
    assert not disk.hold_reserve()
    assert not ended
    disk.look_again()
    assert (len(ended), disk.fault) == (1, Fault.FAILED)


def test_disk_that_can_be_written_is_not_taken_for_read_only(tmp_path: Path) -> None:
    """The look leaves nothing behind; another trouble is for others to tell."""
    assert not is_read_only(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not is_read_only(tmp_path / "nowhere")

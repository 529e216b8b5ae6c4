"""Databases that were restored, cut, damaged or copied: what the agent makes of real files."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
import pytest

from edge_agent.clock.store import kept_floor
from edge_agent.database.connection import open_reader, open_writer
from edge_agent.database.writer import Writer
from edge_agent.outbox.held import held_counts, recovery_of
from edge_agent.outbox.store import (
    Fact,
    acknowledge,
    append_fact,
    begin_epoch,
    chain_held,
    epoch_of,
    head_of,
    heads_of,
    kept_after,
    known_hash,
    prune_acked,
    start_stream,
    streams_of,
    verify_chain,
)
from edge_agent.witness import journal as journal_module
from edge_agent.witness.layout import Entry, Statement
from edge_agent.witness.policy import Action
from edge_agent.witness.proof import Proof, prove
from edge_agent.witness.rebuild import Remembered
from edge_agent.witness.start import ASIDE_FOLDER, Media, Opened, open_media
from shared.crypto.chain import chain_genesis
from shared.errors import CorruptionError, UnavailableError
from shared.system import SystemChance
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane
from tests.support.clocks import FakeClock
from tests.support.shop_facts import a_fact, a_spend, uid_of

LANE = int(Lane.RECEIPTS)
MONEY = int(Lane.MONEY)


def starts(epoch: int) -> list[LaneStart]:
    return [LaneStart(lane=lane, epoch=epoch, nonce=bytes([epoch]) * 16) for lane in Lane]


@dataclass(kw_only=True)
class Shop:
    """A folder with a database, and other media beside it."""

    folder: Path
    journal: bool = True
    replayed: list[Remembered]
    clock: FakeClock

    @property
    def media(self) -> Media:
        return Media(
            database=self.folder / "edge.sqlite",
            witness=self.folder / "usb" / "witness",
            journal=self.folder / "usb" / "journal" if self.journal else None,
            edge_id=7,
        )

    def enrol(self) -> None:
        connection = open_writer(self.media.database)
        for start in starts(1):
            start_stream(connection, 7, start)
        connection.close()

    def start(self) -> Opened:
        def replay(_connection: apsw.Connection, remembered: Remembered) -> None:
            self.replayed.append(remembered)

        return open_media(
            self.media,
            {"test": replay, "lease.spent": replay},
            clock=self.clock,
            chance=SystemChance(),
        )

    @contextmanager
    def running(self) -> Iterator[tuple[Writer, Opened]]:
        opened = self.start()
        writer = Writer(self.media.database, opened.guard)
        try:
            yield writer, opened
        finally:
            writer.close()
            opened.guard.close()

    def save(self, name: str) -> None:
        """A backup of the database, its log included."""
        (self.folder / name).mkdir()
        for part in ("", "-wal"):
            source = self.folder / f"edge.sqlite{part}"
            if source.exists():
                shutil.copy(source, self.folder / name)

    def put_back(self, name: str) -> None:
        for part in ("", "-wal", "-shm"):
            (self.folder / f"edge.sqlite{part}").unlink(missing_ok=True)
        for path in (self.folder / name).iterdir():
            shutil.copy(path, self.folder)

    def read(self) -> apsw.Connection:
        return open_reader(self.media.database)


@pytest.fixture(params=[True, False], ids=["journal", "no-journal"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    made = Shop(folder=tmp_path, journal=request.param, replayed=[], clock=FakeClock())
    made.enrol()
    return made


async def record(writer: Writer, *facts: Fact, lane: int = LANE) -> None:
    await asyncio.gather(
        *(writer.run(lambda c, fact=fact: append_fact(c, lane, fact)) for fact in facts)
    )


def uids(connection: apsw.Connection) -> set[bytes]:
    return {
        kept.uid
        for head in streams_of(connection)
        for kept in kept_after(connection, head.stream_id, head.pruned_seq, 10_000)
    }


async def test_undisturbed_shop_goes_on(shop: Shop) -> None:
    """Starts one after the other find nothing to do; the witness is where the database is."""
    for number in range(1, 4):
        with shop.running() as (writer, opened):
            assert opened.start.action is Action.GO_ON
            assert not opened.start.rebuild
            assert opened.guard.may_spend
            await record(writer, a_fact(number), a_fact(number + 100))
            statement = opened.guard.statement()
            assert statement is not None
            assert [head.seq for head in statement.heads] == [0, 2 * number, 0, 0]
    assert shop.replayed == []


async def test_who_only_looks_costs_no_medium_anything(shop: Shop) -> None:
    """Questions go through the writer too; trusted time is put down by a job of its own."""
    with shop.running() as (writer, opened):
        await record(writer, a_fact(1))
        files = [path for path in sorted(shop.folder.rglob("*")) if path.is_file()]
        before = {path: path.read_bytes() for path in files if path.suffix != ".sqlite-shm"}
        counter = statement_of(opened).counter
        heads = await asyncio.gather(*(writer.run(heads_of) for _ in range(5)))
        assert all(head == heads[0] for head in heads)
        assert statement_of(opened).counter == counter
        assert {path: path.read_bytes() for path in before} == before

        shop.clock.advance_ms(60_000)
        await writer.run(opened.guard.put_time_down)
        assert statement_of(opened).counter == counter + 1
        connection = shop.read()
        floor = kept_floor(connection)
        connection.close()
        assert floor is not None
        assert floor.floor_ms == statement_of(opened).kept_ms


def statement_of(opened: Opened) -> Statement:
    statement = opened.guard.statement()
    assert statement is not None
    return statement


async def test_restored_database_recovers_or_is_made_again(shop: Shop) -> None:
    """Fault 12: with the journal all records are there; without it no number is used twice."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1), a_fact(2))
    shop.save("backup")
    with shop.running() as (writer, _):
        await record(writer, a_fact(3), a_fact(4))
        await record(writer, a_spend(5), lane=MONEY)
    shop.put_back("backup")

    with shop.running() as (writer, opened):
        await record(writer, a_fact(6))
        assert not opened.guard.may_spend
        connection = shop.read()
        if shop.journal:
            assert opened.start.reason == "database_behind_journal"
            assert opened.rebuilt == 3
            assert {each.uid for each in shop.replayed} == {uid_of(3), uid_of(4), uid_of(5)}
            assert uids(connection) == {uid_of(number) for number in range(1, 6)}
        else:
            assert opened.start.reason == "database_behind_witness"
        numbered = 4 if shop.journal else 2
        assert head_of(connection, LANE).seq == numbered
        assert verify_chain(connection, LANE) == numbered
        assert held_counts(connection)[LANE][0] == 1
        connection.close()


async def test_new_epoch_ends_recovery_and_numbers_what_waited(shop: Shop) -> None:
    """What was sold meanwhile is chained in the new epoch; the old chain stays as it is."""
    shop.journal = False
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    shop.save("backup")
    with shop.running() as (writer, _):
        await record(writer, a_fact(2))
    shop.put_back("backup")
    with shop.running() as (writer, _):
        await record(writer, a_fact(3), a_fact(4))
    with shop.running() as (writer, opened):
        assert not opened.guard.may_spend, "a restart ends no recovery"
        assert await writer.run(lambda c: begin_epoch(c, 7, starts(2)))
        assert opened.guard.may_spend
        assert await writer.run(lambda c: chain_held(c, LANE, 1)) == 1
        assert await writer.run(lambda c: chain_held(c, LANE, 10)) == 1
        await record(writer, a_fact(5))
        assert not await writer.run(lambda c: begin_epoch(c, 7, starts(2))), "told twice"
    with shop.running() as (_, opened):
        assert opened.start.action is Action.GO_ON
        connection = shop.read()
        head = head_of(connection, LANE)
        assert (head.epoch, head.seq, epoch_of(connection)) == (2, 3, 2)
        assert uids(connection) == {uid_of(number) for number in (1, 3, 4, 5)}
        assert recovery_of(connection) is None
        connection.close()


async def test_deleted_log_is_not_believed(shop: Shop) -> None:
    """Fault 4: without its log the database is older than its witness."""
    opened = shop.start()
    writer = Writer(shop.media.database, opened.guard)
    # A reader that stays keeps the log from being folded into the file at the end.
    reader = open_reader(shop.media.database)
    await record(writer, a_fact(1), a_fact(2))
    with pytest.MonkeyPatch.context():
        shop.save("at_work")
    writer.close()
    reader.close()
    opened.guard.close()
    shop.put_back("at_work")
    (shop.folder / "edge.sqlite-wal").unlink()

    with shop.running() as (_, again):
        if shop.journal:
            assert again.rebuilt == 2
        else:
            assert again.start.action is Action.RECOVER


async def test_old_file_beside_a_new_log_is_never_spliced_unseen(shop: Shop) -> None:
    """Fault 4: whatever SQLite makes of the two, the agent goes on only with everything."""
    with shop.running() as (writer, _):
        await record(writer, *map(a_fact, range(1, 40)))
    shop.save("old")
    opened = shop.start()
    writer = Writer(shop.media.database, opened.guard)
    reader = open_reader(shop.media.database)
    for number in range(40, 80):
        await record(writer, a_fact(number))
    shutil.copy(shop.folder / "edge.sqlite-wal", shop.folder / "new-wal")
    writer.close()
    reader.close()
    opened.guard.close()
    shop.put_back("old")
    shutil.copy(shop.folder / "new-wal", shop.folder / "edge.sqlite-wal")

    with shop.running() as (_, again):
        connection = shop.read()
        if again.start.action is Action.GO_ON:
            assert verify_chain(connection, LANE) == 79
        else:
            assert recovery_of(connection) is not None
        connection.close()


@pytest.mark.parametrize("damage", ["wiped", "rolled_back", "garbage", "of_another"])
async def test_witness_lost_or_old_is_made_again(shop: Shop, damage: str) -> None:
    """Fault 13: the database is longer, so it is believed, and the witness follows it."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    witness = shop.media.witness
    old = witness.read_bytes()
    with shop.running() as (writer, _):
        await record(writer, a_fact(2))
    if damage == "wiped":
        witness.unlink()
    else:
        witness.write_bytes(old if damage == "rolled_back" else os.urandom(len(old)))

    with shop.running() as (_, opened):
        assert opened.start.action is Action.GO_ON
        statement = opened.guard.statement()
        assert statement is not None
        assert statement.heads[LANE].seq == 2


async def test_flipped_bits_anywhere_are_found_or_harmless(shop: Shop) -> None:
    """Fault 10: no damaged database is written on; with a journal every record is there again."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    with shop.running() as (writer, _):
        await record(writer, *map(a_fact, range(1, 60)))
    shop.save("good")
    good = (shop.folder / "good" / "edge.sqlite").read_bytes()
    for _ in range(15):
        damaged = bytearray(good)
        for _ in range(20):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        shop.put_back("good")
        shop.media.database.write_bytes(damaged)
        try:
            opened = shop.start()
        except CorruptionError as refused:
            # The mark in the file's head was hit: it might be another program's.
            assert refused.stable_code == "foreign_database"  # noqa: PT017
            continue
        opened.guard.close()
        connection = shop.read()
        if opened.start.action is Action.GO_ON:
            assert verify_chain(connection, LANE) == 59
        elif opened.start.reason == "database_damaged":
            assert any((shop.folder / ASIDE_FOLDER).iterdir())
            assert len(uids(connection)) == (59 if shop.journal else 0)
        else:
            # Whole, but its head or the number of its edge is not what the witness saw.
            assert len(uids(connection)) == 59
        connection.close()


async def test_lost_database_sells_on_and_loses_no_record_of_the_journal(shop: Shop) -> None:
    """Fault 11: rebuilt from the other medium, in recovery, for what was promised is forgotten."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1), a_fact(2))
        await record(writer, a_spend(3), lane=MONEY)
    shop.media.database.unlink()

    with shop.running() as (writer, opened):
        assert opened.start.reason == "database_missing"
        assert not opened.guard.may_spend
        await record(writer, a_fact(4))
        connection = shop.read()
        assert len(uids(connection)) == (3 if shop.journal else 0)
        assert held_counts(connection)[LANE][0] == 1
        connection.close()


async def test_facts_that_waited_come_back_from_the_journal(tmp_path: Path) -> None:
    """A database lost during recovery: its facts without numbers are on the other medium too."""
    shop = Shop(folder=tmp_path, replayed=[], clock=FakeClock())
    with shop.running() as (writer, opened):
        assert opened.start.reason == "database_missing"
        await record(writer, a_fact(1), a_fact(2))
    shop.media.database.unlink()
    with shop.running():
        connection = shop.read()
        assert held_counts(connection)[LANE][0] == 2
        assert {each.uid for each in shop.replayed} == {uid_of(1), uid_of(2)}
        connection.close()


async def test_cloned_folder_is_seen_only_by_central(shop: Shop) -> None:
    """Fault 14: with database and witness of one moment there is nothing to compare."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    copy = shop.folder.parent / f"{shop.folder.name}-copy"
    shutil.copytree(shop.folder, copy)
    clone = Shop(folder=copy, journal=shop.journal, replayed=[], clock=FakeClock())
    hashes = set()
    for each, number in ((shop, 2), (clone, 3)):
        with each.running() as (writer, opened):
            assert opened.start.action is Action.GO_ON
            await record(writer, a_fact(number))
            hashes.add((await writer.run(lambda c: head_of(c, LANE))).hash)

    assert len(hashes) == 2, "the same number with another hash: central sees a fork"


async def test_restored_database_that_traded_without_its_witness_is_found_out(shop: Shop) -> None:
    """Its witness comes back: the same number has another hash."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    shop.save("old")
    with shop.running() as (writer, _):
        await record(writer, a_fact(2))
    kept = shop.media.witness.read_bytes()
    shop.put_back("old")
    shutil.rmtree(shop.folder / "usb")
    with shop.running() as (writer, _):
        await record(writer, a_fact(3), a_fact(4))
    shop.media.witness.write_bytes(kept)

    with shop.running() as (_, opened):
        assert (opened.start.action, opened.start.reason) == (Action.RECOVER, "another_chain")


async def test_failed_journal_stops_spending_and_not_selling(tmp_path: Path) -> None:
    """Fault 9: a sale is answered; what needs two media is refused until the next start."""
    shop = Shop(folder=tmp_path, replayed=[], clock=FakeClock())
    shop.enrol()
    with shop.running() as (writer, opened):
        await record(writer, a_fact(1))
        guard = opened.guard
        assert guard._journal is not None
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, guard._journal._descriptor or -1)
        os.close(full)
        await record(writer, a_fact(2))
        assert not guard.may_spend
        assert [s.health.value for s in guard.statuses()] == ["ok", "ok", "error"]
    with shop.running() as (_, opened):
        assert opened.guard.may_spend, "the start filled in what the journal lacked"
    shop.media.database.unlink()
    with shop.running():
        connection = shop.read()
        assert uids(connection) == {uid_of(1), uid_of(2)}
        connection.close()


async def test_pruned_chain_stays_whole_and_is_sent_again_from_where_it_is_kept(
    shop: Shop,
) -> None:
    """Only confirmed and old records go, from the front; what central lacks of them is told."""
    with shop.running() as (writer, _):
        await record(writer, *map(a_fact, range(1, 11)))

        def confirm(connection: apsw.Connection) -> None:
            head = head_of(connection, LANE)
            eighth = kept_after(connection, head.stream_id, 7, 1)[0]
            acknowledge(connection, head.stream_id, 8, eighth.hash)

        await writer.run(confirm)
        fifth = await writer.run(lambda c: kept_after(c, head_of(c, LANE).stream_id, 4, 1)[0])
        assert await writer.run(lambda c: prune_acked(c, 6, 2)) == 2
        assert await writer.run(lambda c: prune_acked(c, 6, 100)) == 3
        assert await writer.run(lambda c: prune_acked(c, 100, 100)) == 3
        assert await writer.run(lambda c: prune_acked(c, 100, 100)) == 0
        head = await writer.run(lambda c: head_of(c, LANE))
        assert (head.pruned_seq, head.acked_seq, head.seq) == (8, 8, 10)
        assert await writer.run(lambda c: verify_chain(c, LANE)) == 2
        with pytest.raises(CorruptionError) as refused:
            await writer.run(lambda c: acknowledge(c, head.stream_id, 5, fifth.hash))
        assert refused.value.stable_code == "no_longer_kept"
    with shop.running() as (_, opened):
        assert opened.start.action is Action.GO_ON
        assert not opened.start.rebuild


async def test_trusted_time_outlives_a_restored_database(shop: Shop) -> None:
    """Fault 21: neither an old database nor a clock put back takes the floor back."""
    with shop.running() as (writer, opened):
        await record(writer, a_fact(1))
    shop.save("old")
    with shop.running() as (writer, opened):
        opened.clock.note_central(shop.clock.wall_ms + 10**9)
        await record(writer, a_fact(2))
        before_ms = opened.clock.trusted_now_ms()
    shop.put_back("old")
    shop.clock.reboot(off_ms=0)
    shop.clock.wall_ms = 0

    assert shop.start().clock.trusted_now_ms() >= before_ms


async def test_witness_hears_of_trusted_time_though_nothing_is_recorded(shop: Shop) -> None:
    """A shop that sells nothing puts it down once a minute."""
    with shop.running() as (writer, opened):
        await record(writer, a_fact(1))
    shop.save("old")
    with shop.running() as (writer, opened):
        opened.clock.note_central(shop.clock.wall_ms + 10**9)
        await writer.run(opened.guard.put_time_down)
        before_ms = opened.clock.trusted_now_ms()
    shop.put_back("old")
    shop.clock.reboot(off_ms=0)
    shop.clock.wall_ms = 0

    assert shop.start().clock.trusted_now_ms() >= before_ms


async def test_unreadable_spend_does_not_end_the_writer(shop: Shop) -> None:
    """Central sets such a record aside; the shop goes on recording."""
    bad = replace(a_spend(1), body=b"\xc1")
    with shop.running() as (writer, _):
        await record(writer, bad, lane=MONEY)
        await record(writer, a_spend(2), lane=MONEY)
        assert await writer.run(lambda c: head_of(c, MONEY).seq) == 2


async def test_witness_names_spends_that_central_has_not_confirmed(shop: Shop) -> None:
    """By lease; a confirmed one is named no longer."""
    with shop.running() as (writer, opened):
        await record(writer, a_spend(1), a_spend(2, lease="L2"), a_spend(3, amount=7), lane=MONEY)
        statement = opened.guard.statement()
        assert statement is not None
        totals = {each.lease_id: (each.spend_count, each.spent_amount) for each in statement.leases}
        assert totals == {"L1": (2, 12), "L2": (1, 5)}

        def confirm(connection: apsw.Connection) -> None:
            head = head_of(connection, MONEY)
            acknowledge(connection, head.stream_id, 3, head.hash)

        await writer.run(confirm)
        await record(writer, a_spend(4, amount=1), lane=MONEY)
        statement = opened.guard.statement()
        assert statement is not None
        assert [(each.lease_id, each.spent_amount) for each in statement.leases] == [("L1", 1)]


def test_genesis_is_of_edge_lane_epoch_and_nonce(shop: Shop) -> None:
    """What central computes is what the stream begins with."""
    connection = shop.read()
    heads = heads_of(connection)
    connection.close()
    assert [head.hash for head in heads] == [
        chain_genesis(7, lane, 1, b"\x01" * 16) for lane in Lane
    ]


async def test_more_leases_than_a_slot_holds_are_counted(tmp_path: Path) -> None:
    """The largest are named; long names take no more room than there is."""
    shop = Shop(folder=tmp_path, journal=False, replayed=[], clock=FakeClock())
    shop.enrol()
    with shop.running() as (writer, opened):
        spends = [a_spend(n, lease="L" * 190 + f"{n:09}", amount=n) for n in range(1, 1_201)]
        for first in range(0, len(spends), 300):
            await record(writer, *spends[first : first + 300], lane=MONEY)
        statement = opened.guard.statement()
        assert statement is not None
        assert 0 < len(statement.leases) < 1_200
        assert statement.left_out == 1_200 - len(statement.leases)
        assert statement.leases[0].spent_amount == 1_200
        assert opened.guard.may_spend
        assert all(status.health.value == "ok" for status in opened.guard.statuses())


async def test_old_journal_files_go_and_the_chain_goes_on_from_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files go whole, the oldest first; what is left still completes an old database."""
    monkeypatch.setattr(journal_module, "JOURNAL_SEGMENT_BYTES_MAX", 1_000)
    shop = Shop(folder=tmp_path, replayed=[], clock=FakeClock())
    shop.enrol()
    with shop.running() as (writer, opened):
        for number in range(1, 41):
            await record(writer, a_fact(number))
        shop.save("old")
        for number in range(41, 61):
            await record(writer, a_fact(number))
        folder = tmp_path / "usb" / "journal"
        files = sorted(folder.iterdir())
        for path in files:
            os.utime(path, (0, 0))
        # However old they are, what head office has not confirmed stays.
        assert await writer.run(lambda c: opened.guard.prune(c, 30)) == 0
        await writer.run(lambda c: acknowledge_until(c, 25))
        few = await writer.run(lambda c: opened.guard.prune(c, 30))
        await writer.run(lambda c: acknowledge_until(c, 60))
        more = await writer.run(lambda c: opened.guard.prune(c, 30))
        assert 0 < few < len(files)
        assert more > 0
        before = few + more
        assert 0 < before < len(files)
        assert sorted(folder.iterdir()) == files[before:]
    shop.put_back("old")
    with shop.running() as (_, opened):
        assert opened.start.rebuild
        connection = shop.read()
        assert verify_chain(connection, LANE) == 60
        connection.close()


@pytest.mark.parametrize("part", [0.3, 0.7])
@pytest.mark.parametrize("hurt", ["flipped", "gone"])
async def test_journal_that_lost_something_inside_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurt: str, part: float
) -> None:
    """By a start, which goes on all the same, and by ``verify``; a torn end is nobody's fault."""
    monkeypatch.setattr(journal_module, "JOURNAL_SEGMENT_BYTES_MAX", 1_000)
    shop = Shop(folder=tmp_path, replayed=[], clock=FakeClock())
    shop.enrol()
    with shop.running() as (writer, _):
        for number in range(1, 31):
            await record(writer, a_fact(number))
    files = sorted((tmp_path / "usb" / "journal").iterdir())
    torn = files[-1].read_bytes()
    files[-1].write_bytes(torn[:-7])
    proven(shop)
    files[-1].write_bytes(torn)
    middle = files[int(part * len(files))]
    data = bytearray(middle.read_bytes())
    data[len(data) // 2] ^= 1
    if hurt == "flipped":
        middle.write_bytes(data)
    else:
        middle.unlink()
    with shop.running() as (writer, opened):
        assert opened.start.action is Action.GO_ON
        assert opened.guard.may_spend
        (told,) = [each for each in opened.guard.statuses() if each.component == "journal"]
        assert (told.health.value, "verify" in told.message) == ("warn", True)
        await record(writer, a_fact(31))
    with pytest.raises(CorruptionError) as caught:
        proven(shop)
    assert caught.value.stable_code == "damaged_journal"


def proven(shop: Shop) -> Proof:
    media = shop.media
    return prove(
        media.database, witness=media.witness, journal=media.journal, edge_id=media.edge_id
    )


def acknowledge_until(connection: apsw.Connection, seq: int) -> None:
    head = head_of(connection, LANE)
    confirmed = known_hash(connection, head, seq)
    assert confirmed is not None
    acknowledge(connection, head.stream_id, seq, confirmed)


def make_unusable(folder: Path) -> None:
    """A mount point at which nothing is mounted, and nothing can be made."""
    if folder.exists():
        folder.rename(folder.with_name("pulled-out"))
    folder.write_bytes(b"")


def plug_in(folder: Path) -> None:
    folder.unlink()
    folder.with_name("pulled-out").rename(folder)


async def test_shop_opens_without_the_media_beside_the_database(shop: Shop) -> None:
    """A stick that was pulled out closes no shop: it sells, says so, and spends nothing."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    make_unusable(shop.folder / "usb")
    for number in (2, 3):
        with shop.running() as (writer, opened):
            assert opened.start.action is Action.GO_ON
            await record(writer, a_fact(number))
            assert opened.guard.may_spend is not shop.journal
            said = {status.component: status.health.value for status in opened.guard.statuses()}
            journal = {"journal": "error"} if shop.journal else {}
            assert said == {"records": "ok", "witness": "warn", **journal}
    plug_in(shop.folder / "usb")
    with shop.running() as (_, opened):
        assert opened.start.action is Action.GO_ON
        assert opened.guard.may_spend
        assert {status.health.value for status in opened.guard.statuses()} == {"ok"}
    if not shop.journal:
        return
    shop.media.database.unlink()
    with shop.running():
        connection = shop.read()
        assert uids(connection) == {uid_of(number) for number in (1, 2, 3)}
        connection.close()


@pytest.mark.parametrize("damage", ["gone", "bad", "behind"])
async def test_lost_records_wait_for_the_journal_that_may_have_them(
    tmp_path: Path, damage: str
) -> None:
    """A lost database is not begun anew while its journal is out; nothing is touched till then."""
    shop = Shop(folder=tmp_path, replayed=[], clock=FakeClock())
    shop.enrol()
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    shop.save("backup")
    with shop.running() as (writer, _):
        await record(writer, a_fact(2))
    if damage == "behind":
        shop.put_back("backup")
    else:
        shop.media.database.write_bytes(b"no database" * 1_000)
    if damage == "gone":
        shop.media.database.unlink()
    assert shop.media.journal is not None
    make_unusable(shop.media.journal)
    for _ in range(2):
        with pytest.raises(UnavailableError) as refused:
            shop.start()
        assert refused.value.stable_code == "no_journal"
        assert not (tmp_path / ASIDE_FOLDER).exists()
        assert shop.media.database.exists() is (damage != "gone")
    shop.media.journal.unlink()
    (tmp_path / "usb" / "pulled-out").rename(shop.media.journal)
    with shop.running() as (_, opened):
        assert opened.start.action is Action.RECOVER
        connection = shop.read()
        assert uids(connection) == {uid_of(1), uid_of(2)}
        connection.close()


async def test_lost_database_whose_journal_is_given_up_recovers(shop: Shop) -> None:
    """Whoever takes the journal out of the settings sells on; it is no new shop."""
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    shop.media.database.unlink()
    make_unusable(shop.folder / "usb")
    shop.journal = False
    with shop.running() as (writer, opened):
        assert (opened.start.action, opened.start.reason) == (Action.RECOVER, "database_missing")
        assert not opened.guard.may_spend


async def test_witness_that_cannot_be_written_is_believed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A medium that is read-only still knows that an old copy of the database was put back."""
    shop = Shop(folder=tmp_path, journal=False, replayed=[], clock=FakeClock())
    shop.enrol()
    shop.save("backup")
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))
    opens = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if path == shop.media.witness and flags & os.O_RDWR:
            raise OSError(errno.EROFS, "read-only")
        return opens(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    with shop.running() as (writer, opened):
        assert opened.start.action is Action.GO_ON
        assert opened.guard.statuses()[1].health.value == "warn"
    shop.put_back("backup")
    with shop.running() as (_, opened):
        assert opened.start.reason == "database_behind_witness"


async def test_journal_that_cannot_be_read_stops_spending_and_not_selling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its medium fails while it is read at the start: as while the agent runs."""
    shop = Shop(folder=tmp_path, replayed=[], clock=FakeClock())
    shop.enrol()
    with shop.running() as (writer, _):
        await record(writer, a_fact(1))

    def fail(_journal: object) -> Iterator[Entry]:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(journal_module.Journal, "entries", fail)
    with shop.running() as (writer, opened):
        assert opened.start.action is Action.GO_ON
        await record(writer, a_fact(2))
        assert not opened.guard.may_spend
    shop.media.database.unlink()
    with pytest.raises(UnavailableError):
        shop.start()

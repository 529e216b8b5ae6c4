"""Laws of the shop's records over random histories: of streams, and of media that are put back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.database.connection import open_reader, open_writer
from edge_agent.outbox.held import enter_recovery, held_after, is_held, recovery_of
from edge_agent.outbox.store import (
    acknowledge,
    append_fact,
    begin_epoch,
    carry_on,
    chain_held,
    epoch_of,
    has_fact,
    hash_at,
    head_of,
    kept_after,
    pending_records,
    prune_acked,
    start_stream,
    streams_of,
    verify_chain,
)
from edge_agent.witness.policy import Action
from edge_agent.witness.start import Media, open_media
from shared.system import SystemChance
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane, Record
from tests.support.clocks import FakeClock
from tests.support.examples import examples
from tests.support.shop_facts import a_fact, uid_of

LANES = (int(Lane.MONEY), int(Lane.RECEIPTS))


def starts(epoch: int) -> list[LaneStart]:
    return [LaneStart(lane=lane, epoch=epoch, nonce=bytes([epoch]) * 16) for lane in Lane]


@contextmanager
def a_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@dataclass(kw_only=True)
class Model:
    """What must be somewhere: every fact that was recorded and not both confirmed and pruned."""

    made: int = 0
    wanted: set[bytes] = field(default_factory=set)
    confirmed: set[bytes] = field(default_factory=set)


_STEPS = st.one_of(
    st.tuples(st.just("record"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("confirm"), st.integers(0, 7), st.integers(0, 9)),
    st.tuples(st.just("prune"), st.integers(0, 40), st.integers(1, 6)),
    st.tuples(st.just("recover"), st.just(0), st.just(0)),
    st.tuples(st.just("epoch"), st.just(0), st.just(0)),
    st.tuples(st.just("number"), st.integers(0, 1), st.integers(1, 4)),
    st.tuples(st.just("carry"), st.integers(0, 7), st.integers(1, 4)),
)


@examples(200)
@given(steps=st.lists(_STEPS, max_size=40))
def test_no_fact_is_lost_or_numbered_twice(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens to streams, each fact stands in one chain or waits, and chains are whole."""
    with a_folder() as folder:
        connection = open_writer(folder / "edge.sqlite")
        for start in starts(1):
            start_stream(connection, 7, start)
        model = Model()
        for step, where, number in steps:
            with connection:
                take(connection, model, step, where, number)
            check(connection, model)
        connection.close()


def take(connection: apsw.Connection, model: Model, step: str, where: int, number: int) -> None:
    recovering = recovery_of(connection) is not None
    streams = streams_of(connection)
    chosen = streams[where % len(streams)]
    if step == "record":
        for _ in range(number):
            model.made += 1
            append_fact(connection, LANES[where], a_fact(model.made))
            model.wanted.add(uid_of(model.made))
    elif step == "confirm":
        seq = max(chosen.pruned_seq, chosen.seq - number)
        acknowledge(connection, chosen.stream_id, seq, hash_at(connection, chosen, seq))
    elif step == "prune":
        before = {uid for uid in model.wanted if has_fact(connection, uid)}
        prune_acked(connection, where, number)
        gone = {uid for uid in before if not has_fact(connection, uid)}
        assert all(int.from_bytes(uid, "big") < where for uid in gone), "only old ones"
        model.wanted -= gone
    elif step == "recover":
        enter_recovery(connection, "test", recovery_id=bytes(16), now_ms=1)
    elif step == "epoch":
        epoch = epoch_of(connection) + 1
        assert begin_epoch(connection, 7, starts(epoch))
        assert not begin_epoch(connection, 7, starts(epoch))
        assert recovery_of(connection) is None
    elif step == "number":
        assert chain_held(connection, LANES[where], number) <= (0 if recovering else number)
    elif not chosen.current:
        before_seq = head_of(connection, chosen.lane).seq
        carry_on(connection, chosen.stream_id, number)
        assert head_of(connection, chosen.lane).seq == before_seq or not recovering


def check(connection: apsw.Connection, model: Model) -> None:
    for lane in Lane:
        verify_chain(connection, int(lane))
    chained: list[bytes] = []
    for head in streams_of(connection):
        kept = kept_after(connection, head.stream_id, head.pruned_seq, 1_000)
        for each in kept:
            record = msgspec.msgpack.decode(each.record, type=Record)
            place = (head.lane, head.epoch, each.seq, each.uid)
            assert place == (record.lane, record.epoch, record.seq, record.uid)
        chained += [each.uid for each in kept]
        pending = pending_records(connection, head, 1_000)
        assert pending == [each.record for each in kept if each.seq > head.acked_seq]
    waiting = [each.uid for each in held_after(connection, 0, 1_000)]
    assert len(chained) == len(set(chained))
    assert set(chained) | set(waiting) == model.wanted
    assert not set(chained) & set(waiting)


@examples(60)
@given(
    before=st.lists(st.integers(1, 4), max_size=4),
    after=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    database=st.sampled_from(["kept", "old", "lost"]),
    witness=st.sampled_from(["kept", "old", "lost"]),
    cut=st.none() | st.integers(1, 600),
)
def test_what_was_put_back_is_whole_or_recovers(
    before: list[int], after: list[int], database: str, witness: str, cut: int | None
) -> None:
    """With one medium that remembers, nothing is numbered until everything is there again."""
    with a_folder() as folder:
        made = 0

        def trade(groups: list[int]) -> None:
            nonlocal made
            opened = open_media(media, {}, clock=FakeClock(), chance=SystemChance())
            connection = open_writer(media.database)
            for size in groups:
                with connection:
                    opened.guard.before_commit(connection)
                    for _ in range(size):
                        made += 1
                        append_fact(connection, LANES[made % 2], a_fact(made))
                opened.guard.after_commit(connection)
            connection.close()
            opened.guard.close()

        media = Media(
            database=folder / "edge.sqlite",
            witness=folder / "usb" / "witness",
            journal=folder / "usb" / "journal",
            edge_id=7,
        )
        connection = open_writer(media.database)
        for start in starts(1):
            start_stream(connection, 7, start)
        connection.close()
        trade(before)
        shutil.copytree(folder, folder / "old")
        trade(after)
        for name, fate in (("edge.sqlite", database), ("usb/witness", witness)):
            if fate != "kept":
                for path in folder.glob(f"{name}*"):
                    path.unlink()
            if fate == "old":
                for path in (folder / "old").glob(f"{name}*"):
                    shutil.copy(path, folder / Path(name).parent)
        if cut is not None:
            last = max((folder / "usb" / "journal").iterdir())
            data = last.read_bytes()
            last.write_bytes(data[: max(len(data) - cut, 0)])

        opened = open_media(media, {}, clock=FakeClock(), chance=SystemChance())
        reader = open_reader(media.database)
        known = {uid_of(n) for n in range(1, made + 1) if has_fact(reader, uid_of(n))}
        known |= {uid_of(n) for n in range(1, made + 1) if is_held(reader, uid_of(n))}
        for lane in Lane:
            verify_chain(reader, int(lane))
        reader.close()
        opened.guard.close()

        everything = {uid_of(n) for n in range(1, made + 1)}
        if cut is None or database == "kept":
            assert known == everything
        if opened.start.action is Action.GO_ON and (witness == "kept" or cut is None):
            assert known == everything
        if database == "lost":
            assert opened.start.action is Action.RECOVER

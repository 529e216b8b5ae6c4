"""The writer and the outbox on real SQLite files."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from edge_agent.database.connection import open_reader, open_writer
from edge_agent.database.migrate import APPLICATION_ID, pragma_int
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import (
    Fact,
    acknowledge,
    append_fact,
    hash_at,
    head_of,
    oldest_pending_at_ms,
    pending_records,
    start_stream,
    verify_chain,
)
from shared.errors import ConflictError, CorruptionError
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane

LANE = int(Lane.RECEIPTS)
START = LaneStart(lane=Lane.RECEIPTS, epoch=1, nonce=b"n" * 16)
KILLS = 25
CHILD = """
import asyncio, os, sys
from pathlib import Path
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import Fact, append_fact

async def client(writer):
    while True:
        uid = os.urandom(16)
        fact = Fact(uid=uid, kind="test", body=uid, recorded_at_ms=1)
        await writer.run(lambda connection: append_fact(connection, 1, fact))
        os.write(1, uid)

async def main():
    writer = Writer(Path(sys.argv[1]))
    await asyncio.gather(*(client(writer) for _ in range(4)))

asyncio.run(main())
"""


def fact(number: int) -> Fact:
    return Fact(uid=number.to_bytes(16, "big"), kind="test", body=b"", recorded_at_ms=number)


def prepared(path: Path) -> Path:
    connection = open_writer(path)
    start_stream(connection, 7, START)
    connection.close()
    return path


async def test_concurrent_facts_form_one_whole_chain(tmp_path: Path) -> None:
    """Many callers at once leave one chain without gaps."""
    path = prepared(tmp_path / "edge.sqlite")
    writer = Writer(path)
    await asyncio.gather(
        *(writer.run(lambda c, n=n: append_fact(c, LANE, fact(n))) for n in range(200))
    )
    writer.close()

    reader = open_reader(path)
    assert verify_chain(reader, LANE) == 200
    reader.close()


async def test_failing_job_is_undone_alone(tmp_path: Path) -> None:
    """A job that raises leaves nothing, and its neighbours stay."""
    path = prepared(tmp_path / "edge.sqlite")
    writer = Writer(path)

    def fail(connection: apsw.Connection) -> None:
        append_fact(connection, LANE, fact(99))
        raise ConflictError("no")

    results = await asyncio.gather(
        writer.run(lambda c: append_fact(c, LANE, fact(1))),
        writer.run(fail),
        writer.run(lambda c: append_fact(c, LANE, fact(2))),
        return_exceptions=True,
    )
    count = await writer.run(lambda c: verify_chain(c, LANE))
    writer.close()

    assert isinstance(results[1], ConflictError)
    assert count == 2


def test_acknowledgement_must_match_our_hash(tmp_path: Path) -> None:
    """Central moves the acknowledged mark only by showing our own hash."""
    connection = open_writer(prepared(tmp_path / "edge.sqlite"))
    for number in range(1, 4):
        append_fact(connection, LANE, fact(number))
    head = head_of(connection, LANE)

    with pytest.raises(CorruptionError):
        acknowledge(connection, head.stream_id, 2, b"x" * 32)
    with pytest.raises(CorruptionError):
        acknowledge(connection, head.stream_id, 4, head.hash)
    acknowledge(connection, head.stream_id, 2, hash_at(connection, head, 2))

    assert len(pending_records(connection, head_of(connection, LANE), 10)) == 1
    assert oldest_pending_at_ms(connection, head_of(connection, LANE)) == 3
    connection.close()


def test_restored_central_is_sent_everything_again(tmp_path: Path) -> None:
    """A lower confirmed mark makes the records pending again."""
    connection = open_writer(prepared(tmp_path / "edge.sqlite"))
    append_fact(connection, LANE, fact(1))
    head = head_of(connection, LANE)
    acknowledge(connection, head.stream_id, 1, head.hash)
    acknowledge(connection, head.stream_id, 0, head.genesis)

    assert len(pending_records(connection, head_of(connection, LANE), 10)) == 1
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE outbox SET record = x'00' WHERE seq = 2",
        "DELETE FROM outbox WHERE seq = 2",
        "DELETE FROM outbox WHERE seq = 3",
    ],
)
def test_changed_or_missing_record_is_found(tmp_path: Path, damage: str) -> None:
    """The chain does not verify when a record was touched."""
    connection = open_writer(prepared(tmp_path / "edge.sqlite"))
    for number in range(1, 4):
        append_fact(connection, LANE, fact(number))
    connection.execute(damage)

    with pytest.raises(CorruptionError):
        verify_chain(connection, LANE)
    connection.close()


def test_unenrolled_agent_records_nothing(tmp_path: Path) -> None:
    """Without an epoch from central there is no stream to write to."""
    connection = open_writer(tmp_path / "edge.sqlite")

    with pytest.raises(ConflictError):
        append_fact(connection, LANE, fact(1))
    connection.close()


def test_file_is_ours_durable_and_readers_cannot_write(tmp_path: Path) -> None:
    """The file carries our application id; a reader is refused a write."""
    path = prepared(tmp_path / "edge.sqlite")
    reader = open_reader(path)

    assert pragma_int(reader, "application_id") == APPLICATION_ID
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM stream")
    reader.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 50])
def test_foreign_file_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    """What is not our database is left as it was."""
    path = tmp_path / "edge.sqlite"
    path.write_bytes(content)

    with pytest.raises(CorruptionError):
        open_writer(path)
    assert path.read_bytes() == content


@pytest.mark.processes
def test_killed_writer_keeps_every_answered_fact(tmp_path: Path) -> None:
    """After each SIGKILL every fact that was answered is in a whole chain, once."""
    path = prepared(tmp_path / "edge.sqlite")
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    answered: list[bytes] = []
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        first = child.stdout.read(16)
        try:
            child.wait(chance.uniform(0, 0.06))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        text = first + child.stdout.read()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        answered += [text[at : at + 16] for at in range(0, len(text), 16)]

    connection = open_writer(path)
    stored = [uid for (uid,) in connection.execute("SELECT uid FROM outbox")]
    chained = verify_chain(connection, LANE)
    connection.close()

    assert len(answered) >= KILLS
    assert set(answered) <= set(stored)
    assert len(stored) == len(set(stored)) == chained

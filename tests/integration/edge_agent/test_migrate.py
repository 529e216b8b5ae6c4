"""Databases of older releases become databases of this one, whole or not at all."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path

import apsw
import pytest

from edge_agent.checkout.store import recorded_sale
from edge_agent.database.connection import is_sound, open_writer
from edge_agent.database.migrate import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    copies_of,
    forget_copies,
    is_of_this_release,
    migration_names,
    pragma_int,
)
from edge_agent.outbox.store import append_fact, head_of, verify_chain
from edge_agent.witness.policy import Action
from edge_agent.witness.start import Media, open_media
from shared.crypto.chain import chain_genesis, chain_next
from shared.errors import CorruptionError
from shared.system import SystemChance
from shared.wire.stream import Lane, Record
from tests.support.clocks import FakeClock
from tests.support.shop_facts import a_fact, a_sale, encode

MIGRATIONS = resources.files("edge_agent.database").joinpath("migrations")
CHILD = """
import sys
from pathlib import Path
from edge_agent.database.connection import open_writer
print("go", flush=True)
open_writer(Path(sys.argv[1])).close()
print("done", flush=True)
"""


def structure(connection: apsw.Connection) -> list[tuple[str, str]]:
    """Tables and indexes as they were declared; blanks, comments and quotes do not count."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
    )
    return [
        (name, re.sub(r"\s+", "", re.sub(r"--[^\n]*", "", sql)).replace('"', ""))
        for name, sql in rows
    ]


def first_release(path: Path, sales: int) -> None:
    """A database as the first release left it: sales on lane 1, two of three confirmed."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute(MIGRATIONS.joinpath("0001_initial.sql").read_text("utf-8"))
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    head = genesis = chain_genesis(7, Lane.RECEIPTS, 1, b"n" * 16)
    other = chain_genesis(7, Lane.MONEY, 1, b"n" * 16)
    with connection:
        connection.execute(
            "INSERT INTO stream VALUES (1, 1, 0, ?, ?, 0), (0, 1, 0, ?, ?, 0)",
            (genesis, genesis, other, other),
        )
        for seq in range(1, sales + 1):
            uid = seq.to_bytes(16, "big")
            body = encode(a_sale(f"r{seq}"))
            record = encode(
                Record(
                    uid=uid,
                    lane=1,
                    epoch=1,
                    seq=seq,
                    recorded_at_ms=seq,
                    kind="receipt.committed",
                    schema_version=1,
                    body=body,
                )
            )
            head = chain_next(head, record)
            connection.execute(
                "INSERT INTO outbox VALUES (1, 1, ?, ?, ?, ?, ?)", (seq, uid, seq, record, head)
            )
            connection.execute(
                "INSERT INTO receipt VALUES (?, 'committed', ?, ?, ?, ?)",
                (f"r{seq}", bytes(32), uid, body, seq),
            )
            connection.execute("INSERT INTO lease_use VALUES ('L1', ?, 5)", (f"r{seq}",))
        connection.execute(
            "UPDATE stream SET seq = ?, hash = ?, acked_seq = ? WHERE lane = 1",
            (sales, head, sales * 2 // 3),
        )
        connection.execute("INSERT INTO receipt VALUES ('x', 'cancelled', NULL, NULL, NULL, 1)")
        connection.execute("INSERT INTO product VALUES ('tea', x'00')")
    connection.close()


def test_new_database_equals_a_migrated_one(tmp_path: Path) -> None:
    """``schema.sql`` says the same as all steps one after the other."""
    fresh = open_writer(tmp_path / "fresh.sqlite")
    stepped = apsw.Connection(":memory:")
    for name in migration_names():
        stepped.execute(MIGRATIONS.joinpath(name).read_text("utf-8"))

    assert structure(fresh) == structure(stepped)
    assert is_of_this_release(stepped)
    stepped.execute("ALTER TABLE held RENAME COLUMN kind TO kynd")
    assert not is_of_this_release(stepped)
    fresh.close()


def test_first_release_migrates_with_everything(tmp_path: Path) -> None:
    """Chain, sales, cancelled receipts and confirmations are as before; selling goes on."""
    path = tmp_path / "edge.sqlite"
    first_release(path, 30)
    connection = open_writer(path)

    assert pragma_int(connection, "user_version") == SCHEMA_VERSION
    assert verify_chain(connection, 1) == 30
    head = head_of(connection, 1)
    assert (head.seq, head.acked_seq, head.epoch) == (30, 20, 1)
    sale = recorded_sale(connection, "r30")
    assert sale is not None
    assert sale.record_uid == (30).to_bytes(16, "big")
    assert connection.execute("SELECT count(*) FROM receipt").get == 31
    spent = connection.execute(
        "SELECT count(*), sum(p.amount) FROM hold h JOIN hold_part p USING (uid)"
        " WHERE h.state = 'captured' AND p.lease_id = 'L1'"
    ).fetchone()
    assert spent == (30, 150)
    assert connection.execute("SELECT spend_count, spent_amount FROM right_use").get == (30, 150)
    assert is_sound(connection)
    assert connection.execute("SELECT DISTINCT length(local) FROM outbox").get == 32
    append_fact(connection, 1, a_fact(99))
    assert verify_chain(connection, 1) == 31
    connection.close()


def test_copy_of_the_old_file_stays_until_it_is_not_needed(tmp_path: Path) -> None:
    """The older release could go on from it."""
    path = tmp_path / "edge.sqlite"
    first_release(path, 3)
    open_writer(path).close()

    (copy,) = copies_of(path)
    old = apsw.Connection(str(copy))
    assert pragma_int(old, "user_version") == 1
    assert old.execute("SELECT count(*) FROM outbox").get == 3
    old.close()
    forget_copies(path)
    assert copies_of(path) == []


def test_newer_release_is_left_alone(tmp_path: Path) -> None:
    """What a newer release made is neither read nor changed."""
    path = tmp_path / "edge.sqlite"
    connection = open_writer(path)
    connection.pragma("user_version", SCHEMA_VERSION + 1)
    connection.close()

    with pytest.raises(CorruptionError) as refused:
        open_writer(path)
    assert refused.value.stable_code == "foreign_database"


@pytest.mark.processes
def test_killed_migration_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Wherever SIGKILL meets it, the next start finds every record in a whole chain."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    first_release(tmp_path / "old.sqlite", 3_000)
    content = (tmp_path / "old.sqlite").read_bytes()
    versions: set[int] = set()
    for attempt in range(12):
        path = tmp_path / f"edge{attempt}.sqlite"
        path.write_bytes(content)
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        try:
            child.wait(chance.uniform(0, 0.08))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        left = apsw.Connection(str(path))
        versions.add(pragma_int(left, "user_version"))
        left.close()
        connection = open_writer(path)
        assert is_sound(connection)
        assert verify_chain(connection, 1) == 3_000
        connection.close()
    print(f"versions met: {versions}")
    assert versions <= {1, SCHEMA_VERSION}


def test_older_release_on_its_copy_uses_no_number_twice(tmp_path: Path) -> None:
    """Fault 18: after a downgrade and a new upgrade the witness is ahead, so the shop recovers."""
    path = tmp_path / "edge.sqlite"
    media = Media(database=path, witness=tmp_path / "witness", journal=None, edge_id=7)
    first_release(path, 3)
    opened = open_media(media, {}, clock=FakeClock(), chance=SystemChance())
    assert opened.start.action is Action.GO_ON
    connection = open_writer(path)
    with connection:
        append_fact(connection, 1, a_fact(99))
    opened.guard.after_commit(connection)
    connection.close()
    opened.guard.close()
    (copy,) = copies_of(path)
    for part in ("", "-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    copy.rename(path)

    opened = open_media(media, {}, clock=FakeClock(), chance=SystemChance())
    opened.guard.close()
    assert opened.start.reason == "database_behind_witness"
    assert not opened.guard.may_spend

"""The operator's check of a shop's records, and the copy that is made while the agent works."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from edge_agent.__main__ import main
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_writer
from edge_agent.database.writer import Writer
from edge_agent.outbox.held import held_counts, recovery_of
from edge_agent.outbox.store import Fact, append_fact
from edge_agent.witness.start import Media, open_media
from shared.system import SystemChance, SystemClock
from shared.wire.stream import Lane
from tests.support.shop import make_shop
from tests.support.shop_facts import a_fact

Cli = Callable[..., tuple[int, str, str]]
RECEIPTS = int(Lane.RECEIPTS)
A_SALE_OF_NOBODY = """
INSERT INTO receipt VALUES ('r', 'committed', zeroblob(32), zeroblob(16), x'00', 1 << 60)
"""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command; its exit code and what it printed."""

    def run(command: str, folder: Path, *more: str) -> tuple[int, str, str]:
        code = main([command, "--folder", str(folder), *more])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop with a second journal and three records."""
    folder = tmp_path / "shop"
    make_shop(folder, bundle=None, journal_folder="journal")
    with running(folder) as writer:
        for number in (1, 2, 3):
            append(writer, a_fact(number))
    return folder


@contextmanager
def running(folder: Path) -> Iterator[Writer]:
    """The agent's records, open as it has them."""
    config = Config.load(folder)
    assert config.journal_folder is not None
    media = Media(
        database=folder / DATABASE_FILE,
        witness=folder / config.witness_file,
        journal=folder / config.journal_folder,
        edge_id=7,
    )
    opened = open_media(media, {}, clock=SystemClock(), chance=SystemChance())
    writer = Writer(folder / DATABASE_FILE, opened.guard)
    try:
        yield writer
    finally:
        writer.close()
        opened.guard.close()


def append(writer: Writer, fact: Fact) -> None:
    asyncio.run(writer.run(lambda connection: append_fact(connection, RECEIPTS, fact)))


def change(folder: Path, *statements: str) -> None:
    """What a faulty disk or a stranger might do."""
    connection = apsw.Connection(str(folder / DATABASE_FILE))
    connection.pragma("foreign_keys", 0)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_verify_of_whole_records_counts_them(shop: Path, cli: Cli) -> None:
    """Also while the agent works."""
    with running(shop) as writer:
        append(writer, a_fact(4))
        code, out, _ = cli("verify", shop)
    assert code == 0
    assert "lane receipts: chain whole, 4 records" in out
    assert "witness: agrees on 4 chains" in out
    assert "journal: agrees on 4 chains" in out


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["UPDATE outbox SET record = x'00' WHERE seq = 2"], "breaks at record 2"),
        (["DELETE FROM outbox WHERE seq = 3"], "is not its last record"),
        (
            [A_SALE_OF_NOBODY],
            "1 sales have no record",
        ),
        (["INSERT INTO card VALUES (x'00', 'nobody')"], "points nowhere"),
        (["UPDATE right_use SET spent_amount = spent_amount + 1"], "a sum"),
        (["DROP INDEX hold_by_owner"], "not those of this release"),
    ],
)
def test_verify_names_what_does_not_agree(
    shop: Path, cli: Cli, statements: list[str], said: str
) -> None:
    """Exit code 1 and the place: chains, sales without records, references, sums."""
    if any("right_use" in each for each in statements):
        change(shop, "INSERT INTO right_use (is_part, right_id) VALUES (0, 'L1')")
    change(shop, *statements)
    code, _, err = cli("verify", shop)
    assert code == 1
    assert said in err


def test_verify_finds_an_index_that_left_its_table(shop: Path, cli: Cli) -> None:
    """What ``quick_check`` passes over: a row that its index does not have."""
    connection = open_writer(shop / DATABASE_FILE)
    connection.execute("PRAGMA writable_schema = on")
    connection.execute("DELETE FROM sqlite_schema WHERE name = 'card_by_customer'")
    connection.close()
    code, _, err = cli("verify", shop)
    assert code == 1
    assert "damaged" in err


def test_verify_hears_the_other_media(shop: Path, cli: Cli) -> None:
    """A database put back from a copy is behind its witness and its journal."""
    assert cli("backup", shop, str(shop / "old"))[0] == 0
    with running(shop) as writer:
        append(writer, a_fact(4))
    put_back(shop, shop / "old")
    code, _, err = cli("verify", shop)
    assert code == 1
    assert "the witness knows of more records" in err
    (shop / "witness").unlink()
    code, _, err = cli("verify", shop)
    assert code == 1
    assert "the journal knows of more records" in err


def test_backup_is_a_whole_database_of_one_moment(shop: Path, cli: Cli) -> None:
    """Made while the agent writes; proven; nobody else may read it; put back, the agent recovers.

    The journal gives back the records that the copy lacks; what is sold now waits for a number.
    """
    target = shop.parent / "copy.sqlite"
    with running(shop) as writer:
        append(writer, a_fact(4))
        code, out, _ = cli("backup", shop, str(target))
        append(writer, a_fact(5))
    assert code == 0
    assert "proven" in out
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    code, _, err = cli("backup", shop, str(target))
    assert code == 1
    assert "there already" in err
    put_back(shop, target)
    with running(shop) as writer:
        recovery = asyncio.run(writer.run(recovery_of))
        assert recovery is not None
        assert recovery.reason == "database_behind_journal"
        append(writer, a_fact(6))
        held = asyncio.run(writer.run(held_counts))
        assert sum(count for count, _ in held.values()) == 1
    code, out, _ = cli("verify", shop)
    assert code == 0
    assert "5 records" in out, "the journal gave back what the copy lacks"


def test_backup_of_a_damaged_database_is_none(shop: Path, cli: Cli) -> None:
    """A copy that cannot be proven is not left behind."""
    change(shop, "UPDATE outbox SET record = x'00' WHERE seq = 2")
    target = shop.parent / "copy.sqlite"
    code, _, err = cli("backup", shop, str(target))
    assert code == 1
    assert "breaks at record 2" in err
    assert [path.name for path in shop.parent.iterdir()] == ["shop"]


def put_back(folder: Path, copy: Path) -> None:
    for part in ("", "-wal", "-shm"):
        (folder / f"{DATABASE_FILE}{part}").unlink(missing_ok=True)
    (folder / DATABASE_FILE).write_bytes(copy.read_bytes())


def test_verify_of_a_wrong_folder_says_so(tmp_path: Path, cli: Cli) -> None:
    """A folder without a database is told, and nothing is made in it."""
    code, _, err = cli("verify", tmp_path)
    assert code == 1
    assert "no edge.sqlite" in err
    assert list(tmp_path.iterdir()) == []

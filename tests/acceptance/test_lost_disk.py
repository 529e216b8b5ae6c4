"""The agent as a process: its database lost or put back from a copy, told to stop, started twice.

With the second journal on, what was answered before the disk was lost is answered the same after.
``KOPILKA_SEED`` repeats a run; the seed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from edge_agent.config import CONFIG_FILE, DATABASE_FILE, Config
from edge_agent.database.connection import open_reader
from edge_agent.outbox.held import held_counts, recovery_of
from edge_agent.outbox.store import verify_chain
from shared.wire.stream import Lane
from tests.acceptance.test_kill_agent import Book, check_answered, commit, sell_until_dead
from tests.support.agent_process import START_TIMEOUT_S, an_agent
from tests.support.shop import HEADERS, a_bundle, make_shop

TIMEOUT = aiohttp.ClientTimeout(total=START_TIMEOUT_S)
KILLS = 6
STOP_S_MAX = 10.0


def a_shop(folder: Path, *, journal: bool) -> random.Random:
    """A shop whose second journal is elsewhere; the dice of the run."""
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    make_shop(folder, bundle=a_bundle(1))
    if journal:
        config = msgspec.structs.replace(Config.load(folder), journal_folder="../usb")
        (folder / CONFIG_FILE).write_text(config.to_toml(), "utf-8")
    return random.Random(seed)


async def trade(folder: Path, book: Book, end: int, after_s: float) -> int:
    """Three tills sell until the agent gets a signal; its exit code."""
    async with (
        an_agent(folder) as (process, url),
        aiohttp.ClientSession(headers=HEADERS, timeout=TIMEOUT) as http,
    ):
        for receipt_id in list(book.open):
            assert await commit(http, url, book, receipt_id)
        async with asyncio.TaskGroup() as group:
            for _till in range(3):
                group.create_task(sell_until_dead(http, url, book))
            await asyncio.sleep(after_s)
            process.send_signal(end)
        return await process.wait()


async def repeat_all(folder: Path, book: Book) -> dict[str, int]:
    """Every answered sale is known and a repeat gets its answer; how many rights were used."""
    async with (
        an_agent(folder) as (_, url),
        aiohttp.ClientSession(headers=HEADERS, timeout=TIMEOUT) as http,
    ):
        await check_answered(http, url, book, list(book.answered))
        first = dict(book.answered)
        for receipt_id in first:
            assert await commit(http, url, book, receipt_id)
        assert first == {key: book.answered[key] for key in first}
        receipt_id, _ = book.next_sale()
        assert await commit(http, url, book, receipt_id)
    reader = open_reader(folder / DATABASE_FILE)
    try:
        used = reader.execute(
            "SELECT lease_id, sum(amount) FROM hold_part JOIN hold USING (uid)"
            " WHERE state = 'captured' AND lease_id IS NOT NULL GROUP BY lease_id"
        )
        return dict(list(used))
    finally:
        reader.close()


@pytest.mark.processes
@pytest.mark.parametrize("loss", ["lost", "old_copy", "damaged"])
async def test_answered_sales_outlive_the_disk(tmp_path: Path, loss: str) -> None:
    """Faults 11 and 12 with a second journal: every answer stands, and so does what was spent."""
    folder = tmp_path / "shop"
    chance = a_shop(folder, journal=True)
    book = Book()
    for number in range(KILLS):
        await trade(folder, book, signal.SIGKILL, chance.uniform(0.05, 0.3))
        if number == 1:
            shutil.copytree(folder, tmp_path / "copy")
    before = await repeat_all(folder, book)
    database = folder / DATABASE_FILE
    if loss == "damaged":
        data = bytearray(database.read_bytes())
        for _ in range(200):
            data[chance.randrange(4096, len(data))] ^= 1 << chance.randrange(8)
        database.write_bytes(data)
    else:
        for path in folder.glob(f"{DATABASE_FILE}*"):
            path.unlink()
    if loss == "old_copy":
        for path in (tmp_path / "copy").glob(f"{DATABASE_FILE}*"):
            shutil.copy(path, folder)

    after = await repeat_all(folder, book)
    reader = open_reader(database)
    recovery = recovery_of(reader)
    chained = verify_chain(reader, int(Lane.RECEIPTS))
    held = sum(count for count, _ in held_counts(reader).values())
    reader.close()
    assert chained + held >= len(book.answered)
    assert after["L1"] >= before["L1"] > 0
    assert recovery is not None, "what was only promised is in no journal"
    print(f"{len(book.answered)} sales, {before['L1']} of the lease, {held} without a number")


@pytest.mark.processes
async def test_old_copy_without_a_journal_sells_on_and_numbers_nothing(tmp_path: Path) -> None:
    """Fault 12: no number is used twice, and nothing is spent."""
    folder = tmp_path / "shop"
    chance = a_shop(folder, journal=False)
    book = Book()
    await trade(folder, book, signal.SIGKILL, chance.uniform(0.1, 0.3))
    shutil.copytree(folder, tmp_path / "copy")
    later = Book(numbers=book.numbers)
    await trade(folder, later, signal.SIGKILL, 0.3)
    assert later.answered
    for path in folder.glob(f"{DATABASE_FILE}*"):
        path.unlink()
    for path in (tmp_path / "copy").glob(f"{DATABASE_FILE}*"):
        shutil.copy(path, folder)

    fresh = Book(numbers=book.numbers)
    await trade(folder, fresh, signal.SIGKILL, 0.3)
    reader = open_reader(folder / DATABASE_FILE)
    recovery = recovery_of(reader)
    held = held_counts(reader)[int(Lane.RECEIPTS)][0]
    reader.close()
    assert recovery is not None
    assert recovery.reason == "database_behind_witness"
    assert held >= len(fresh.answered) > 0
    for reply in fresh.answered.values():
        assert {each["points"] for each in reply["answer"].get("spent", [])} <= {"0.00"}


@pytest.mark.processes
async def test_stop_in_mid_sale_is_clean(tmp_path: Path) -> None:
    """Fault 17: SIGTERM at any moment; the agent ends by itself, and answers stand."""
    folder = tmp_path / "shop"
    chance = a_shop(folder, journal=True)
    book = Book()
    for _ in range(4):
        started = time.monotonic()
        after_s = chance.uniform(0.05, 0.3)
        assert await trade(folder, book, signal.SIGTERM, after_s) == 0
        assert time.monotonic() - started < START_TIMEOUT_S + STOP_S_MAX
    await repeat_all(folder, book)


@pytest.mark.processes
async def test_second_agent_in_the_folder_refuses_to_start(tmp_path: Path) -> None:
    """Fault 16: also when the lock's file was left by one that is dead."""
    folder = tmp_path / "shop"
    a_shop(folder, journal=False)
    (folder / "lock").write_text("stale")
    async with an_agent(folder):
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "run", "--folder", str(folder)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await second.communicate()
        assert second.returncode == 1
        assert b"another agent runs" in errors

"""The real agent on a disk that fails under it: killed at its n-th call, EIO, full, read-only.

What tills were answered is there after the next start, whatever happened. ``KOPILKA_SEED`` repeats
a run; the seed is printed. ``KOPILKA_EXAMPLES`` asks for more faults.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import apsw
import pytest

from edge_agent.config import DATABASE_FILE
from edge_agent.database.disk import RESERVE_FILE
from edge_agent.serving import ADDRESS_FILE
from edge_agent.witness.start import ASIDE_FOLDER
from tests.acceptance.test_kill_agent import Book, check_answered, check_database, commit
from tests.support.agent_process import START_TIMEOUT_S, an_agent
from tests.support.faulty_calls import DISK_CALLS, faulty
from tests.support.shop import HEADERS, a_bundle, make_shop, till_receipt

MORE: Final = "KOPILKA_EXAMPLES" in os.environ
KILLS: Final = 60 if MORE else 7
FAILURES: Final = 20 if MORE else 3
TILLS: Final = 3
SALES_MAX: Final = 300
CALLS_MAX: Final = 90
"""Of the thread that writes, until the fault comes: some eight commits, and a fold of the log."""
FOLDER_FLUSH: Final = ("fdatasync", 2)
"""Of the new log's name in its folder: SQLite looks at no error of that."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=START_TIMEOUT_S)


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_shop(tmp_path / "shop", bundle=a_bundle(1))
    return tmp_path / "shop"


@asynccontextmanager
async def a_till() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=HEADERS, timeout=TIMEOUT) as http:
        yield http


async def sell_until_refused(http: aiohttp.ClientSession, url: str, book: Book) -> dict[str, Any]:
    """Sale after sale; the problem that ended it, empty when the agent died."""
    for _ in range(SALES_MAX):
        receipt_id, body = book.next_sale()
        try:
            async with http.post(f"{url}/v1/receipts/{receipt_id}/commit", json=body) as response:
                reply: dict[str, Any] = await response.json()
        except aiohttp.ClientError:
            return {}
        if response.status != 200:
            return reply
        book.answered[receipt_id] = reply
        book.open.pop(receipt_id)
    pytest.fail("the fault never came")


async def sell_in_a_rush(http: aiohttp.ClientSession, url: str, book: Book) -> list[dict[str, Any]]:
    """Three tills until each was refused; by what."""
    return await asyncio.gather(*(sell_until_refused(http, url, book) for _ in range(TILLS)))


async def check_all(folder: Path, book: Book) -> None:
    """Start whole: every answer stands, open sales are made now, the books agree."""
    async with an_agent(folder) as (_, url), a_till() as http:
        await check_answered(http, url, book, list(book.answered))
        for receipt_id in list(book.open):
            assert await commit(http, url, book, receipt_id)
    check_database(folder, book)


@pytest.mark.processes
async def test_killed_at_a_call_it_loses_nothing(folder: Path, chance: random.Random) -> None:
    """Fault 2 (and 20): the kill comes before the n-th write, flush, cut, name."""
    book = Book()
    for _ in range(KILLS):
        calls = chance.choice([DISK_CALLS, "fdatasync", "pwrite64"])
        at = chance.randint(1, CALLS_MAX if calls == DISK_CALLS else CALLS_MAX // 3)
        async with an_agent(folder) as (process, url), a_till() as http:
            await check_answered(http, url, book, list(book.answered)[-20:])
            async with faulty(process, calls, f"signal=KILL:when={at}"):
                assert await sell_in_a_rush(http, url, book) == [{}] * TILLS
                assert await process.wait() == -signal.SIGKILL
    await check_all(folder, book)


@pytest.mark.processes
async def test_failed_call_ends_the_agent(folder: Path, chance: random.Random) -> None:
    """Fault 6: the sale is not answered, the process ends by itself, the next start has all."""
    book = Book()
    for _ in range(FAILURES):
        calls = chance.choice(["fdatasync", "pwrite64"])
        at = chance.randint(1, 12)
        if (calls, at) == FOLDER_FLUSH:
            continue
        async with (
            an_agent(folder) as (process, url),
            a_till() as http,
            faulty(process, calls, f"error=EIO:when={at}"),
        ):
            refusals = await sell_in_a_rush(http, url, book)
            assert {each.get("code", "disk_failed") for each in refusals} == {"disk_failed"}
            assert any(refusals)
            async with asyncio.timeout(START_TIMEOUT_S):
                assert await process.wait() == 1
        assert "the disk failed" in (folder / "agent.err").read_text("utf-8")
    await check_all(folder, book)


@pytest.mark.processes
async def test_read_only_disk_is_priced_on(folder: Path) -> None:
    """Fault 9: nothing is recorded, which is said everywhere; prices are calculated."""
    book = Book()
    async with an_agent(folder) as (process, url), a_till() as http:
        receipt_id, _ = book.next_sale()
        assert await commit(http, url, book, receipt_id)
        async with faulty(process, DISK_CALLS, "error=EROFS"):
            refusals = await sell_in_a_rush(http, url, book)
            assert {each["code"] for each in refusals} == {"disk_read_only"}
            assert {each["status"] for each in refusals} == {503}
            body = till_receipt("priced")
            async with http.post(f"{url}/v1/receipts/calculate", json=body) as response:
                assert response.status == 200
            assert (await disk_status(http, url))["health"] == "error"
            await check_answered(http, url, book, [receipt_id])
    await check_all(folder, book)


@pytest.mark.processes
def test_full_disk_sells_from_the_reserve(tmp_path: Path) -> None:
    """Fault 7: not one sale is refused when the disk fills up; the status says what is done."""
    on_a_small_disk(tmp_path, "test_full_disk_sells_from_the_reserve", sells_from_the_reserve)


@pytest.mark.processes
def test_agent_starts_on_a_full_disk_and_sells(tmp_path: Path) -> None:
    """Fault 7: killed or told to stop while the disk is full, it starts in the reserve's room."""
    on_a_small_disk(tmp_path, "test_agent_starts_on_a_full_disk_and_sells", starts_and_sells)


def on_a_small_disk(
    tmp_path: Path, test: str, does: Callable[[Path], Coroutine[Any, Any, None]]
) -> None:
    """Do something on a disk of fifty megabytes.

    Whoever may not mount one becomes somebody who may, and runs the test named so there.
    """
    if os.geteuid() != 0:
        alone = ("unshare", "--user", "--map-root-user", "--mount")
        again = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
        subprocess.run([*alone, *again, f"{__file__}::{test}"], check=True)
        return
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "kopilka", place], check=True)
    try:
        asyncio.run(does(place))
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


async def starts_and_sells(small_disk: Path) -> None:
    """Agents that end, killed and told to, and start on a disk that has filled up meanwhile."""
    folder, said, book = small_disk / "shop", small_disk.with_name("said"), Book()
    make_shop(folder, bundle=a_bundle(1))
    for number in (signal.SIGKILL, signal.SIGTERM):
        async with an_agent(folder, said=said) as (process, url), a_till() as http:
            assert (await disk_status(http, url))["health"] == "ok"
            receipt_id, _ = book.next_sale()
            assert await commit(http, url, book, receipt_id)
            process.send_signal(number)
            await process.wait()
        assert (folder / RESERVE_FILE).stat().st_size > 0
        fill(small_disk / "filler")
        async with an_agent(folder, said=said) as (process, url), a_till() as http:
            await check_answered(http, url, book, list(book.answered))
            body = till_receipt("priced")
            async with http.post(f"{url}/v1/receipts/calculate", json=body) as response:
                assert response.status == 200
            for _ in range(20):
                receipt_id, _ = book.next_sale()
                assert await commit(http, url, book, receipt_id)
            assert (await disk_status(http, url))["health"] == "error"
            process.kill()
        (small_disk / "filler").unlink()
    await check_all(folder, book)


@pytest.mark.processes
async def test_agent_whose_address_cannot_be_written_sells(folder: Path) -> None:
    """Where it answers is for commands beside it; tills have its address from elsewhere."""
    (folder / f"{ADDRESS_FILE}.new").mkdir()
    book = Book()
    async with an_agent(folder) as (_, url), a_till() as http:
        receipt_id, _ = book.next_sale()
        assert await commit(http, url, book, receipt_id)
    assert "address.not_written" in (folder / "agent.err").read_text("utf-8")


async def sells_from_the_reserve(small_disk: Path) -> None:
    """An agent on a disk that fills up."""
    folder = small_disk / "shop"
    make_shop(folder, bundle=a_bundle(1))
    book = Book()
    async with an_agent(folder) as (_, url), a_till() as http:
        assert (await disk_status(http, url))["health"] == "ok"
        assert (folder / RESERVE_FILE).stat().st_size > 0
        fill(small_disk / "filler")
        for _ in range(150):
            receipt_id, _ = book.next_sale()
            assert await commit(http, url, book, receipt_id)
        assert (folder / RESERVE_FILE).stat().st_size == 0
        told = await disk_status(http, url)
        assert told["health"] == "error"
        assert "reserve" in told["message"]
        fill(small_disk / "more")
        refusals = await sell_in_a_rush(http, url, book)
        assert {each["code"] for each in refusals} == {"disk_full"}
        (small_disk / "filler").unlink()
        for receipt_id in list(book.open):
            assert await commit(http, url, book, receipt_id)
    (small_disk / "more").unlink()
    await check_all(folder, book)


def fill(path: Path) -> None:
    """Write until nothing goes in any more."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


async def disk_status(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(f"{url}/v1/status") as response:
        components = (await response.json())["components"]
    found: dict[str, Any] = next(each for each in components if each["component"] == "disk")
    return found


@pytest.mark.processes
async def test_page_that_goes_bad_is_found_when_a_till_asks_for_its_goods(folder: Path) -> None:
    """Fault 10: pricing meets it, the agent ends, and the next start prices and sells."""
    database, book = folder / DATABASE_FILE, Book()
    async with an_agent(folder) as (process, url), a_till() as http:
        connection = apsw.Connection(str(database))
        page_bytes = connection.pragma("page_size")
        found: Any = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'product'"
        ).get
        connection.close()
        with database.open("r+b") as file:
            file.seek((found - 1) * page_bytes)
            file.write(bytes([255]) * page_bytes)
        body = till_receipt("priced")
        async with http.post(f"{url}/v1/receipts/calculate", json=body) as response:
            assert response.status == 503
        async with asyncio.timeout(START_TIMEOUT_S):
            assert await process.wait() == 1
    async with an_agent(folder) as (_, url), a_till() as http:
        assert list((folder / ASIDE_FOLDER).iterdir())
        receipt_id, _ = book.next_sale()
        assert await commit(http, url, book, receipt_id)


@pytest.mark.processes
async def test_two_agents_do_not_share_a_folder(folder: Path) -> None:
    """Fault 16: the second one says why it does not start, and leaves everything as it is."""
    async with an_agent(folder) as (_, url), a_till() as http:
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "run", "--folder", str(folder)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await second.communicate()
        assert second.returncode == 1
        assert b"another agent runs in this folder" in said
        assert b"Stop it first" in said
        book = Book()
        receipt_id, _ = book.next_sale()
        assert await commit(http, url, book, receipt_id)

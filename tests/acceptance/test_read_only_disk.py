"""The real agent on a disk that is read-only before it starts, with and without a spare medium.

Who may not mount becomes somebody who may, and runs the test there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.acceptance.test_disk_faults import DISK_CALLS, a_till, sell_until_refused
from tests.acceptance.test_kill_agent import Book, check_answered, check_database, commit
from tests.support.agent_process import START_TIMEOUT_S, an_agent
from tests.support.faulty_calls import faulty
from tests.support.shop import TIME, a_bundle, make_shop, till_receipt

SPARE: Final = "../spare"
Scenario = Callable[[Path], Awaitable[None]]


def as_root(name: str, tmp_path: Path, scenario: Scenario) -> None:
    """Run a scenario where mounting is allowed."""
    if os.geteuid() != 0:
        alone = ("unshare", "--user", "--map-root-user", "--mount")
        again = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
        subprocess.run([*alone, *again, f"{__file__}::{name}"], check=True)
        return
    asyncio.run(scenario(tmp_path))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder's disk takes nothing in this block."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@asynccontextmanager
async def serving(
    folder: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, aiohttp.ClientSession]]:
    said = folder.with_name("agent.err")
    async with an_agent(folder, said=said) as (process, url), a_till() as http:
        yield process, url, http


async def sell(http: aiohttp.ClientSession, url: str, book: Book, count: int) -> None:
    for _ in range(count):
        receipt_id, _ = book.next_sale()
        assert await commit(http, url, book, receipt_id), receipt_id


async def component(http: aiohttp.ClientSession, url: str, name: str) -> dict[str, Any]:
    async with http.get(f"{url}/v1/status") as response:
        found = [
            each for each in (await response.json())["components"] if each["component"] == name
        ]
    return found[0] if found else {}


async def prices(http: aiohttp.ClientSession, url: str) -> bool:
    async with http.post(f"{url}/v1/receipts/calculate", json=till_receipt("priced")) as response:
        return response.status == 200


async def with_no_spare(place: Path) -> None:
    folder = place / "shop"
    make_shop(folder, bundle=a_bundle(1))
    book = Book()
    async with serving(folder) as (process, url, http):
        await sell(http, url, book, 4)
        process.kill()  # what was sold stands in the log alone
        await process.wait()
    with read_only(folder):
        async with serving(folder) as (process, url, http):
            assert await prices(http, url)
            await check_answered(http, url, book, list(book.answered))
            refused = await sell_until_refused(http, url, book)
            assert (refused["status"], refused["code"]) == (503, "disk_read_only")
            told = await component(http, url, "disk")
            assert told["health"] == "error"
            assert "nothing is recorded" in told["message"]
            async with http.get(f"{url}/metrics") as response:
                lines = [
                    line
                    for line in (await response.text()).splitlines()
                    if 'component_health{component="disk"}' in line
                ]
            assert [line.rpartition(" ")[2] for line in lines] == ["3.0"]
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    async with serving(folder) as (_, url, http):
        for receipt_id in list(book.open):
            assert await commit(http, url, book, receipt_id)
        await check_answered(http, url, book, list(book.answered))
    check_database(folder, book)


async def with_a_spare(place: Path) -> None:
    folder = place / "shop"
    make_shop(folder, bundle=a_bundle(1), spare_folder=SPARE)
    book = Book()
    async with serving(folder) as (process, url, http):
        await sell(http, url, book, 4)
        process.kill()
        await process.wait()
    back = {"sale": "r1", "return": [{"line": 1, "qty": "1"}], "time": TIME}
    with read_only(folder):
        for _ in range(3):
            async with serving(folder) as (process, url, http):
                assert await prices(http, url)
                await check_answered(http, url, book, list(book.answered))
                await sell(http, url, book, 3)
                first = book.answered["r4"]
                async with http.post(
                    f"{url}/v1/receipts/r4/commit", json=book.bodies["r4"]
                ) as response:
                    assert await response.json() == first
                async with http.post(f"{url}/v1/returns/b1/commit", json=back) as response:
                    assert response.status == 200
                    given = await response.json()
                told = await component(http, url, "disk")
                assert told["health"] == "error"
                assert "spare" in told["message"]
                waiting = len(book.answered) - 4 + 1
                assert (await component(http, url, "spare"))["message"].startswith(f"{waiting} ")
                process.kill()
                await process.wait()
        assert given["refund"]["lines"][0]["qty"] == "1"
    files = place / "spare"
    for _ in range(2):
        async with serving(folder) as (_, url, http):
            await check_answered(http, url, book, list(book.answered))
            async with http.get(f"{url}/v1/returns/b1") as response:
                assert await response.json() == given
            assert (await component(http, url, "disk"))["health"] == "ok"
        assert not list(files.glob("sales-*.spare"))
        check_books(folder, book)
        # As if the power had gone before the files were put by.
        for path in files.glob("*.taken"):
            path.rename(path.with_name(path.name.removesuffix(".taken")))
    async with serving(folder) as (_, url, http):
        await sell(http, url, book, 2)
    check_books(folder, book)


def check_books(folder: Path, book: Book) -> None:
    """Every sale once and in the chain, and the one return."""
    check_database(folder, book, returns=1)


@pytest.mark.processes
def test_start_on_a_read_only_disk_prices_and_records_nothing(tmp_path: Path) -> None:
    """Fault 9: said in status and metrics; what was sold before is shown, from the log too."""
    name = "test_start_on_a_read_only_disk_prices_and_records_nothing"
    as_root(name, tmp_path, with_no_spare)


@pytest.mark.processes
def test_sales_go_to_the_spare_medium_and_come_back_once(tmp_path: Path) -> None:
    """Fault 9: killed three times over it; repeats are known; taken in once, whatever is cut."""
    as_root("test_sales_go_to_the_spare_medium_and_come_back_once", tmp_path, with_a_spare)


@pytest.mark.processes
async def test_disk_that_becomes_read_only_ends_the_agent_if_sales_can_go_elsewhere(
    tmp_path: Path,
) -> None:
    """The next start is that of a disk which is read-only already."""
    folder = tmp_path / "shop"
    make_shop(folder, bundle=a_bundle(1), spare_folder=SPARE)
    book = Book()
    async with serving(folder) as (process, url, http):
        await sell(http, url, book, 1)
        async with faulty(process, DISK_CALLS, "error=EROFS"):
            refused = await sell_until_refused(http, url, book)
            assert refused.get("code", "disk_read_only") == "disk_read_only"
            async with asyncio.timeout(START_TIMEOUT_S):
                assert await process.wait() == 1
    async with serving(folder) as (_, url, http):
        for receipt_id in list(book.open):
            assert await commit(http, url, book, receipt_id)
        await check_answered(http, url, book, list(book.answered))

"""The agent is killed at random moments of commits, two hundred times; no answered sale is lost.

Tills keep committing while a SIGKILL comes; what was not answered is sent again after the restart,
as a cashier's program must. ``KOPILKA_SEED`` repeats a run; the seed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from edge_agent.checkout.store import recorded_sale
from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_reader
from edge_agent.outbox.store import verify_chain
from shared.wire.stream import Lane
from tests.support.agent_process import START_TIMEOUT_S, an_agent
from tests.support.shop import HEADERS, a_bundle, make_shop, till_receipt

SHOPS: Final = 4
KILLS_PER_SHOP: Final = 50
TILLS: Final = 3
KILL_AFTER_S_MAX: Final = 0.08
"""Some twenty commits: the kill meets every stage of one."""


@dataclass(kw_only=True)
class Book:
    """What the tills know: the answer to each sale, and the sales still without one."""

    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def next_sale(self) -> tuple[str, dict[str, Any]]:
        """A new sale; every third member pays a little with points."""
        number = next(self.numbers)
        receipt_id = f"r{number}"
        more: dict[str, Any] = {"lines": [_line(number)]}
        if number % 3 == 0:
            more["customer"] = {"card": "100"}
            more["spend"] = {"account": "main", "points": "0.05"}
        body = {"receipt": till_receipt(receipt_id, **more)}
        self.open[receipt_id] = self.bodies[receipt_id] = body
        return receipt_id, body


def _line(number: int) -> dict[str, Any]:
    return {"line": 1, "sku": "tea", "qty": "1", "price": f"{100 + number % 900}.00"}


async def commit(http: aiohttp.ClientSession, url: str, book: Book, receipt_id: str) -> bool:
    """Send one open sale; False when the agent died under it."""
    try:
        async with http.post(
            f"{url}/v1/receipts/{receipt_id}/commit", json=book.bodies[receipt_id]
        ) as response:
            reply = await response.json()
    except aiohttp.ClientError:
        return False
    assert response.status == 200, reply
    book.answered[receipt_id] = reply
    book.open.pop(receipt_id, None)
    return True


async def sell_until_dead(http: aiohttp.ClientSession, url: str, book: Book) -> None:
    """One till: sale after sale, until the agent answers no more."""
    alive = True
    while alive:
        receipt_id, _ = book.next_sale()
        alive = await commit(http, url, book, receipt_id)


async def check_answered(
    http: aiohttp.ClientSession, url: str, book: Book, receipt_ids: list[str]
) -> None:
    """The agent says of these sales what it said when they were made."""
    for receipt_id in receipt_ids:
        async with http.get(f"{url}/v1/receipts/{receipt_id}") as response:
            assert {**book.answered[receipt_id], "state": "committed"} == await response.json()


@pytest.mark.processes
@pytest.mark.parametrize("shop", range(SHOPS))
async def test_no_answered_sale_is_lost_by_a_kill(tmp_path: Path, shop: int) -> None:
    """Every answered sale is there once, with the same answer, in a whole chain."""
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed + shop)
    folder = tmp_path / "shop"
    make_shop(folder, bundle=a_bundle(1))
    book = Book()
    interrupted = 0
    timeout = aiohttp.ClientTimeout(total=START_TIMEOUT_S)
    for _ in range(KILLS_PER_SHOP):
        async with (
            an_agent(folder) as (process, url),
            aiohttp.ClientSession(headers=HEADERS, timeout=timeout) as http,
        ):
            before = list(book.answered)[-50:]
            await check_answered(http, url, book, before)
            for receipt_id in list(book.open):
                assert await commit(http, url, book, receipt_id)
            async with asyncio.TaskGroup() as group:
                for _till in range(TILLS):
                    group.create_task(sell_until_dead(http, url, book))
                await asyncio.sleep(chance.uniform(0, KILL_AFTER_S_MAX))
                process.kill()
            assert book.open, "the kill met no commit"
            interrupted += len(book.open)

    async with (
        an_agent(folder) as (_, url),
        aiohttp.ClientSession(headers=HEADERS, timeout=timeout) as http,
    ):
        first = dict(book.answered)
        for receipt_id in book.bodies:
            assert await commit(http, url, book, receipt_id)
        assert first == {key: book.answered[key] for key in first}
        await check_answered(http, url, book, list(book.answered))
    check_database(folder, book)
    print(f"{len(book.answered)} sales, {interrupted} commits cut by {KILLS_PER_SHOP} kills")


def check_database(folder: Path, book: Book, *, returns: int = 0) -> None:
    """As many records as sales and returns, the chain whole, the lease used as the sales say."""
    connection = open_reader(folder / DATABASE_FILE)
    try:
        assert verify_chain(connection, int(Lane.RECEIPTS)) == len(book.answered) + returns
        uids = {reply["record_uid"] for reply in book.answered.values()}
        assert len(uids) == len(book.answered)
        spent_centi = 0
        for receipt_id, reply in book.answered.items():
            sale = recorded_sale(connection, receipt_id)
            assert sale is not None
            assert sale.record_uid.hex() == reply["record_uid"]
            spends = [each for each in sale.fact.lease_spends if each.lease_id == "L1"]
            spent_centi += sum(each.points_centi for each in spends)
        used = connection.execute("SELECT spent_amount FROM lease_book").get
        receipts = connection.execute("SELECT count(*) FROM receipt").get
        assert (used, receipts) == (spent_centi, len(book.answered))
        assert 0 < spent_centi <= 3_000
    finally:
        connection.close()

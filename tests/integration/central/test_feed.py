"""The change feed on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random

import pytest

from central.database.pool import Pool
from central.feed import store as feed
from shared.wire.feed import CouponEntry, Topic


async def test_reader_misses_nothing_of_slow_writers(pool: Pool) -> None:
    """Writers of random length commit out of order; one moving cursor sees every key."""
    chance = random.Random(7)
    seen: set[str] = set()
    done = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(15):
            async with pool.connection() as connection:
                key = f"{writer}-{number}"
                entry = CouponEntry(code=key, series="s")
                await feed.put(connection, feed.EVERY_STORE, Topic.COUPON, {key: entry})
                await asyncio.sleep(chance.uniform(0, 0.02))

    async def read() -> None:
        cursor = ""
        while True:
            last = done.is_set()
            async with pool.connection() as connection:
                page = await feed.page(connection, "S1", cursor)
            cursor = page.cursor
            seen.update(change.key for change in page.changes)
            if last and not page.changes:
                return

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(writer) for writer in range(6)))
    done.set()
    await reader

    assert seen == {f"{writer}-{number}" for writer in range(6) for number in range(15)}


async def test_transactions_are_read_in_the_order_of_numbers(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transaction 99 comes before 100 on every page, although its text would come after."""
    monkeypatch.setattr(feed, "PAGE_CHANGES", 2)
    expected = [str(xid) for xid in (8, 9, 10, 11, 98, 99, 100, 101)]
    async with pool.connection() as connection:
        for key in expected:
            await connection.execute(
                """insert into feed_change (scope, topic, key, xid, operation, payload)
                   values ('*', 'coupon', %(key)s, %(key)s::text::xid8, 'put', '')""",
                {"key": key},
            )
    actual: list[str] = []
    cursor, complete = "", False
    while not complete:
        async with pool.connection() as connection:
            page = await feed.page(connection, "S1", cursor)
        actual += [change.key for change in page.changes]
        cursor, complete = page.cursor, page.complete

    assert expected == actual

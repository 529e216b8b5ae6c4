"""The change feed on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random

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

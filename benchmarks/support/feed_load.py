"""Writers that commit out of order, the feed's reader, and beside it the naive ``id > last``."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import psycopg

from central.database.pool import Pool, open_pool
from central.feed import store
from central.feed.service import Feed
from shared.system import SystemClock
from shared.wire.feed import CouponEntry, FeedPage, Topic

WRITERS: Final = 16
CHANGES_PER_TRANSACTION_MAX: Final = 100
HOLD_S_MAX: Final = 0.020
"""A transaction stays open for up to this long after it has written."""
READ_EVERY_S: Final = 0.02
EDGE_ID: Final = 1
STORE_ID: Final = "S1"
_NAIVE_TABLE: Final = b"create table naive_log (id bigserial primary key, key text not null)"
_NAIVE_WRITE: Final = b"insert into naive_log (key) select * from unnest(%(keys)s::text[])"
_NAIVE_READ: Final = b"select id, key from naive_log where id > %(last)s order by id limit 20000"
_LOG_IS_EMPTY: Final = b"select not exists (select 1 from feed_log) as empty"


@dataclass(kw_only=True)
class Outcome:
    """What was written, and what each of the two readers made of it."""

    written: int = 0
    transactions: int = 0
    seconds: float = 0.0
    caught_up_s: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    naive: Counter[str] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        """Changes that the feed did not tell."""
        return self.written - len(self.seen)

    @property
    def duplicated(self) -> int:
        """Changes that the feed told again."""
        return sum(self.seen.values()) - len(self.seen)

    @property
    def naive_missed(self) -> int:
        """Changes that ``id > last`` did not see."""
        return self.written - len(self.naive)


async def run_load(conninfo: str, *, changes: int, seed: int) -> Outcome:
    """Write so many changes by 16 writers at once and read them meanwhile, both ways."""
    outcome = Outcome()
    chance = random.Random(seed)
    written = asyncio.Event()
    async with open_pool(conninfo, size_max=WRITERS + 6) as pool:
        await _prepare(pool)
        readers = [
            asyncio.create_task(_read(pool, outcome, written)),
            asyncio.create_task(_read_naively(conninfo, outcome, written)),
        ]
        # A second process of central's would publish as well.
        other = asyncio.create_task(Feed(pool, SystemClock()).run())
        started_s = time.monotonic()
        share = -(-changes // WRITERS)
        writers = [
            asyncio.create_task(_write(pool, outcome, name, share, random.Random(chance.random())))
            for name in range(WRITERS)
        ]
        await asyncio.gather(*writers)
        outcome.seconds = time.monotonic() - started_s
        written.set()
        await asyncio.gather(*readers)
        other.cancel()
        with suppress(asyncio.CancelledError):
            await other
        outcome.caught_up_s = time.monotonic() - started_s - outcome.seconds
    return outcome


async def _prepare(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute(_NAIVE_TABLE)
        await connection.execute(
            b"insert into store values (%(s)s, 'shop', 'UTC', 'RUB')", {"s": STORE_ID}
        )
        await connection.execute(
            b"insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256)"
            b" values (%(e)s, %(s)s, 'hub', '', '')",
            {"e": EDGE_ID, "s": STORE_ID},
        )


async def _write(
    pool: Pool, outcome: Outcome, writer: int, count: int, chance: random.Random
) -> None:
    done = 0
    while done < count:
        size = min(chance.randint(1, CHANGES_PER_TRANSACTION_MAX), count - done)
        keys = [f"{writer}-{done + number}" for number in range(size)]
        async with pool.connection() as connection:
            entries = {key: CouponEntry(code=key, series="s") for key in keys}
            await store.put(connection, store.EVERY_STORE, Topic.COUPON, entries)
            await connection.execute(_NAIVE_WRITE, {"keys": keys})
            await asyncio.sleep(chance.uniform(0, HOLD_S_MAX))
        done += size
        outcome.written += size
        outcome.transactions += 1


async def _read(pool: Pool, outcome: Outcome, written: asyncio.Event) -> None:
    feed = Feed(pool, SystemClock())
    cursor = ""
    while True:
        # A complete page says that nothing more is published. The other publisher may still be at
        # work on what was written last, and takes it out of the log as it publishes it.
        last = written.is_set() and await _log_is_empty(pool)
        page = await feed.page(EDGE_ID, STORE_ID, cursor, 0)
        assert isinstance(page, FeedPage), page
        cursor = page.cursor
        outcome.seen.update(change.key for change in page.changes)
        if last and page.complete and not page.changes:
            return
        if page.complete:
            await asyncio.sleep(READ_EVERY_S)


async def _log_is_empty(pool: Pool) -> bool:
    async with pool.connection() as connection:
        row = await (await connection.execute(_LOG_IS_EMPTY)).fetchone()
    assert row is not None, "an exists answers a row"
    return bool(row["empty"])


async def _read_naively(conninfo: str, outcome: Outcome, written: asyncio.Event) -> None:
    last_id = 0
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        while True:
            last = written.is_set()
            found = await connection.execute(_NAIVE_READ, {"last": last_id})
            rows = await found.fetchall()
            if rows:
                last_id = rows[-1][0]
                outcome.naive.update(key for _, key in rows)
            elif last:
                return
            await asyncio.sleep(READ_EVERY_S)

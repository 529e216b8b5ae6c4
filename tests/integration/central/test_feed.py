"""The change feed on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import random

import msgspec
import pytest
import zstandard
from structlog.testing import capture_logs

from benchmarks.support.feed_load import run_load
from central.database.pool import Pool
from central.feed import plan, service, store
from central.feed.service import Feed
from shared.crypto.set_hash import add_to_sum, entry_hash, sum_bytes
from shared.errors import InputError, NotFoundError
from shared.system import SystemClock
from shared.wire.feed import (
    CouponEntry,
    CustomerEntry,
    FeedChange,
    FeedPage,
    FeedReset,
    Operation,
    ProductEntry,
    Topic,
)
from tests.support.feed_ends import add_edge

CHANGES = 40_000
EVERY = store.EVERY_STORE


def coupons(*codes: str, series: str = "s") -> dict[str, msgspec.Struct]:
    return {code: CouponEntry(code=code, series=series) for code in codes}


async def put(pool: Pool, scope: str, topic: Topic, entries: dict[str, msgspec.Struct]) -> None:
    async with pool.connection() as connection:
        await store.put(connection, scope, topic, entries)


async def read_on(feed: Feed, store_id: str, cursor: str = "") -> tuple[list[FeedPage], str]:
    """The pages up to the next checkpoint, and its cursor."""
    pages: list[FeedPage] = []
    while not pages or not pages[-1].complete:
        page = await feed.page(1, store_id, cursor, 0)
        assert isinstance(page, FeedPage), page
        pages.append(page)
        cursor = page.cursor
    return pages, cursor


def keys_of(pages: list[FeedPage]) -> list[str]:
    return [change.key for page in pages for change in page.changes]


@pytest.fixture
async def feed(pool: Pool) -> Feed:
    """The feed of a central with the stores S1 (agent 1) and S2 (agent 2)."""
    await add_edge(pool, "S1", 1)
    await add_edge(pool, "S2", 2)
    return Feed(pool, SystemClock())


async def test_sixteen_writers_out_of_order_lose_and_repeat_nothing(database: str) -> None:
    """Every change comes once, while the reader of ``id > last`` beside it misses some."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    outcome = await run_load(database, changes=CHANGES, seed=seed)

    assert outcome.written >= CHANGES
    assert (outcome.missed, outcome.duplicated) == (0, 0)
    assert outcome.naive_missed > 0
    print(f"id > last missed {outcome.naive_missed} of {outcome.written}")


async def test_writer_that_began_first_and_ends_last_has_its_say(pool: Pool, feed: Feed) -> None:
    """Whoever writes a key last wins, in whatever order transactions began, ended or are told."""
    for first_ends_first, deletes in itertools.product((False, True), (False, True)):
        key = f"k{first_ends_first}{deletes}"
        async with contextlib.AsyncExitStack() as stack:
            early = await pool.getconn()
            stack.push_async_callback(pool.putconn, early)
            between = await pool.getconn()
            stack.push_async_callback(pool.putconn, between)
            await early.execute("select pg_current_xact_id()")
            await between.execute("select pg_current_xact_id()")
            await put(pool, EVERY, Topic.COUPON, coupons(key, series="older"))
            if deletes:
                await store.delete(early, EVERY, Topic.COUPON, [key])
            else:
                await store.put(early, EVERY, Topic.COUPON, coupons(key, series="newer"))
            ends = [early, between] if first_ends_first else [between, early]
            for connection in ends:
                await connection.commit()
                await feed.publish()
        pages, _ = await read_on(feed, "S1")
        told = [change for page in pages for change in page.changes if change.key == key]
        if deletes:
            assert [change.operation for change in told] == [Operation.DELETE]
        else:
            assert [change.payload for change in told] == [
                msgspec.msgpack.encode(CouponEntry(code=key, series="newer"))
            ]


@pytest.mark.parametrize("seed", range(4))
async def test_statement_publishes_what_the_pure_rule_says(pool: Pool, seed: int) -> None:
    """Transactions in the order of their numbers (99 before 100), portions whole, the same end."""
    chance = random.Random(seed)
    xids = sorted(chance.sample([8, 9, 10, 11, 97, 98, 99, 100, 101], 7))
    operations = [Operation.PUT, Operation.PUT, Operation.DELETE, Operation.ERASE]
    rows = []
    for change_id in range(1, 40):
        operation = chance.choice(operations)
        rows.append(
            plan.LogRow(
                xid=chance.choice(xids),
                change_id=change_id,
                scope="*",
                topic="coupon",
                key=chance.choice("abcde"),
                operation=operation,
                payload=chance.choice([b"1", b"2"]) if operation is Operation.PUT else b"",
            )
        )
    async with pool.connection() as connection:
        for row in rows:
            await connection.execute(
                """insert into feed_log values (%(xid)s::text::xid8, %(change_id)s, %(scope)s,
                       %(topic)s, %(key)s, %(operation)s, %(payload)s)""",
                dataclasses.asdict(row) | {"operation": row.operation.value},
            )
    known: dict[tuple[str, str, str], plan.LogRow] = {}
    expected: list[tuple[str, int, str, bytes]] = []
    actual: list[tuple[str, int, str, bytes]] = []
    for xid in xids:
        portion = [row for row in rows if row.xid == xid]
        if not portion:
            continue
        folded = plan.fold_log(portion, known)
        known |= {("*", "coupon", one.row.key): one.row for one in folded}
        expected += [
            (one.row.key, one.row.change_id, one.row.operation.value, one.row.payload)
            for one in folded
            if one.news
        ]
        async with pool.connection() as connection:
            assert await store.publish(connection, rows_max=1) == len(portion)
            found = await connection.execute(
                """select key, version, operation, payload from feed_entry
                   where position > %(after)s order by position""",
                {"after": len(actual)},
            )
            actual += [tuple(row.values()) for row in await found.fetchall()]

    assert expected == actual


async def test_transaction_is_published_whole(
    pool: Pool, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the publisher's portions, no reader sees a part of a transaction."""
    monkeypatch.setattr(store, "PUBLISH_ROWS_MAX", 2)
    for number in range(5):
        await put(pool, EVERY, Topic.COUPON, coupons(*(f"{number}-{one}" for one in range(7))))
    counts = []
    async with pool.connection() as connection:
        while await store.publish(connection, rows_max=2):
            await connection.commit()
            pages, _ = await read_on(feed, "S2")
            counts.append(len(keys_of(pages)))

    assert all(count % 7 == 0 for count in counts)


async def test_sums_are_those_of_what_is_told(pool: Pool, feed: Feed) -> None:
    """PostgreSQL adds up to what Python does, by topic and by bucket, after any changes."""
    chance = random.Random(5)
    known: dict[tuple[str, str], FeedChange] = {}
    cursor = ""
    for _ in range(12):
        keys = [f"k{chance.randrange(20)} \u0416" for _ in range(5)]
        await put(pool, EVERY, Topic.COUPON, coupons(*keys, series=str(chance.random())))
        member = CustomerEntry(customer_id=keys[0], card_tags=[chance.randbytes(16)])
        await put(pool, "S1", Topic.CUSTOMER, {keys[0]: member})
        async with pool.connection() as connection:
            await store.delete(connection, EVERY, Topic.COUPON, [chance.choice(keys)])
        pages, cursor = await read_on(feed, "S1", cursor)
        known |= {(one.topic, one.key): one for page in pages for one in page.changes}
        there = {name: one for name, one in known.items() if one.operation is Operation.PUT}
        for told in pages[-1].sums:
            total = 0
            entries = [one for (topic, _), one in there.items() if topic == told.topic]
            for one in entries:
                total = add_to_sum(total, entry_hash(one.topic, one.key, one.version, one.payload))
            assert (told.total, told.count) == (sum_bytes(total), len(entries))
        buckets = await feed.buckets("S1", cursor, "coupon")
        assert not isinstance(buckets, FeedReset)
        total = 0
        for bucket in buckets.totals:
            total = add_to_sum(total, int.from_bytes(bucket, "big"))
        assert sum_bytes(total) == next(x.total for x in pages[-1].sums if x.topic == "coupon")


async def test_what_says_nothing_new_is_not_told(pool: Pool, feed: Feed) -> None:
    """The same entry again costs no shop anything."""
    await put(pool, EVERY, Topic.COUPON, coupons("A", "B"))
    _, cursor = await read_on(feed, "S1")
    await put(pool, EVERY, Topic.COUPON, coupons("A", "B", "C"))
    pages, _ = await read_on(feed, "S1", cursor)

    assert keys_of(pages) == ["C"]


async def test_store_hears_what_is_for_it_and_nothing_else(pool: Pool, feed: Feed) -> None:
    """Neither pages nor pieces of snapshots of another store."""
    await put(pool, EVERY, Topic.COUPON, coupons("ALL"))
    for name in ("S1", "S2"):
        entry = CustomerEntry(customer_id=f"of {name}", card_tags=[])
        await put(pool, name, Topic.CUSTOMER, {f"of {name}": entry})
    pages, _ = await read_on(feed, "S1")
    manifest = await feed.snapshot("S1")
    pieces = [await feed.chunk("S1", chunk.sha256) for chunk in manifest.chunks]
    changes = [
        change
        for piece in pieces
        for change in msgspec.msgpack.decode(zstandard.decompress(piece), type=list[FeedChange])
    ]

    assert set(keys_of(pages)) == {"ALL", "of S1"}
    assert {change.key for change in changes} == {"ALL", "of S1"}
    assert [hashlib.sha256(piece).digest() for piece in pieces] == [
        chunk.sha256 for chunk in manifest.chunks
    ]
    with pytest.raises(NotFoundError):
        await feed.chunk("S2", manifest.chunks[-1].sha256)
    again = await feed.snapshot("S2")
    assert again.chunks[0] == manifest.chunks[0]


async def test_waiting_reader_hears_of_its_news_only(pool: Pool, feed: Feed) -> None:
    """News of another store do not end the wait; own ones do, within a moment."""
    running = asyncio.create_task(feed.run())
    await put(pool, "S1", Topic.CUSTOMER, {"a": CustomerEntry(customer_id="a", card_tags=[])})
    _, cursor = await read_on(feed, "S1")
    waiting = asyncio.create_task(feed.page(1, "S1", cursor, 30))
    await put(pool, "S2", Topic.CUSTOMER, {"b": CustomerEntry(customer_id="b", card_tags=[])})
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await put(pool, "S1", Topic.CUSTOMER, {"c": CustomerEntry(customer_id="c", card_tags=[])})
    page = await asyncio.wait_for(waiting, 10)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running

    assert isinstance(page, FeedPage)
    assert keys_of([page]) == ["c"]


async def test_transaction_that_holds_everybody_up_is_told_of_once(
    pool: Pool, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm when it has written and stays open, and a word when it has ended."""
    monkeypatch.setattr(service, "HORIZON_HELD_S", 0)
    async with pool.connection() as slow:
        await slow.execute("select pg_current_xact_id()")
        await put(pool, EVERY, Topic.COUPON, coupons("A"))
        with capture_logs() as logs:
            running = asyncio.create_task(feed.run())
            held, _ = await read_on(feed, "S1")
            for _ in range(25):
                await asyncio.gather(*(read_on(feed, "S1") for _ in range(3)))
                await asyncio.sleep(0.1)
            await slow.commit()
            await asyncio.sleep(1.5)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    pages, _ = await read_on(feed, "S1")
    events = [log["event"] for log in logs if log["event"].startswith("feed.")]

    assert keys_of(held) == []
    assert keys_of(pages) == ["A"]
    assert events == ["feed.horizon_held", "feed.horizon_released"]


async def test_deletions_are_forgotten_when_live_agents_know_of_them(
    pool: Pool, feed: Feed
) -> None:
    """One who came later than 45 days gets a snapshot; a deletion not passed by all is kept."""
    clock = SystemClock()
    later_ms = clock.now_ms() + 2 * plan.TOMBSTONE_AGE_MS_MIN
    await put(pool, EVERY, Topic.COUPON, coupons("A", "B"))
    _, first = await read_on(feed, "S1")
    async with pool.connection() as connection:
        await store.delete(connection, EVERY, Topic.COUPON, ["A"])
    _, second = await read_on(feed, "S1", first)
    await read_on(feed, "S1", second)
    await feed.page(2, "S2", first, 0)
    async with pool.connection() as connection:
        assert await store.remove_tombstones(connection, now_ms=later_ms) == 0
    await feed.page(2, "S2", second, 0)
    async with pool.connection() as connection:
        assert await store.remove_tombstones(connection, now_ms=later_ms) == 1
    old = await feed.page(2, "S2", first, 0)
    new = await feed.page(2, "S2", second, 0)
    fresh, _ = await read_on(feed, "S2")

    assert old == FeedReset(reason="too_old")
    assert isinstance(new, FeedPage)
    assert keys_of(fresh) == ["B"]


async def test_erasure_is_owed_until_every_agent_has_it_in_force(pool: Pool, feed: Feed) -> None:
    """It counts as done when an agent names a checkpoint after it, not when it was fetched."""
    entry = CustomerEntry(customer_id="c", card_tags=[])
    await put(pool, "S1", Topic.CUSTOMER, {"c": entry})
    _, before = await read_on(feed, "S1")
    async with pool.connection() as connection:
        await store.delete(connection, "S1", Topic.CUSTOMER, ["c"], erase=True)
    _, after = await read_on(feed, "S1", before)
    await read_on(feed, "S1", after)
    owed = []
    for cursor in (before, after):
        await feed.confirm(1, cursor)
        async with pool.connection() as connection:
            rows = await store.erasures_unconfirmed(connection)
        owed.append([(row["key"], row["edge_ids"]) for row in rows])

    assert owed == [[("c", [1])], []]


async def test_new_generation_makes_every_cursor_begin_anew(pool: Pool, feed: Feed) -> None:
    """Also the log that a restored cluster wrote under other transaction numbers is published."""
    await put(pool, EVERY, Topic.COUPON, coupons("A"))
    _, cursor = await read_on(feed, "S1")
    async with pool.connection() as connection:
        await store.put(connection, EVERY, Topic.COUPON, coupons("B"))
        await connection.execute("update feed_log set xid = '9000000000'")
    stuck, _ = await read_on(feed, "S1", cursor)
    async with pool.connection() as connection:
        standing, _ = await store.standing_of(connection, "S1")
    async with pool.connection() as connection:
        await store.begin_generation(connection, standing.generation)
        await store.begin_generation(connection, standing.generation)
    reset = await feed.page(1, "S1", cursor, 0)
    pages, _ = await read_on(feed, "S1")

    assert keys_of(stuck) == []
    assert reset == FeedReset(reason="other_generation")
    assert set(keys_of(pages)) == {"A", "B"}


async def test_agent_of_the_first_release_goes_on(
    pool: Pool, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the cursor it has, or none, it is told all in pages; versions go on where they were."""
    monkeypatch.setattr(plan, "FIRST_LOAD_CHANGES_MAX", 1)
    monkeypatch.setattr(store, "FEED_PAGE_CHANGES_MAX", 2)
    await put(pool, EVERY, Topic.COUPON, coupons("A", "B", "C"))
    for begin in ("", "734-12"):
        told: list[str] = []
        cursor, complete = begin, False
        while not complete:
            page = await feed.page(1, "S1", cursor, 0, pages_only=True)
            assert isinstance(page, FeedPage)
            told += keys_of([page])
            cursor, complete = page.cursor, page.complete
        assert told == ["A", "B", "C"]
        assert isinstance(await feed.page(1, "S1", begin, 0), FeedReset)


async def test_other_peoples_cursors_and_too_large_entries_are_refused(
    pool: Pool, feed: Feed
) -> None:
    """A text that is no cursor is an error of the caller; a strange cursor begins anew."""
    strange = plan.seal_cursor(plan.Cursor(generation=1, position=1), b"other")

    assert await feed.page(1, "S1", strange, 0) == FeedReset(reason="other_generation")
    with pytest.raises(InputError):
        await feed.page(1, "S1", "12-x", 0)
    huge = ProductEntry(sku="p", name="x" * 2**17)
    with pytest.raises(InputError):
        await put(pool, EVERY, Topic.PRODUCT, {"p": huge})

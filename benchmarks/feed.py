"""Does the feed lose anything, and how fast is it? Measured at both ends.

Sixteen writers commit out of order while the feed and, beside it, the naive reader of ``id > last``
follow them. Then: writing to the log beside a bare INSERT, publishing, and how fast a shop takes
members in (page by page, as one checkpoint that waits, as a snapshot, and a second time) beside a
bare SQLite insert of the same bytes. Prints a table and writes build/bench/feed.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import zstandard
from support.feed_load import WRITERS, run_load
from support.measuring import against, report

from central.database.embedded import EmbeddedPostgres
from central.database.migrate import migrate
from central.database.pool import Pool, open_pool
from central.feed import store
from central.feed.plan import ChunkCutter
from edge_agent.database.connection import open_writer
from edge_agent.uplink.apply import apply_page
from edge_agent.uplink.changeover import (
    LIGHT_STEP_KEYS,
    Changeover,
    Merging,
    begin_rebuild,
    note_read,
    open_chunk,
    stage,
    stage_chunk,
    sweep,
)
from shared.wire.feed import (
    BalanceEntry,
    ChunkRef,
    CustomerEntry,
    FeedChange,
    FeedPage,
    Operation,
    SnapshotManifest,
    Topic,
)

CHANGES: Final = 1_000_000
MEMBERS: Final = 100_000
PAGE: Final = 5_000
TARGET_APPLY_PER_S: Final = 20_000
BATCH_ENTRIES: Final = 1_000
"""Balances and leases of a full batch of 500 receipts."""
BATCHES: Final = 40
RECEIPTS_PER_S: Final = 3_000
ENTRIES_PER_RECEIPT: Final = 2
_BARE_TABLE: Final = b"""create table bare (scope text not null, topic text not null,
    key text not null, operation text not null, payload bytea not null)"""
_BARE_INSERT: Final = b"""insert into bare select * from unnest(%(s)s::text[], %(t)s::text[],
    %(k)s::text[], %(o)s::text[], %(p)s::bytea[])"""


async def with_postgres(work: Callable[[str], Any]) -> Any:
    """Give ``work`` the address of a migrated, durable database of its own."""
    with tempfile.TemporaryDirectory(prefix="kpb") as folder:
        server = EmbeddedPostgres(Path(folder))
        await asyncio.to_thread(server.start)
        try:
            async with open_pool(server.conninfo()) as pool, pool.connection() as connection:
                await migrate(connection)
            return await work(server.conninfo())
        finally:
            await asyncio.to_thread(server.stop)
            server.wipe()


async def central_speed(conninfo: str) -> dict[str, float]:
    """Entries a second: into the log, into a bare table, and from the log to readers."""
    chance = random.Random(1)
    batches = [
        {
            f"c{chance.randrange(200_000)}/main": BalanceEntry(
                customer_id="c", account="main", available_centi=chance.randrange(10**6), as_of_ms=1
            )
            for _ in range(BATCH_ENTRIES)
        }
        for _ in range(BATCHES)
    ]
    count = sum(map(len, batches))
    async with open_pool(conninfo) as pool:
        async with pool.connection() as connection:
            await connection.execute(_BARE_TABLE)
        bare_s = await _timed(_write_bare(pool, batches))
        write_s = await _timed(_write(pool, batches))
        publish_s = await _timed(_publish(pool))
    return {
        "bare_per_s": count / bare_s,
        "write_per_s": count / write_s,
        "publish_per_s": count / publish_s,
    }


async def _timed(work: Any) -> float:
    started_s = time.monotonic()
    await work
    return time.monotonic() - started_s


async def _write_bare(pool: Pool, batches: list[dict[str, BalanceEntry]]) -> None:
    for batch in batches:
        async with pool.connection() as connection:
            await connection.execute(
                _BARE_INSERT,
                {
                    "s": ["*"] * len(batch),
                    "t": ["balance"] * len(batch),
                    "k": list(batch),
                    "o": ["put"] * len(batch),
                    "p": [msgspec.msgpack.encode(entry) for entry in batch.values()],
                },
            )


async def _write(pool: Pool, batches: list[dict[str, BalanceEntry]]) -> None:
    for batch in batches:
        async with pool.connection() as connection:
            await store.put(connection, store.EVERY_STORE, Topic.BALANCE, dict(batch))


async def _publish(pool: Pool) -> None:
    while True:
        async with pool.connection() as connection:
            if not await store.publish(connection):
                return


def members(version: int) -> list[FeedChange]:
    """Members as a store may know them, one card each, 70 bytes or so."""
    return [
        FeedChange(
            topic=Topic.CUSTOMER,
            key=f"customer-{number:07}",
            operation=Operation.PUT,
            version=version + number,
            payload=msgspec.msgpack.encode(
                CustomerEntry(
                    customer_id=f"customer-{number:07}",
                    card_tags=[hashlib.sha256(b"%d" % number).digest()[:16]],
                    segments=["regular", "family"],
                    level=str(version),
                )
            ),
        )
        for number in range(MEMBERS)
    ]


def pages_of(changes: list[FeedChange], *, checkpoints: bool) -> list[FeedPage]:
    """Pages that each end a checkpoint, or of which only the last does."""
    starts = range(0, len(changes), PAGE)
    return [
        FeedPage(
            cursor=f"{changes[0].version}-{start}",
            changes=changes[start : start + PAGE],
            complete=checkpoints or start == starts[-1],
        )
        for start in starts
    ]


def snapshot_of(changes: list[FeedChange]) -> tuple[SnapshotManifest, list[bytes]]:
    """The same as a snapshot."""
    cutter = ChunkCutter()
    chunks = [whole for change in changes if (whole := cutter.add(change))] + [cutter.rest()]
    pieces = [zstandard.compress(msgspec.msgpack.encode(chunk)) for chunk in chunks]
    refs = [
        ChunkRef(sha256=hashlib.sha256(piece).digest(), size_bytes=len(piece), raw_bytes=0)
        for piece in pieces
    ]
    return SnapshotManifest(cursor="s", chunks=refs), pieces


Job = Callable[[apsw.Connection], object]


def steps(step: Callable[[apsw.Connection], bool]) -> Iterator[Job]:
    """The same job again and again, until it says that all is done."""
    done = False

    def job(connection: apsw.Connection) -> None:
        nonlocal done
        done = step(connection)

    while not done:
        yield job


def waiting(pages: list[FeedPage]) -> Iterator[Job]:
    """Pages of one checkpoint, of which all but the last wait, as the agent takes them."""
    for page in pages:
        for start in range(0, len(page.changes), LIGHT_STEP_KEYS):
            yield partial(stage, changes=page.changes[start : start + LIGHT_STEP_KEYS])
        if not page.complete:
            yield partial(note_read, cursor=page.cursor)
    yield from in_force(pages[-1])


def in_force(page: FeedPage) -> Iterator[Job]:
    """What waits is shown, and moved to its places."""
    change = Changeover(page)
    yield from steps(change.prepare)
    yield change.show
    yield from steps(Merging().step)
    yield from steps(sweep)


def rebuilt(manifest: SnapshotManifest, pieces: list[bytes]) -> Iterator[Job]:
    """A snapshot, piece by piece, as the agent takes it."""
    yield partial(begin_rebuild, manifest=manifest)
    for ref, piece in zip(manifest.chunks, pieces, strict=True):
        changes = open_chunk(ref, piece)
        for start in range(0, len(changes), LIGHT_STEP_KEYS):
            some = changes[start : start + LIGHT_STEP_KEYS]
            last = start + LIGHT_STEP_KEYS >= len(changes)
            yield partial(stage_chunk, chunk=ref, changes=some, last=last)
    yield from in_force(FeedPage(cursor="s", changes=[], complete=True))


def transactions(connection: apsw.Connection, jobs: Iterable[Job]) -> tuple[float, float]:
    """Each job as the writer would do it; seconds in all, and of the longest."""
    longest_s = 0.0
    started_s = time.monotonic()
    for job in jobs:
        one_s = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        job(connection)
        connection.execute("COMMIT")
        longest_s = max(longest_s, time.monotonic() - one_s)
    return time.monotonic() - started_s, longest_s


def edge_speed(folder: Path) -> dict[str, float]:
    """Members a second into a shop's file, in several ways."""
    figures: dict[str, float] = {}
    first, second = members(1), members(10 * MEMBERS)

    def bare(rows: list[tuple[str, bytes]]) -> Callable[[apsw.Connection], object]:
        return lambda connection: connection.executemany(
            "INSERT INTO bare VALUES (?, ?) ON CONFLICT DO UPDATE SET entry = excluded.entry", rows
        )

    connection = open_writer(folder / "bare.sqlite")
    connection.execute("CREATE TABLE bare (id TEXT PRIMARY KEY, entry BLOB NOT NULL) STRICT")
    rows = [(change.key, change.payload) for change in first]
    jobs = [bare(rows[start : start + PAGE]) for start in range(0, len(rows), PAGE)]
    figures["bare_per_s"] = MEMBERS / transactions(connection, jobs)[0]
    connection.close()

    connection = open_writer(folder / "pages.sqlite")
    for name, changes in (("pages", first), ("again", second)):
        jobs = [partial(apply_page, page=page) for page in pages_of(changes, checkpoints=True)]
        figures[f"{name}_per_s"] = MEMBERS / transactions(connection, jobs)[0]
    connection.close()

    connection = open_writer(folder / "whole.sqlite")
    whole = FeedPage(cursor="w", changes=first, complete=True)
    figures["one_transaction_s"] = transactions(connection, [partial(apply_page, page=whole)])[1]
    connection.close()

    connection = open_writer(folder / "checkpoint.sqlite")
    whole_s, longest_s = transactions(connection, waiting(pages_of(first, checkpoints=False)))
    figures["checkpoint_per_s"] = MEMBERS / whole_s
    figures["checkpoint_longest_s"] = longest_s

    manifest, pieces = snapshot_of(second)
    whole_s, longest_s = transactions(connection, rebuilt(manifest, pieces))
    figures["snapshot_per_s"] = MEMBERS / whole_s
    figures["snapshot_longest_s"] = longest_s
    # The same snapshot again: nothing differs, so nothing is written but what waits.
    whole_s, longest_s = transactions(connection, rebuilt(manifest, pieces))
    figures["same_snapshot_longest_s"] = longest_s
    figures["snapshot_bytes_per_member"] = sum(map(len, pieces)) / MEMBERS
    connection.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=CHANGES)
    changes: int = parser.parse_args().changes
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    load = asyncio.run(
        with_postgres(lambda conninfo: run_load(conninfo, changes=changes, seed=seed))
    )
    central = asyncio.run(with_postgres(central_speed))
    with tempfile.TemporaryDirectory() as folder:
        edge = edge_speed(Path(folder))
    needed = RECEIPTS_PER_S * ENTRIES_PER_RECEIPT
    rows = [
        (f"changes by {WRITERS} writers", f"{load.written:,}", "", f"{load.seconds:.0f} s"),
        ("  missed by the feed", f"{load.missed}", "", against(load.missed, 0)),
        ("  told twice by the feed", f"{load.duplicated}", "", against(load.duplicated, 0)),
        (
            "  missed by id > last",
            f"{load.naive_missed:,}",
            "",
            f"{100 * load.naive_missed / load.written:.1f} %",
        ),
        (
            "written in a batch's transaction, entries/s",
            f"{central['write_per_s']:,.0f}",
            f"bare INSERT {central['bare_per_s']:,.0f}",
            against(central["write_per_s"], needed, at_least=True),
        ),
        (
            "published, entries/s",
            f"{central['publish_per_s']:,.0f}",
            "",
            against(central["publish_per_s"], needed, at_least=True),
        ),
    ]
    rows += [
        (
            f"shop: {text}, members/s",
            f"{edge[name]:,.0f}",
            f"bare INSERT {edge['bare_per_s']:,.0f}",
            against(edge[name], TARGET_APPLY_PER_S, at_least=True),
        )
        for text, name in (
            ("page by page", "pages_per_s"),
            ("all of them changed", "again_per_s"),
            ("as one checkpoint", "checkpoint_per_s"),
            ("as a snapshot, all changed", "snapshot_per_s"),
        )
    ]
    rows += [
        (
            f"shop: longest transaction, {text}, s",
            f"{edge[name]:.3f}",
            f"all in one {edge['one_transaction_s']:.2f}",
            "",
        )
        for text, name in (
            ("one checkpoint", "checkpoint_longest_s"),
            ("snapshot, all changed", "snapshot_longest_s"),
            ("snapshot, nothing changed", "same_snapshot_longest_s"),
        )
    ]
    report(
        "feed",
        f"The feed: {changes:,} changes, {MEMBERS:,} members",
        ("", "measured", "beside it", "target"),
        rows,
        {
            "seed": seed,
            "written": load.written,
            "transactions": load.transactions,
            "missed": load.missed,
            "duplicated": load.duplicated,
            "naive_missed": load.naive_missed,
            "writing_s": round(load.seconds, 1),
            "caught_up_s": round(load.caught_up_s, 1),
            "central": {name: round(value) for name, value in central.items()},
            "edge": {name: round(value, 3) for name, value in edge.items()},
        },
    )


if __name__ == "__main__":
    main()

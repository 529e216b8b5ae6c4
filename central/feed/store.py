"""Write to the change feed, publish what was written, and read it back.

A transaction only appends to the log. ``publish`` takes whole transactions out of it, none that a
running one may still precede (the snapshot's xmin): a slow writer's rows would otherwise get a
smaller place than rows already handed out, and be missed. What is read is what was published, so a
page is one state of it and its sums are exact.

A key of a topic is announced in one scope only: to every store, or store by store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from psycopg.rows import DictRow

from central.database.arrays import as_arrays
from central.database.pool import Connection, Pool, row_of, rows_of, run
from central.feed.plan import (
    Cursor,
    Read,
    Reset,
    Standing,
    answer_to,
    cut_page,
    read_cursor,
    removable,
    seal_cursor,
)
from shared.crypto.set_hash import BUCKETS, sum_bytes
from shared.errors import InputError
from shared.limits import (
    FEED_ENTRY_BYTES_MAX,
    FEED_PAGE_BYTES_MAX,
    FEED_PAGE_CHANGES_MAX,
    TOMBSTONE_KEEP_DAYS,
)
from shared.sqlfile import load_queries
from shared.wire.feed import (
    FeedBuckets,
    FeedChange,
    FeedPage,
    FeedRepair,
    FeedReset,
    Operation,
    Topic,
    TopicSum,
)

EVERY_STORE: Final = "*"
PUBLISH_ROWS_MAX: Final = 10_000
"""In one transaction of the publisher; a writer's transaction that is larger goes whole."""
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_QUERIES: Final = load_queries("central.feed")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to be announced. ``scope``: a store id or EVERY_STORE; ``entry`` None: deleted."""

    scope: str
    topic: Topic
    key: str
    entry: msgspec.Struct | None
    erase: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page ended, for whoever keeps note of readers."""

    generation: int
    position: int


async def put(
    connection: Connection, scope: str, topic: Topic, entries: dict[str, msgspec.Struct]
) -> None:
    """Announce the present state of every key; ``scope``: a store id or EVERY_STORE.

    Call it after the thing itself was written or locked: of two transactions that announce one key
    the later in that order has the last word.

    Raises:
        InputError: ``feed_entry_too_large``.
    """
    await write(
        connection,
        [Change(scope=scope, topic=topic, key=key, entry=entry) for key, entry in entries.items()],
    )


async def delete(
    connection: Connection, scope: str, topic: Topic, keys: Iterable[str], *, erase: bool = False
) -> None:
    """Announce that these keys are no more; ``erase``: their files may hold no trace either."""
    await write(
        connection,
        [Change(scope=scope, topic=topic, key=key, entry=None, erase=erase) for key in keys],
    )


async def write(connection: Connection, changes: Sequence[Change]) -> None:
    """Announce changes of any scopes and topics in one statement, thousands at once.

    Raises:
        InputError: ``feed_entry_too_large``.
    """
    if not changes:
        return
    payloads = [b"" if change.entry is None else _ENCODE(change.entry) for change in changes]
    for change, payload in zip(changes, payloads, strict=True):
        if len(payload) > FEED_ENTRY_BYTES_MAX:
            raise InputError(
                f"{change.topic} {change.key} has more than {FEED_ENTRY_BYTES_MAX} bytes",
                code="feed_entry_too_large",
            )
    await run(
        connection,
        _QUERIES["write"],
        as_arrays(
            {
                "scopes": [change.scope for change in changes],
                "topics": [change.topic.value for change in changes],
                "keys": [change.key for change in changes],
                "operations": [_operation(change).value for change in changes],
                "payloads": payloads,
            }
        ),
    )


async def publish(connection: Connection, *, rows_max: int = PUBLISH_ROWS_MAX) -> int | None:
    """Take what can be taken from the log, in a transaction of its own; how many rows it was.

    None: somebody else is publishing.
    """
    turn = await row_of(connection, _QUERIES["publish_turn"])
    if turn is None or not turn["mine"]:
        return None
    await run(connection, _QUERIES["no_jit"])
    row = await row_of(connection, _QUERIES["publish"], {"rows_max": rows_max})
    assert row is not None, "an aggregate always gives a row"
    return int(row["taken"])


async def log_waits(connection: Connection) -> bool:
    """Whether something was written that is not published."""
    row = await row_of(connection, _QUERIES["log_waits"])
    return row is not None and bool(row["waits"])


async def heads_after(connection: Connection, position: int) -> dict[str, int]:
    """The scopes in which something was published after ``position``, with their heads."""
    rows = await rows_of(connection, _QUERIES["heads_after"], {"after": position})
    return {row["scope"]: row["head"] for row in rows}


async def horizon_holders(connection: Connection, older_s: int) -> list[DictRow]:
    """Transactions (pid, application, state, age_s) that have kept the log waiting for so long."""
    return await rows_of(connection, _QUERIES["horizon_holders"], {"older_s": older_s})


async def read(
    connection: Connection, store_id: str, cursor: str, *, pages_only: bool = False
) -> tuple[FeedPage, Place] | Reset:
    """What a store has to know after ``cursor`` (empty: from the beginning).

    The transaction must be new, and may not be used for anything else. ``pages_only``: the agent is
    of the first release, which knows no snapshots.

    Raises:
        InputError: the cursor has the form of no central's cursor.
    """
    await run(connection, _QUERIES["snapshot_isolation"])
    return await _read(connection, store_id, cursor, pages_only=pages_only)


async def read_buckets(
    connection: Connection, store_id: str, cursor: str, topic: str
) -> FeedBuckets | Reset:
    """A topic's sums by bucket, after the page that leads to them. Raises as ``read``."""
    await run(connection, _QUERIES["snapshot_isolation"])
    found = await _read(connection, store_id, cursor)
    if isinstance(found, Reset):
        return found
    page, _ = found
    totals: list[bytes] = []
    if page.complete:
        rows = await rows_of(
            connection, _QUERIES["bucket_sums"], {"store_id": store_id, "topic": topic}
        )
        by_bucket = {row["bucket"]: int(row["total"]) for row in rows}
        totals = [sum_bytes(by_bucket.get(bucket, 0)) for bucket in range(BUCKETS)]
    return FeedBuckets(page=page, topic=topic, totals=totals)


async def read_repair(
    connection: Connection, store_id: str, cursor: str, topic: str, buckets: Sequence[int]
) -> FeedRepair | Reset:
    """All entries of as many of these buckets as fit a page, at least one. Raises as ``read``."""
    await run(connection, _QUERIES["snapshot_isolation"])
    found = await _read(connection, store_id, cursor)
    if isinstance(found, Reset):
        return found
    page, _ = found
    told: list[int] = []
    changes: list[FeedChange] = []
    if page.complete:
        asked = sorted(set(buckets))
        wanted = {"store_id": store_id, "topic": topic, "buckets": asked}
        sizes = {
            row["bucket"]: row["size_bytes"]
            for row in await rows_of(connection, _QUERIES["bucket_sizes"], wanted)
        }
        told = _that_fit(asked, sizes)
        rows = await rows_of(connection, _QUERIES["bucket_entries"], wanted | {"buckets": told})
        changes = [_change(row) for row in rows]
    return FeedRepair(page=page, topic=topic, buckets=told, changes=changes)


async def note_reader(connection: Connection, edge_id: int, store_id: str, place: Place) -> None:
    """An agent asks for what follows ``place``, so it has all before it."""
    await run(
        connection,
        _QUERIES["note_reader"],
        {
            "edge_id": edge_id,
            "store_id": store_id,
            "generation": place.generation,
            "position": place.position,
        },
    )


async def confirm_reader(connection: Connection, edge_id: int, cursor: str) -> None:
    """An agent says which checkpoint it has in force: what was to be erased before it, is."""
    place = await place_of(connection, cursor)
    if place is not None:
        await run(
            connection,
            _QUERIES["confirm_reader"],
            {"edge_id": edge_id, "generation": place.generation, "position": place.position},
        )


async def place_of(connection: Connection, cursor: str) -> Place | None:
    """What a cursor of this central says; None when it is empty, or of no cursor's form."""
    row = await row_of(connection, _QUERIES["standing"], {"store_id": EVERY_STORE})
    assert row is not None, "the migration made the row"
    try:
        found = read_cursor(cursor, row["secret"]) if cursor else None
    except InputError:
        return None
    return None if found is None else Place(generation=found.generation, position=found.position)


async def erasures_unconfirmed(connection: Connection, *, limit: int = 100) -> list[DictRow]:
    """Erasures (scope, topic, key, published_at, edge_ids) that agents have not reported done."""
    return await rows_of(connection, _QUERIES["erasures_unconfirmed"], {"limit": limit})


async def report(connection: Connection) -> DictRow:
    """For an operator: generation and head, what waits in the log, readers, erasures owed."""
    row = await row_of(connection, _QUERIES["report"])
    assert row is not None, "the migration made the row"
    owed = await erasures_unconfirmed(connection)
    return row | {
        "erasures_owed": [
            {"topic": one["topic"], "key": one["key"], "edge_ids": one["edge_ids"]} for one in owed
        ]
    }


async def begin_generation(connection: Connection, generation: int) -> None:
    """Give all cursors of ``generation`` up: every agent compares all it has with a snapshot."""
    await row_of(connection, _QUERIES["new_generation"], {"generation": generation})


async def remove_tombstones(connection: Connection, *, now_ms: int) -> int:
    """Forget deletions that need not be told any longer; in how many scopes some went."""
    tombstones: dict[str, list[tuple[int, int]]] = {}
    for row in await rows_of(connection, _QUERIES["tombstones"]):
        tombstones.setdefault(row["scope"], []).append((row["position"], row["published_at_ms"]))
    if not tombstones:
        return 0
    cursors: dict[str, list[int]] = {}
    for row in await rows_of(connection, _QUERIES["live_cursors"], {"days": TOMBSTONE_KEEP_DAYS}):
        cursors.setdefault(row["scope"], []).append(row["position"])
    touched = 0
    for scope, found in sorted(tombstones.items()):
        until = removable(found, cursors.get(scope, ()), now_ms=now_ms)
        if until:
            touched += 1
            for name in ("remove_tombstones", "move_horizon"):
                await run(connection, _QUERIES[name], {"scope": scope, "until": until})
    return touched


async def standing_of(connection: Connection, store_id: str) -> tuple[Standing, bytes]:
    """Where the feed is for a store's readers, and the secret of its cursors."""
    row = await row_of(connection, _QUERIES["standing"], {"store_id": store_id})
    assert row is not None, "the migration made the row"
    standing = Standing(
        generation=row["generation"],
        head=row["head"],
        horizon=row["horizon"],
        entries=row["entries"],
    )
    return standing, row["secret"]


async def read_page(
    pool: Pool, store_id: str, cursor: str, *, pages_only: bool
) -> tuple[FeedPage, Place] | FeedReset:
    """``read`` in a transaction of its own.

    A central that finds out by it that it was restored begins a new generation.
    """
    async with pool.connection() as connection:
        found = await read(connection, store_id, cursor, pages_only=pages_only)
    return await reset_or(pool, found)


async def reset_or(pool: Pool, found: _Found | Reset) -> _Found | FeedReset:
    """What was found, or the reset as it is sent, after a lost state was noted."""
    if not isinstance(found, Reset):
        return found
    if found.lost:
        async with pool.connection() as connection:
            standing, _ = await standing_of(connection, EVERY_STORE)
        async with pool.connection() as connection:
            await begin_generation(connection, standing.generation)
    return FeedReset(reason=found.reason)


async def _read(
    connection: Connection, store_id: str, cursor: str, *, pages_only: bool = False
) -> tuple[FeedPage, Place] | Reset:
    standing, secret = await standing_of(connection, store_id)
    known = read_cursor(cursor, secret) if cursor else None
    answer = answer_to(known, standing, empty=not cursor, pages_only=pages_only)
    if isinstance(answer, Reset):
        return answer
    return await _page(connection, store_id, answer, standing, secret)


async def _page(
    connection: Connection, store_id: str, answer: Read, standing: Standing, secret: bytes
) -> tuple[FeedPage, Place]:
    limit = FEED_PAGE_CHANGES_MAX
    rows = await rows_of(
        connection,
        _QUERIES["page"],
        {"store_id": store_id, "after": answer.after, "limit": limit},
    )
    changes = [_change(row) for row in rows]
    page, complete = cut_page(changes, more=len(rows) == limit)
    position = rows[len(page) - 1]["position"] if page else answer.after
    sums: list[TopicSum] = []
    if complete:
        found = await rows_of(connection, _QUERIES["sums"], {"store_id": store_id})
        sums = [
            TopicSum(topic=row["topic"], total=sum_bytes(int(row["total"])), count=row["entries"])
            for row in found
        ]
    place = Place(generation=standing.generation, position=position)
    cursor = Cursor(generation=place.generation, position=place.position)
    return (
        FeedPage(cursor=seal_cursor(cursor, secret), changes=page, complete=complete, sums=sums),
        place,
    )


def _operation(change: Change) -> Operation:
    if change.entry is not None:
        return Operation.PUT
    return Operation.ERASE if change.erase else Operation.DELETE


def _change(row: DictRow) -> FeedChange:
    return FeedChange(
        topic=row["topic"],
        key=row["key"],
        operation=Operation(row["operation"]),
        version=row["version"],
        payload=row["payload"],
    )


def _that_fit(buckets: Sequence[int], sizes: dict[int, int]) -> list[int]:
    told: list[int] = []
    size_bytes = 0
    for bucket in buckets:
        size_bytes += sizes.get(bucket, 0)
        if told and size_bytes > FEED_PAGE_BYTES_MAX:
            break
        told.append(bucket)
    return told

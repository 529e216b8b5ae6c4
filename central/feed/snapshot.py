"""Snapshots: all that a scope holds, in pieces named by their content, made once for all readers.

A store's snapshot is that of every store and its own, one after the other. They may be of different
moments: the feed goes on after the earlier one, and what it repeats of the later one is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec
import zstandard

from central.database.pool import Connection, Pool, row_of, run
from central.feed import store
from central.feed.plan import ChunkCutter, Cursor, seal_cursor, snapshot_serves
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.wire.feed import ChunkRef, FeedChange, Operation, SnapshotManifest

_QUERIES: Final = load_queries("central.feed")
SNAPSHOT_KEEP_DAYS: Final = 3
"""At 64 kbit/s 2 GB come through in that time; what is fetched again meanwhile is little."""
_FETCH_ROWS: Final = 2_000
_LEVEL: Final = 3
_REFS: Final = msgspec.msgpack.Decoder(list[ChunkRef])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    generation: int
    as_of: int
    chunks: list[ChunkRef]


async def manifest_of(pool: Pool, store_id: str) -> SnapshotManifest:
    """The pieces of a store's snapshot, made now if there is none that will do."""
    while True:
        parts = [await _part(pool, scope, store_id) for scope in (store.EVERY_STORE, store_id)]
        async with pool.connection() as connection:
            standing, secret = await store.standing_of(connection, store_id)
        # A new generation may begin between the two: once in years.
        if all(part.generation == standing.generation for part in parts):
            break
    cursor = Cursor(generation=standing.generation, position=min(part.as_of for part in parts))
    return SnapshotManifest(
        cursor=seal_cursor(cursor, secret),
        chunks=[chunk for part in parts for chunk in part.chunks],
    )


async def chunk_of(connection: Connection, store_id: str, sha256: bytes) -> bytes:
    """The bytes of a piece that this store may read.

    Raises:
        NotFoundError: there is no such piece any longer.
    """
    row = await row_of(connection, _QUERIES["chunk"], {"store_id": store_id, "sha256": sha256})
    if row is None:
        raise NotFoundError(
            "there is no such piece of a snapshot", hint="Ask for the snapshot again."
        )
    return bytes(row["data"])


async def forget_old(connection: Connection) -> None:
    """Forget what nobody can still be fetching; it may name people who were erased since."""
    for name in ("forget_old_snapshots", "forget_old_chunks"):
        await run(connection, _QUERIES[name], {"days": SNAPSHOT_KEEP_DAYS})


async def _part(pool: Pool, scope: str, store_id: str) -> _Part:
    async with pool.connection() as connection:
        usable = await _usable(connection, scope, store_id)
    if usable is not None:
        return usable
    async with pool.connection() as lock:
        await run(lock, _QUERIES["snapshot_turn"], {"scope": scope})
        async with pool.connection() as connection:
            usable = await _usable(connection, scope, store_id)
        return usable or await _build(pool, scope)


async def _usable(connection: Connection, scope: str, store_id: str) -> _Part | None:
    """The scope's snapshot if this store can go on after it.

    The horizon is that of both scopes, for the store's one cursor is measured by both.
    """
    row = await row_of(connection, _QUERIES["snapshot"], {"scope": scope})
    standing, _ = await store.standing_of(connection, store_id)
    if row is None or row["generation"] != standing.generation:
        return None
    if not snapshot_serves(
        as_of=row["as_of"],
        horizon=standing.horizon,
        head=standing.head,
        age_ms=row["age_ms"],
    ):
        return None
    return _Part(
        generation=row["generation"], as_of=row["as_of"], chunks=_REFS.decode(row["chunks"])
    )


async def _build(pool: Pool, scope: str) -> _Part:
    """Make a scope's snapshot.

    Read in one transaction, write in many short ones: a long one that writes would hold back the
    feed itself.
    """
    refs: list[ChunkRef] = []
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    async with pool.connection() as reading:
        await run(reading, _QUERIES["snapshot_isolation"])
        standing, _ = await store.standing_of(reading, scope)
        async for chunk in _chunks(reading, scope):
            raw = msgspec.msgpack.encode(chunk)
            data = compressor.compress(raw)
            sha256 = hashlib.sha256(data).digest()
            refs.append(ChunkRef(sha256=sha256, size_bytes=len(data), raw_bytes=len(raw)))
            async with pool.connection() as writing:
                values = {"scope": scope, "sha256": sha256, "data": data}
                await run(writing, _QUERIES["put_chunk"], values)
    async with pool.connection() as writing:
        await run(
            writing,
            _QUERIES["put_snapshot"],
            {
                "scope": scope,
                "generation": standing.generation,
                "as_of": standing.head,
                "chunks": msgspec.msgpack.encode(refs),
            },
        )
        await run(
            writing,
            _QUERIES["forget_chunks"],
            {"scope": scope, "kept": [ref.sha256 for ref in refs]},
        )
    return _Part(generation=standing.generation, as_of=standing.head, chunks=refs)


async def _chunks(connection: Connection, scope: str) -> AsyncIterator[list[FeedChange]]:
    cutter = ChunkCutter()
    async with connection.cursor(name="feed_snapshot") as cursor:
        cursor.itersize = _FETCH_ROWS
        await cursor.execute(_QUERIES["entries_sorted"].encode(), {"scope": scope})
        async for row in cursor:
            whole = cutter.add(
                FeedChange(
                    topic=row["topic"],
                    key=row["key"],
                    operation=Operation.PUT,
                    version=row["version"],
                    payload=row["payload"],
                )
            )
            if whole:
                yield whole
    if rest := cutter.rest():
        yield rest

"""Apply what central's feed tells, checkpoint by checkpoint: whole, with its cursor, or not at all.

The pages of one checkpoint wait in a table of their own until its last one is here; then all of
them are applied in one transaction. A snapshot waits in the same table, piece by piece, while the
shop goes on with what it had; the pages after it make a checkpoint of it, and in that transaction
only what differs is changed and what the snapshot does not hold is forgotten.

A key's version never goes back, and a deleted key keeps its version: a page seen again, or an old
one that comes late, changes nothing. Only a snapshot and a repair, which tell everything, may
replace a newer version by an older one: of a central that was restored.

Everything that writes here runs as one writer job.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw
import msgspec
import zstandard

from edge_agent.uplink.topics import PLACES, Place, Puts, entry_of
from shared.crypto.set_hash import (
    BUCKETS,
    add_to_sum,
    bucket_of,
    entry_hash,
    sum_bytes,
    sum_of_bytes,
)
from shared.errors import TrustError
from shared.limits import FEED_CHUNK_RAW_BYTES_MAX, FEED_CHUNKS_MAX
from shared.sqlfile import load_queries
from shared.wire.feed import (
    ChunkRef,
    FeedChange,
    FeedPage,
    FeedRepair,
    Operation,
    SnapshotManifest,
    Topic,
)

SLICE_KEYS: Final = 2_000
"""Changes that are looked up and written together: the memory that any checkpoint takes."""
_GONE: Final = b""
_QUERIES: Final = load_queries("edge_agent.uplink")
_OPERATIONS: Final = {operation.value: operation for operation in Operation}
_CHANGES: Final = msgspec.msgpack.Decoder(list[FeedChange])


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a page came to.

    ``staged``: its changes wait for the rest of their checkpoint. Otherwise a checkpoint is in
    force: so many changes applied and passed over, whether another bundle is wanted, and the topics
    that do not add up to what central says. ``unknown`` changes are of topics that a newer central
    knows; ``erased`` keys may still stand in the database's log.
    """

    staged: bool = False
    applied: int = 0
    stale: int = 0
    unknown: int = 0
    erased: int = 0
    bundle_wanted: bool = False
    diverged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """How far this shop is.

    ``cursor``: of the checkpoint in force; ``reading``: where the next one was read to (empty:
    nothing waits); ``rebuilding``: that one is a snapshot.
    ``missing``: the next piece of it to be fetched. ``orphaned``: there are entries, but no cursor
    says of which state.
    """

    cursor: str
    reading: str
    rebuilding: bool
    missing: ChunkRef | None
    orphaned: bool

    @property
    def asks_after(self) -> str:
        """The cursor to ask central with."""
        return self.reading or self.cursor


@dataclass(slots=True, kw_only=True)
class _Tally:
    applied: int = 0
    stale: int = 0
    unknown: int = 0
    erased: int = 0
    bundle_wanted: bool = False
    totals: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)


def feed_cursor(connection: apsw.Connection) -> str:
    """The cursor of the checkpoint in force; empty before the first."""
    return feed_state(connection).cursor


def feed_state(connection: apsw.Connection) -> FeedState:
    """How far this shop is."""
    row: Any = connection.execute(_QUERIES["feed_state"]).fetchone()
    cursor, reading, rebuilding = row or ("", "", 0)
    missing = None
    if rebuilding:
        for _, sha256, size_bytes, raw_bytes, staged in connection.execute(_QUERIES["chunks"]):
            if not staged:
                missing = ChunkRef(sha256=sha256, size_bytes=size_bytes, raw_bytes=raw_bytes)
            break
    orphaned = not cursor and not rebuilding and bool(connection.execute(_QUERIES["any_key"]).get)
    return FeedState(
        cursor=cursor,
        reading=reading,
        rebuilding=bool(rebuilding),
        missing=missing,
        orphaned=orphaned,
    )


def apply_page(connection: apsw.Connection, page: FeedPage) -> Applied:
    """Take a page: let it wait, or put its checkpoint in force together with all that waited.

    Raises:
        TrustError: ``bad_feed_change``: a payload is not what its topic says, or names another
            key; ``snapshot_mismatch``: a snapshot does not add up to what central says of it.
            Nothing of the checkpoint may be kept, and what waited is not good for anything.
    """
    state = feed_state(connection)
    assert state.missing is None, "pages follow when the snapshot is here"
    if not page.complete:
        _stage(connection, page.changes, chunk=0)
        _put_state(
            connection, cursor=state.cursor, reading=page.cursor, rebuilding=state.rebuilding
        )
        return Applied(staged=True)
    tally = _begin(connection)
    if state.rebuilding or state.reading:
        _stage(connection, page.changes, chunk=0)
        _apply_staged(connection, tally, replace=state.rebuilding)
        forget_staged(connection)
        if state.rebuilding:
            for topic in PLACES:
                _recount(connection, topic, tally)
    else:
        _apply(connection, page.changes, tally, replace=False)
    _finish(connection, tally)
    _put_state(connection, cursor=page.cursor, reading="", rebuilding=False)
    diverged = _diverged(page, tally)
    if state.rebuilding and diverged:
        raise TrustError(
            f"the snapshot does not add up in {', '.join(diverged)}",
            code="snapshot_mismatch",
            hint="It is fetched again; if it stays, look at the log of head office.",
        )
    return Applied(
        applied=tally.applied,
        stale=tally.stale,
        unknown=tally.unknown,
        erased=tally.erased,
        bundle_wanted=tally.bundle_wanted,
        diverged=diverged,
    )


def diverged_from(connection: apsw.Connection, page: FeedPage) -> tuple[str, ...]:
    """The topics that do not add up to what a page says that ends the checkpoint in force."""
    return _diverged(page, _begin(connection))


def begin_rebuild(connection: apsw.Connection, manifest: SnapshotManifest) -> None:
    """Fetch this snapshot next; pieces of an earlier attempt that it still names are kept.

    Raises:
        TrustError: ``bad_snapshot``: more pieces than a snapshot may have.
    """
    if len(manifest.chunks) > FEED_CHUNKS_MAX:
        raise TrustError("a snapshot has too many pieces", code="bad_snapshot")
    row: Any = connection.execute(_QUERIES["feed_state"]).fetchone()
    cursor, _, rebuilding = row or ("", "", 0)
    chunks: list[Any] = connection.execute(_QUERIES["chunks"]).fetchall()
    wanted = {chunk.sha256 for chunk in manifest.chunks}
    # When pages came after the pieces, some rows of the pieces were overwritten by them.
    if not rebuilding or all(staged for *_, staged in chunks):
        forget_staged(connection)
    else:
        for number, sha256, *_ in chunks:
            if sha256 not in wanted:
                connection.execute(_QUERIES["forget_staged_chunk"], {"number": number})
                connection.execute(_QUERIES["forget_chunk"], {"number": number})
    connection.executemany(
        _QUERIES["put_chunk"],
        [(chunk.sha256, chunk.size_bytes, chunk.raw_bytes) for chunk in manifest.chunks],
    )
    _put_state(connection, cursor=cursor, reading=manifest.cursor, rebuilding=True)


def stage_chunk(connection: apsw.Connection, chunk: ChunkRef, data: bytes) -> None:
    """Keep a piece of the snapshot that is being fetched.

    Raises:
        TrustError: ``bad_snapshot``: it is not the piece that was named, or cannot be read.
    """
    changes = open_chunk(chunk, data)
    rows: list[Any] = connection.execute(_QUERIES["chunks"]).fetchall()
    for number, sha256, *_ in rows:
        if sha256 == chunk.sha256:
            _stage(connection, changes, chunk=number)
            connection.execute(_QUERIES["chunk_staged"], {"number": number})


def open_chunk(chunk: ChunkRef, data: bytes) -> list[FeedChange]:
    """The changes in a piece. Raises as ``stage_chunk``."""
    if hashlib.sha256(data).digest() != chunk.sha256:
        raise TrustError("a piece of the snapshot is not the one named", code="bad_snapshot")
    try:
        # The frame is opened into a buffer of just this size: more does not come out of it.
        if not 0 <= zstandard.frame_content_size(data) <= FEED_CHUNK_RAW_BYTES_MAX:
            raise TrustError("a piece of the snapshot is too large", code="bad_snapshot")
        raw = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        return _CHANGES.decode(raw)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise TrustError("a piece of the snapshot cannot be read", code="bad_snapshot") from error


def truncate_log(connection: apsw.Connection) -> bool:
    """Empty the database's log, in which erased entries may stand; False: somebody reads now.

    For a connection outside a transaction; one that only reads may do it.
    """
    row: Any = connection.execute(_QUERIES["truncate_log"]).fetchone()
    return row is None or row[0] == 0


def forget_staged(connection: apsw.Connection) -> None:
    """Let go of what waits: read on from the checkpoint in force."""
    connection.execute(_QUERIES["forget_staged"])
    connection.execute(_QUERIES["forget_chunks"])
    row: Any = connection.execute(_QUERIES["feed_state"]).fetchone()
    if row is not None:
        _put_state(connection, cursor=row[0], reading="", rebuilding=False)


def bucket_sums(connection: apsw.Connection, topic: str) -> list[int]:
    """What a topic's entries add up to, by bucket of the key."""
    totals = [0] * BUCKETS
    for key, found in connection.execute(_QUERIES["topic_keys"], {"topic": topic}):
        bucket = bucket_of(str(key))
        totals[bucket] = add_to_sum(totals[bucket], sum_of_bytes(_bytes(found)))
    return totals


def recount(connection: apsw.Connection, topic: str) -> None:
    """Add a topic up anew: its buckets are as central's, so it is the sum that was wrong."""
    tally = _begin(connection)
    _recount(connection, topic, tally)
    _finish(connection, tally)


def bad_buckets(ours: Sequence[int], theirs: Sequence[bytes]) -> list[int]:
    """The buckets that differ."""
    return [
        bucket
        for bucket, (total, told) in enumerate(zip(ours, theirs, strict=True))
        if sum_bytes(total) != told
    ]


def apply_repair(connection: apsw.Connection, repair: FeedRepair) -> Applied:
    """Put the page's checkpoint in force, and some buckets of a topic as central has them.

    Raises:
        TrustError: as ``apply_page``.
    """
    applied = apply_page(connection, repair.page)
    if applied.staged or repair.topic not in PLACES:
        return applied
    told = {change.key for change in repair.changes}
    buckets = set(repair.buckets)
    tally = _begin(connection)
    ghosts = [
        str(key)
        for key, _ in connection.execute(_QUERIES["topic_keys"], {"topic": repair.topic})
        if str(key) not in told and bucket_of(str(key)) in buckets
    ]
    _drop(connection, repair.topic, ghosts, tally)
    _apply(connection, repair.changes, tally, replace=True, anew=True)
    _finish(connection, tally)
    return Applied(
        applied=applied.applied + tally.applied,
        stale=applied.stale,
        unknown=applied.unknown,
        erased=applied.erased + tally.erased,
        bundle_wanted=applied.bundle_wanted or tally.bundle_wanted,
        diverged=_diverged(repair.page, tally),
    )


def check_entries(
    connection: apsw.Connection, topic: str, after: str, *, limit: int = SLICE_KEYS
) -> tuple[str | None, int]:
    """Compare some rows of a topic with the hash they came with, and let its sum follow the rows.

    What was damaged then differs from central's sum at the next checkpoint, and is repaired.

    Returns:
        The key to go on after, None at the end; and how many rows were not what they were.
    """
    stored = PLACES[topic].stored
    assert stored is not None, "only such topics are checked"
    rows: list[Any] = connection.execute(
        _QUERIES["keys_after"], {"topic": topic, "after": after, "limit": limit}
    ).fetchall()
    found = stored(connection, [key for key, *_ in rows])
    tally = _begin(connection)
    changed: list[tuple[str, str, int, bytes]] = []
    for key, version, known in rows:
        payload = found.get(key)
        real = 0 if payload is None else entry_hash(topic, key, version, payload)
        if payload is None or sum_bytes(real) != known:
            _count(tally, topic, real - sum_of_bytes(known), -1 if payload is None else 0)
            mark = _GONE if payload is None else sum_bytes(real)
            changed.append((topic, key, version, mark))
    if changed:
        connection.executemany(_QUERIES["put_key"], changed)
        _finish(connection, tally)
    return (rows[-1][0] if len(rows) == limit else None), len(changed)


def _apply_staged(connection: apsw.Connection, tally: _Tally, *, replace: bool) -> None:
    topics = {str(topic) for (topic,) in connection.execute(_QUERIES["staged_topics"])}
    if replace:
        topics |= {str(topic) for (topic,) in connection.execute(_QUERIES["known_topics"])}
    for topic in sorted(topics):
        if replace and topic in PLACES:
            rows: list[Any] = connection.execute(_QUERIES["ghosts"], {"topic": topic}).fetchall()
            _drop(connection, topic, [key for (key,) in rows], tally)
        for changes in _staged_slices(connection, topic):
            _apply(connection, changes, tally, replace=replace)


def _staged_slices(connection: apsw.Connection, topic: str) -> Iterator[list[FeedChange]]:
    after = ""
    while True:
        rows: list[Any] = connection.execute(
            _QUERIES["staged_after"], {"topic": topic, "after": after, "limit": SLICE_KEYS}
        ).fetchall()
        if rows:
            yield [
                FeedChange(
                    topic=topic,
                    key=key,
                    operation=_OPERATIONS[operation],
                    version=version,
                    payload=payload,
                )
                for key, version, operation, payload in rows
            ]
            after = rows[-1][0]
        if len(rows) < SLICE_KEYS:
            return


def _apply(
    connection: apsw.Connection,
    changes: Iterable[FeedChange],
    tally: _Tally,
    *,
    replace: bool,
    anew: bool = False,
) -> None:
    """``replace``: what is told counts whatever its version; ``anew``: even if it is known."""
    by_topic: dict[str, dict[str, FeedChange]] = {}
    for change in changes:
        if change.topic not in PLACES:
            tally.unknown += 1
            continue
        last = by_topic.setdefault(change.topic, {})
        if change.key in last:
            tally.stale += 1
        if change.key not in last or change.version > last[change.key].version:
            last[change.key] = change
    for topic, last in by_topic.items():
        # A snapshot's deletions were applied with its ghosts.
        told = [key for key, change in last.items() if _exists(change) or not replace]
        for keys in _slices(told):
            _apply_slice(connection, topic, [last[key] for key in keys], tally, replace, anew)


def _apply_slice(
    connection: apsw.Connection,
    topic: str,
    changes: Sequence[FeedChange],
    tally: _Tally,
    replace: bool,
    anew: bool,
) -> None:
    place: Place = PLACES[topic]
    known = _known(connection, topic, [change.key for change in changes])
    puts: list[FeedChange] = []
    gone: list[str] = []
    erased: list[tuple[str, str]] = []
    rows: list[tuple[str, str, int, bytes]] = []
    added = entries = 0
    for change in changes:
        version, old = known.get(change.key, (-1, _GONE))
        if not replace and change.version <= version:
            tally.stale += 1
            continue
        if _exists(change):
            new = entry_hash(topic, change.key, change.version, change.payload)
            mark = sum_bytes(new)
            if mark == old and not anew:
                tally.stale += 1
                continue
            puts.append(change)
        else:
            new, mark = 0, _GONE
            gone.append(change.key)
        if change.operation is Operation.ERASE:
            erased.append((topic, change.key))
        else:
            rows.append((topic, change.key, change.version, mark))
        added += new - sum_of_bytes(old)
        entries += bool(mark) - bool(old)
    if gone:
        place.forget(connection, gone)
    if puts:
        told = [entry_of(change, place) for change in puts]
        place.put(connection, Puts(changes=puts, entries=told))
    connection.executemany(_QUERIES["put_key"], rows)
    # A key that names a person goes as well; central does not send older pages again.
    connection.executemany(_QUERIES["drop_key"], erased)
    _count(tally, topic, added, entries)
    tally.applied += len(rows) + len(erased)
    tally.erased += len(erased)
    tally.bundle_wanted = tally.bundle_wanted or (topic == Topic.BUNDLE and bool(rows))


def _drop(connection: apsw.Connection, topic: str, keys: Sequence[str], tally: _Tally) -> None:
    """Forget keys that central does not know of, and their versions."""
    for some in _slices(keys):
        known = _known(connection, topic, some)
        PLACES[topic].forget(connection, some)
        connection.executemany(_QUERIES["drop_key"], [(topic, key) for key in some])
        for _, old in known.values():
            _count(tally, topic, -sum_of_bytes(old), -bool(old))
        tally.applied += len(some)
        tally.erased += len(some)


def _known(
    connection: apsw.Connection, topic: str, keys: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    rows: Any = connection.execute(
        _QUERIES["known_keys"], {"topic": topic, "keys": json.dumps(keys)}
    )
    return {key: (version, known) for key, version, known in rows}


def _stage(connection: apsw.Connection, changes: Iterable[FeedChange], *, chunk: int) -> None:
    connection.executemany(
        _QUERIES["stage"],
        [
            (
                change.topic,
                change.key,
                change.version,
                change.operation.value,
                change.payload,
                chunk,
            )
            for change in changes
        ],
    )


def _put_state(connection: apsw.Connection, *, cursor: str, reading: str, rebuilding: bool) -> None:
    connection.execute(
        _QUERIES["put_feed_state"],
        {"cursor": cursor, "reading": reading, "rebuilding": int(rebuilding)},
    )


def _begin(connection: apsw.Connection) -> _Tally:
    tally = _Tally()
    for topic, total, entries in connection.execute(_QUERIES["sums"]):
        tally.totals[str(topic)] = sum_of_bytes(_bytes(total))
        tally.entries[str(topic)] = int(str(entries))
    return tally


def _count(tally: _Tally, topic: str, change: int, entries: int) -> None:
    tally.totals[topic] = add_to_sum(tally.totals.get(topic, 0), change)
    tally.entries[topic] = tally.entries.get(topic, 0) + entries


def _recount(connection: apsw.Connection, topic: str, tally: _Tally) -> None:
    tally.totals[topic] = tally.entries[topic] = 0
    for _, found in connection.execute(_QUERIES["topic_keys"], {"topic": topic}):
        _count(tally, topic, sum_of_bytes(_bytes(found)), 1)


def _finish(connection: apsw.Connection, tally: _Tally) -> None:
    connection.executemany(
        _QUERIES["put_sum"],
        [
            (topic, sum_bytes(total), max(tally.entries[topic], 0))
            for topic, total in tally.totals.items()
        ],
    )


def _diverged(page: FeedPage, tally: _Tally) -> tuple[str, ...]:
    if not page.sums:
        return ()  # an older central does not say
    theirs = {one.topic: sum_of_bytes(one.total) for one in page.sums}
    return tuple(
        sorted(topic for topic in PLACES if tally.totals.get(topic, 0) != theirs.get(topic, 0))
    )


def _exists(change: FeedChange) -> bool:
    return change.operation is Operation.PUT


def _slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), SLICE_KEYS):
        yield keys[start : start + SLICE_KEYS]


def _bytes(value: Any) -> bytes:
    assert isinstance(value, bytes), "hashes and sums are blobs"
    return value

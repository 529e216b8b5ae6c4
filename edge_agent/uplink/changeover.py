"""Put a large checkpoint in force without keeping the tills waiting.

A shop has one writer, and a checkpoint is shown whole or not at all. So its changes wait in a table
of their own until the last one is here; a snapshot waits there too, piece by piece, while the shop
goes on with what it had. Then, in steps of a few milliseconds between which the tills' own writes
have their turn:

* *prepare*: what each change comes to is written beside it; nothing is shown yet;
* *show*: one small transaction says that what waits counts from now on, and the views (``shown_…``
  in the schema) look there first: the checkpoint is in force, whole;
* *merge*: the changes are moved to their places, under the views, which show the same all along;
* *sweep*: what came to nothing goes.

Whatever is cut off goes on: before *show* from the beginning, after it where it was. Of
leases and of told uses there is no view: the writer decides by their rows, so they follow key by
key as if they had been told a moment later, which every right allows for.

Everything that writes here runs as one writer job.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import apsw
import msgspec
import zstandard

from edge_agent.loyalty import shown as loyalty
from edge_agent.uplink.apply import (
    STEP_KEYS,
    Decided,
    decide,
    note,
    note_keys,
    place_changes,
)
from edge_agent.uplink.feed_state import (
    GONE,
    Applied,
    Phase,
    Tally,
    begin_tally,
    feed_state,
    finish_tally,
    known_keys,
    put_state,
)
from edge_agent.uplink.topics import PLACES, entry_of
from shared.crypto.set_hash import sum_of_bytes
from shared.errors import TrustError
from shared.limits import FEED_CHUNK_RAW_BYTES_MAX, FEED_CHUNKS_MAX
from shared.sqlfile import load_queries
from shared.unreadable import UNREADABLE
from shared.wire.feed import ChunkRef, FeedChange, FeedPage, Operation, SnapshotManifest, Topic

LIGHT_STEP_KEYS: Final = 2_000
"""Rows that are only written or deleted in one step."""
_AT_ONCE: Final = (Topic.STORE, Topic.PEER, Topic.BUNDLE)
"""A shop knows few of these: they change their places when the checkpoint is shown."""
_FATES: Final = ("stale", "puts", "gone", "erased")
"""What is written beside a change by number: the list of ``Decided`` it stands in."""
_GHOST: Final = "ghost"
"""In place of an operation: the snapshot does not hold this key."""
_QUERIES: Final = load_queries("edge_agent.uplink")
_OPERATIONS: Final = {operation.value: operation for operation in Operation}
_OPERATIONS[_GHOST] = Operation.ERASE
_CHANGES: Final = msgspec.msgpack.Decoder(list[FeedChange])
_MERGED: Final = (Topic.LEASE, *(topic for topic in PLACES if topic != Topic.LEASE))
"""In this order: what may be spent no more is known first."""
_Merge = Callable[[apsw.Connection], bool]


def stage(connection: apsw.Connection, changes: Sequence[FeedChange], *, chunk: int = 0) -> None:
    """Let changes wait; a newer one of the same key takes the place of an older one."""
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


def note_read(connection: apsw.Connection, cursor: str) -> None:
    """The next checkpoint was read up to here."""
    state = feed_state(connection)
    put_state(connection, cursor=state.cursor, reading=cursor, rebuilding=state.rebuilding)


def begin_rebuild(connection: apsw.Connection, manifest: SnapshotManifest) -> bool:
    """Fetch this snapshot next; pieces of an earlier attempt that it still names are kept.

    False: what waits has to be swept away first (``sweep``).

    Raises:
        TrustError: ``bad_snapshot``: more pieces than a snapshot may have.
    """
    if len(manifest.chunks) > FEED_CHUNKS_MAX:
        raise TrustError("a snapshot has too many pieces", code="bad_snapshot")
    state = feed_state(connection)
    chunks: list[Any] = connection.execute(_QUERIES["chunks"]).fetchall()
    wanted = {chunk.sha256 for chunk in manifest.chunks}
    unwanted = any(staged and sha256 not in wanted for _, sha256, _, _, staged in chunks)
    # When pages came after the pieces, some rows of the pieces were overwritten by them.
    kept = state.rebuilding and not unwanted and not all(staged for *_, staged in chunks)
    if not kept:
        if connection.execute(_QUERIES["any_staged"]).get:
            discard(connection)
            return False
        connection.execute(_QUERIES["forget_chunks"])
    # One that is named no more cannot be fetched, and would be asked for for ever.
    connection.executemany(
        _QUERIES["forget_chunk"],
        [(sha256,) for _, sha256, *_ in chunks if sha256 not in wanted],
    )
    connection.executemany(
        _QUERIES["put_chunk"],
        [(chunk.sha256, chunk.size_bytes, chunk.raw_bytes) for chunk in manifest.chunks],
    )
    put_state(connection, cursor=state.cursor, reading=manifest.cursor, rebuilding=True)
    return True


def open_chunk(chunk: ChunkRef, data: bytes) -> list[FeedChange]:
    """The changes in a piece.

    Raises:
        TrustError: ``bad_snapshot``: it is not the piece that was named, or cannot be read.
    """
    if hashlib.sha256(data).digest() != chunk.sha256:
        raise TrustError("a piece of the snapshot is not the one named", code="bad_snapshot")
    try:
        # The frame is opened into a buffer of just this size: more does not come out of it.
        if not 0 <= zstandard.frame_content_size(data) <= FEED_CHUNK_RAW_BYTES_MAX:
            raise TrustError("a piece of the snapshot is too large", code="bad_snapshot")
        raw = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        return _CHANGES.decode(raw)
    except (zstandard.ZstdError, *UNREADABLE) as error:
        raise TrustError("a piece of the snapshot cannot be read", code="bad_snapshot") from error


def stage_chunk(
    connection: apsw.Connection, chunk: ChunkRef, changes: Sequence[FeedChange], *, last: bool
) -> None:
    """Let some changes of a piece wait; with its last ones the piece is here."""
    number = connection.execute(_QUERIES["chunk_number"], {"sha256": chunk.sha256}).get
    if not isinstance(number, int):
        return  # another snapshot is being fetched by now
    stage(connection, changes, chunk=number)
    if last:
        connection.execute(_QUERIES["chunk_staged"], {"number": number})


def discard(connection: apsw.Connection) -> None:
    """What waits is not good for anything: sweep it away, and read on from what is in force."""
    state = feed_state(connection)
    put_state(connection, cursor=state.cursor, reading=state.reading, phase=Phase.DISCARDING)


class Changeover:
    """One attempt to put in force what waits. ``page``: the last one, whose changes wait too."""

    def __init__(self, page: FeedPage) -> None:
        self._page = page
        self._tally = Tally()
        self._replace = False
        self._steps: deque[tuple[str, str]] | None = None
        self._after = ""

    def prepare(self, connection: apsw.Connection) -> bool:
        """Decide on some changes; True when all are decided on.

        Raises:
            TrustError: ``bad_feed_change``: a payload is not what its topic says, or names another
                key.
        """
        if self._steps is None:
            self._steps = self._plan(connection)
        if not self._steps:
            return True
        step, topic = self._steps[0]
        if self._do(connection, step, topic):
            self._steps.popleft()
            self._after = ""
        return not self._steps

    def show(self, connection: apsw.Connection) -> Applied:
        """Put it in force.

        Raises:
            TrustError: ``snapshot_mismatch``: a snapshot does not add up to what central says.
        """
        applied = self._tally.outcome(self._page)
        if self._replace and applied.diverged:
            raise TrustError(
                f"the snapshot does not add up in {', '.join(applied.diverged)}",
                code="snapshot_mismatch",
                hint="It is fetched again; if it stays, look at the log of head office.",
            )
        for topic in _AT_ONCE:
            while not _merge(connection, topic):
                pass
        finish_tally(connection, self._tally)
        state = feed_state(connection)
        put_state(
            connection,
            cursor=state.cursor,
            reading=self._page.cursor,
            rebuilding=state.rebuilding,
            phase=Phase.MERGING,
        )
        return applied

    def _plan(self, connection: apsw.Connection) -> deque[tuple[str, str]]:
        self._replace = feed_state(connection).rebuilding
        topics = {str(topic) for (topic,) in connection.execute(_QUERIES["staged_topics"])}
        if self._replace:
            # All that a topic adds up to comes from the snapshot.
            topics |= {str(topic) for (topic,) in connection.execute(_QUERIES["known_topics"])}
            for topic in PLACES:
                self._tally.count(topic, 0, 0)
        else:
            self._tally = begin_tally(connection)
        steps: deque[tuple[str, str]] = deque([("clean", "")])
        for topic in sorted(topics):
            if self._replace and topic in PLACES:
                steps.append(("ghosts", topic))
            steps.append(("rows", topic))
        return steps

    def _do(self, connection: apsw.Connection, step: str, topic: str) -> bool:
        if step == "clean":
            return loyalty.sweep(connection, LIGHT_STEP_KEYS)
        parameters = {"topic": topic, "after": self._after, "limit": STEP_KEYS}
        if step == "ghosts":
            ghosts: list[Any] = connection.execute(_QUERIES["ghosts"], parameters).fetchall()
            connection.executemany(
                _QUERIES["stage_ghost"], [(topic, key, _GHOST) for (key,) in ghosts]
            )
            self._after = ghosts[-1][0] if ghosts else ""
            return len(ghosts) < STEP_KEYS
        rows: list[Any] = connection.execute(_QUERIES["staged_after"], parameters).fetchall()
        if topic in PLACES:
            self._decide(connection, topic, [_change(topic, row) for row in rows])
        else:
            self._tally.unknown += len(rows)
        self._after = rows[-1][0] if rows else ""
        return len(rows) < STEP_KEYS

    def _decide(
        self, connection: apsw.Connection, topic: str, changes: Sequence[FeedChange]
    ) -> None:
        known = known_keys(connection, topic, [change.key for change in changes])
        decided = decide(topic, changes, known, replace=self._replace)
        entries = [entry_of(change, PLACES[topic]) for change in decided.puts]
        gone = [change.key for change in (*decided.gone, *decided.erased)]
        if topic == Topic.CUSTOMER:
            loyalty.expect_cards(connection, entries, gone)
        elif topic == Topic.BALANCE:
            loyalty.expect_balances(connection, entries, gone)
        fates = [(fate, getattr(decided, name)) for fate, name in enumerate(_FATES)]
        connection.executemany(
            _QUERIES["set_fate"],
            [
                (fate, decided.marks.get(change.key, GONE), topic, change.key)
                for fate, some in fates
                for change in some
            ],
        )
        note(self._tally, topic, decided)
        if self._replace:
            stays = [known[c.key][1] for c in decided.stale if c.operation is Operation.PUT]
            for mark in (*stays, *decided.marks.values()):
                self._tally.count(topic, sum_of_bytes(mark), 1)
        else:
            self._tally.count(topic, decided.added, decided.entries)


class Merging:
    """Move what is shown to its places; what is there needs no longer wait."""

    def __init__(self) -> None:
        self._steps: deque[_Merge] = deque(_merges())

    def step(self, connection: apsw.Connection) -> bool:
        """Move some changes; True when all are in their places."""
        if self._steps and self._steps[0](connection):
            self._steps.popleft()
        if not self._steps:
            state = feed_state(connection)
            put_state(
                connection,
                cursor=state.cursor,
                reading=state.reading,
                rebuilding=state.rebuilding,
                phase=Phase.SWEEPING,
            )
        return not self._steps


def sweep(connection: apsw.Connection) -> bool:
    """Take some of what waited away; True when nothing is left and the feed can be read on.

    Only then is the checkpoint central's to know of: what was erased by it is nowhere any more.
    """
    connection.execute(_QUERIES["sweep_staged"], {"limit": LIGHT_STEP_KEYS})
    if (
        not loyalty.sweep(connection, LIGHT_STEP_KEYS)
        or connection.execute(_QUERIES["any_staged"]).get
    ):
        return False
    connection.execute(_QUERIES["forget_chunks"])
    state = feed_state(connection)
    put_state(connection, cursor=state.reading if state.phase is Phase.SWEEPING else state.cursor)
    return True


def _merges() -> list[_Merge]:
    found: list[_Merge] = []
    for topic in _MERGED:
        found.append(partial(_merge, topic=topic))
        if topic == Topic.CUSTOMER:
            found.append(partial(loyalty.move_cards, limit=LIGHT_STEP_KEYS))
        elif topic == Topic.BALANCE:
            found.append(partial(loyalty.move_balances, limit=LIGHT_STEP_KEYS))
    return found


def _merge(connection: apsw.Connection, topic: str) -> bool:
    """Move some changes of a topic; True when no more of it wait."""
    parameters = {"topic": topic, "limit": STEP_KEYS}
    rows: list[Any] = connection.execute(_QUERIES["decided"], parameters).fetchall()
    decided = Decided()
    for *row, fate, mark in rows:
        change = _change(topic, row)
        getattr(decided, _FATES[fate]).append(change)
        if mark:
            decided.marks[change.key] = mark
    # What was worked out ahead is moved as it is (``loyalty.shown``).
    if topic == Topic.CUSTOMER:
        loyalty.move_members(
            connection,
            [(change.key, change.payload) for change in decided.puts],
            [change.key for change in (*decided.gone, *decided.erased)],
        )
    elif topic != Topic.BALANCE:
        place_changes(connection, topic, decided)
    note_keys(connection, topic, decided)
    connection.executemany(_QUERIES["drop_staged"], [(topic, key) for key, *_ in rows])
    return len(rows) < STEP_KEYS


def _change(topic: str, row: Sequence[Any]) -> FeedChange:
    key, version, operation, payload = row
    return FeedChange(
        topic=topic,
        key=key,
        operation=_OPERATIONS[operation],
        version=version,
        payload=payload,
    )

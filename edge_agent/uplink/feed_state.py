"""How far this shop is with the feed, and what its topics add up to."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from edge_agent.uplink.topics import PLACES
from shared.crypto.set_hash import add_to_sum, sum_bytes, sum_of_bytes
from shared.sqlfile import load_queries
from shared.wire.feed import ChunkRef, FeedPage

GONE: Final = b""
"""In place of the hash of an entry that is no more."""
_QUERIES: Final = load_queries("edge_agent.uplink")


class Phase(enum.IntEnum):
    """What is done with the changes that wait (``changeover``)."""

    READING = 0
    """They come in, or there are none."""
    MERGING = 1
    """They are shown, and moved to their places little by little."""
    SWEEPING = 2
    """They are in their places, and go."""
    DISCARDING = 3
    """They are not good for anything, and go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """How far this shop is.

    ``cursor``: of the checkpoint in force; ``reading``: where the next one was read to (empty:
    nothing waits); ``rebuilding``: that one is a snapshot.
    ``missing``: the next piece of it to be fetched; ``staged``: some of it is here.
    ``orphaned``: there are entries, but no cursor
    says of which state.
    """

    cursor: str
    reading: str
    rebuilding: bool
    phase: Phase
    missing: ChunkRef | None
    staged: bool
    orphaned: bool

    @property
    def asks_after(self) -> str:
        """The cursor to ask central with."""
        return self.reading or self.cursor

    @property
    def waits(self) -> bool:
        """Whether changes wait for the rest of their checkpoint, be it of an attempt cut off."""
        return bool(self.reading) or self.rebuilding or self.staged


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a checkpoint came to.

    A checkpoint is in force: so many changes applied and passed over, whether another bundle is
    wanted, and the topics that do not add up to what central says. ``unknown`` changes are of
    topics that a newer central knows; ``erased`` keys may still stand in the database's log.
    """

    applied: int = 0
    stale: int = 0
    unknown: int = 0
    erased: int = 0
    bundle_wanted: bool = False
    diverged: tuple[str, ...] = ()


def pieces_here(connection: apsw.Connection) -> list[bytes]:
    """The pieces, by their hashes, that wait here of a snapshot that is being fetched."""
    rows: list[Any] = connection.execute(_QUERIES["chunks"]).fetchall()
    return [sha256 for _, sha256, _, _, staged in rows if staged]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done so far, and what each topic adds up to by it."""

    applied: int = 0
    stale: int = 0
    unknown: int = 0
    erased: int = 0
    bundle_wanted: bool = False
    totals: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)

    def count(self, topic: str, change: int, entries: int) -> None:
        """A topic has so many entries more, whose hashes add up to ``change``."""
        self.totals[topic] = add_to_sum(self.totals.get(topic, 0), change)
        self.entries[topic] = self.entries.get(topic, 0) + entries

    def diverged(self, page: FeedPage) -> tuple[str, ...]:
        """The topics that do not add up to what a page that ends a checkpoint says."""
        if not page.sums:
            return ()  # an older central does not say
        theirs = {one.topic: sum_of_bytes(one.total) for one in page.sums}
        return tuple(
            sorted(topic for topic in PLACES if self.totals.get(topic, 0) != theirs.get(topic, 0))
        )

    def outcome(self, page: FeedPage) -> Applied:
        """What it came to, when a checkpoint is in force."""
        return Applied(
            applied=self.applied,
            stale=self.stale,
            unknown=self.unknown,
            erased=self.erased,
            bundle_wanted=self.bundle_wanted,
            diverged=self.diverged(page),
        )


def feed_cursor(connection: apsw.Connection) -> str:
    """The cursor of the checkpoint that is in its places; empty before the first."""
    return feed_state(connection).cursor


def feed_state(connection: apsw.Connection) -> FeedState:
    """How far this shop is."""
    row: Any = connection.execute(_QUERIES["feed_state"]).fetchone()
    cursor, reading, rebuilding, phase = row or ("", "", 0, 0)
    missing = None
    if rebuilding and phase == Phase.READING:
        for _, sha256, size_bytes, raw_bytes, staged in connection.execute(_QUERIES["chunks"]):
            if not staged:
                missing = ChunkRef(sha256=sha256, size_bytes=size_bytes, raw_bytes=raw_bytes)
            break
    quiet = not cursor and not rebuilding and phase == Phase.READING
    return FeedState(
        cursor=cursor,
        reading=reading,
        rebuilding=bool(rebuilding),
        phase=Phase(phase),
        missing=missing,
        staged=bool(connection.execute(_QUERIES["any_staged"]).get),
        orphaned=quiet and bool(connection.execute(_QUERIES["any_key"]).get),
    )


def put_state(
    connection: apsw.Connection,
    *,
    cursor: str,
    reading: str = "",
    rebuilding: bool = False,
    phase: Phase = Phase.READING,
) -> None:
    """The shop is so far."""
    connection.execute(
        _QUERIES["put_feed_state"],
        {
            "cursor": cursor,
            "reading": reading,
            "rebuilding": int(rebuilding),
            "phase": int(phase),
        },
    )


def known_keys(
    connection: apsw.Connection, topic: str, keys: Sequence[str]
) -> dict[str, tuple[int, bytes]]:
    """The version and the hash of each of these keys that was ever told."""
    rows: Any = connection.execute(
        _QUERIES["known_keys"], {"topic": topic, "keys": json.dumps(keys)}
    )
    return {key: (version, known) for key, version, known in rows}


def begin_tally(connection: apsw.Connection) -> Tally:
    """What the topics add up to now."""
    tally = Tally()
    for topic, total, entries in connection.execute(_QUERIES["sums"]):
        tally.totals[str(topic)] = sum_of_bytes(bytes_of(total))
        tally.entries[str(topic)] = int(str(entries))
    return tally


def entries_of(connection: apsw.Connection, topic: str) -> int:
    """How many entries a topic has."""
    return begin_tally(connection).entries.get(topic, 0)


def finish_tally(connection: apsw.Connection, tally: Tally) -> None:
    """Keep what the topics add up to."""
    connection.executemany(
        _QUERIES["put_sum"],
        [
            (topic, sum_bytes(total), max(tally.entries[topic], 0))
            for topic, total in tally.totals.items()
        ],
    )


def bytes_of(value: Any) -> bytes:
    """A hash or a sum as it was read."""
    assert isinstance(value, bytes), "hashes and sums are blobs"
    return value

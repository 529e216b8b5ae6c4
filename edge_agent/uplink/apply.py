"""Put what central's feed tells in force: a whole checkpoint, with its cursor, or nothing of it.

A small checkpoint is applied here in one transaction. A large one, of which pages wait, would keep
the shop's only writer from the tills for seconds: it is ``changeover``'s.

A key's version never goes back, and a deleted key keeps its version (but ``DROPPED_WHOLE``):
a page seen again, or an old one that comes late, changes nothing. Only a snapshot and a repair,
which tell everything, may replace a newer version by an older one: of a central that was restored.

Everything that writes here runs as one writer job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from edge_agent.uplink.feed_state import (
    GONE,
    Applied,
    Tally,
    begin_tally,
    bytes_of,
    feed_state,
    finish_tally,
    known_keys,
    put_state,
)
from edge_agent.uplink.topics import PLACES, Puts, entry_of
from shared.crypto.set_hash import (
    BUCKETS,
    add_to_sum,
    bucket_of,
    entry_hash,
    sum_bytes,
    sum_of_bytes,
)
from shared.sqlfile import load_queries
from shared.wire.feed import FeedChange, FeedPage, FeedRepair, Operation, Topic

STEP_KEYS: Final = 1_000
"""Changes that are looked up and written together: about 20 ms, which a till may have to wait."""
DROPPED_WHOLE: Final = frozenset({str(Topic.USE)})
"""Of whose deleted keys not even the version stays: there is one for every use of a limited
promotion in the whole chain, and it names the customer. Were one told late once more, a use of a
period that is over would be counted, which changes no price, until the sums are compared."""
_QUERIES: Final = load_queries("edge_agent.uplink")


@dataclass(slots=True, kw_only=True)
class Decided:
    """What some changes of one topic come to; each key stands in one of the lists.

    ``marks``: the hash of each entry that is put. ``stale`` ones change nothing. Of ``erased`` ones
    not even the version stays.
    """

    puts: list[FeedChange] = field(default_factory=list)
    gone: list[FeedChange] = field(default_factory=list)
    erased: list[FeedChange] = field(default_factory=list)
    stale: list[FeedChange] = field(default_factory=list)
    marks: dict[str, bytes] = field(default_factory=dict)
    added: int = 0
    entries: int = 0


def decide(
    topic: str,
    changes: Sequence[FeedChange],
    known: dict[str, tuple[int, bytes]],
    *,
    replace: bool,
    anew: bool = False,
) -> Decided:
    """``replace``: what is told counts whatever its version; ``anew``: even if it is known."""
    decided = Decided()
    for change in changes:
        version, old = known.get(change.key, (-1, GONE))
        if not replace and change.version <= version:
            decided.stale.append(change)
            continue
        new, mark = 0, GONE
        if change.operation is Operation.PUT:
            new = entry_hash(topic, change.key, change.version, change.payload)
            mark = sum_bytes(new)
            if mark == old and not anew:
                decided.stale.append(change)
                continue
            decided.puts.append(change)
            decided.marks[change.key] = mark
        elif change.operation is Operation.ERASE:
            decided.erased.append(change)
        else:
            decided.gone.append(change)
        decided.added += new - sum_of_bytes(old)
        decided.entries += bool(mark) - bool(old)
    return decided


def place_changes(connection: apsw.Connection, topic: str, decided: Decided) -> None:
    """Write what was decided to the places of the topic.

    Raises:
        TrustError: ``bad_feed_change``: a payload is not what its topic says.
    """
    place = PLACES[topic]
    gone = [change.key for change in (*decided.gone, *decided.erased)]
    if gone:
        place.forget(connection, gone)
    if decided.puts:
        told = [entry_of(change, place) for change in decided.puts]
        place.put(connection, Puts(changes=decided.puts, entries=told))


def note_keys(connection: apsw.Connection, topic: str, decided: Decided) -> None:
    """Note the versions and hashes of what was decided."""
    dropped = [*decided.erased, *(decided.gone if topic in DROPPED_WHOLE else ())]
    noted = [*decided.puts, *(() if topic in DROPPED_WHOLE else decided.gone)]
    connection.executemany(
        _QUERIES["put_key"],
        [
            (topic, change.key, change.version, decided.marks.get(change.key, GONE))
            for change in noted
        ],
    )
    # A key that names a person goes as well; central does not send older pages again.
    connection.executemany(_QUERIES["drop_key"], [(topic, each.key) for each in dropped])


def note(tally: Tally, topic: str, decided: Decided) -> None:
    """Count what was decided, but for what the topic adds up to."""
    written = len(decided.puts) + len(decided.gone)
    tally.stale += len(decided.stale)
    tally.applied += written + len(decided.erased)
    tally.erased += len(decided.erased)
    tally.bundle_wanted = tally.bundle_wanted or (topic == Topic.BUNDLE and bool(written))


def apply_page(connection: apsw.Connection, page: FeedPage) -> Applied:
    """Put the checkpoint in force that this page is, while no other page waits.

    Raises:
        TrustError: ``bad_feed_change``: a payload is not what its topic says, or names another
            key. Nothing of the checkpoint may be kept.
    """
    assert page.complete, "what is no whole checkpoint waits"
    assert not feed_state(connection).waits, "what waits is put in force together"
    tally = begin_tally(connection)
    _apply(connection, page.changes, tally, replace=False)
    finish_tally(connection, tally)
    put_state(connection, cursor=page.cursor)
    return tally.outcome(page)


def diverged_from(connection: apsw.Connection, page: FeedPage) -> tuple[str, ...]:
    """The topics that do not add up to what a page says that ends the checkpoint in force."""
    return begin_tally(connection).diverged(page)


def truncate_log(connection: apsw.Connection) -> bool:
    """Empty the database's log, in which erased entries may stand; False: somebody reads now.

    For a connection outside a transaction; one that only reads may do it.
    """
    row: Any = connection.execute(_QUERIES["truncate_log"]).fetchone()
    return row is None or row[0] == 0


def bucket_sums(connection: apsw.Connection, topic: str) -> list[int]:
    """What a topic's entries add up to, by bucket of the key."""
    totals = [0] * BUCKETS
    for key, found in connection.execute(_QUERIES["topic_keys"], {"topic": topic}):
        bucket = bucket_of(str(key))
        totals[bucket] = add_to_sum(totals[bucket], sum_of_bytes(bytes_of(found)))
    return totals


def recount(connection: apsw.Connection, topic: str) -> None:
    """Add a topic up anew: its buckets are as central's, so it is the sum that was wrong."""
    tally = begin_tally(connection)
    tally.totals[topic] = tally.entries[topic] = 0
    for _, found in connection.execute(_QUERIES["topic_keys"], {"topic": topic}):
        tally.count(topic, sum_of_bytes(bytes_of(found)), 1)
    finish_tally(connection, tally)


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
    if repair.topic not in PLACES:
        return applied
    told = {change.key for change in repair.changes}
    buckets = set(repair.buckets)
    tally = begin_tally(connection)
    ghosts = [
        str(key)
        for key, _ in connection.execute(_QUERIES["topic_keys"], {"topic": repair.topic})
        if str(key) not in told and bucket_of(str(key)) in buckets
    ]
    for keys in _slices(ghosts):
        _apply_slice(connection, repair.topic, [ghost(repair.topic, key) for key in keys], tally)
    _apply(connection, repair.changes, tally, replace=True, anew=True)
    finish_tally(connection, tally)
    return Applied(
        applied=applied.applied + tally.applied,
        stale=applied.stale,
        unknown=applied.unknown,
        erased=applied.erased + tally.erased,
        bundle_wanted=applied.bundle_wanted or tally.bundle_wanted,
        diverged=tally.diverged(repair.page),
    )


def ghost(topic: str, key: str) -> FeedChange:
    """What takes away a key that central does not know of, and its version with it."""
    return FeedChange(topic=topic, key=key, operation=Operation.ERASE, version=0, payload=b"")


def check_entries(
    connection: apsw.Connection, topic: str, after: str, *, limit: int = STEP_KEYS
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
    tally = begin_tally(connection)
    changed: list[tuple[str, str, int, bytes]] = []
    for key, version, known in rows:
        payload = found.get(key)
        real = 0 if payload is None else entry_hash(topic, key, version, payload)
        if payload is None or sum_bytes(real) != known:
            tally.count(topic, real - sum_of_bytes(known), -1 if payload is None else 0)
            mark = GONE if payload is None else sum_bytes(real)
            changed.append((topic, key, version, mark))
    if changed:
        connection.executemany(_QUERIES["put_key"], changed)
        finish_tally(connection, tally)
    return (rows[-1][0] if len(rows) == limit else None), len(changed)


def _apply(
    connection: apsw.Connection,
    changes: Iterable[FeedChange],
    tally: Tally,
    *,
    replace: bool,
    anew: bool = False,
) -> None:
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
        for keys in _slices(list(last)):
            some = [last[key] for key in keys]
            _apply_slice(connection, topic, some, tally, replace=replace, anew=anew)


def _apply_slice(
    connection: apsw.Connection,
    topic: str,
    changes: Sequence[FeedChange],
    tally: Tally,
    *,
    replace: bool = True,
    anew: bool = False,
) -> None:
    known = known_keys(connection, topic, [change.key for change in changes])
    decided = decide(topic, changes, known, replace=replace, anew=anew)
    place_changes(connection, topic, decided)
    note_keys(connection, topic, decided)
    tally.count(topic, decided.added, decided.entries)
    note(tally, topic, decided)


def _slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), STEP_KEYS):
        yield keys[start : start + STEP_KEYS]

"""The change feed over tables in memory; what it decides is ``central.feed.plan``'s, as it stands.

A transaction's rows get their ``xid`` when it begins and can be read when it and all before it have
ended. Most transactions of the simulated central end at once; those of the office take their time,
and that is what a reader by ``id > last`` stumbles over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import zstandard

from central.feed.plan import (
    ChunkCutter,
    Cursor,
    LogRow,
    Read,
    Standing,
    answer_to,
    cut_page,
    fold_log,
    read_cursor,
    seal_cursor,
)
from shared.crypto.set_hash import add_to_sum, bucket_of, entry_hash, sum_bytes
from shared.wire.feed import (
    ChunkRef,
    FeedBuckets,
    FeedChange,
    FeedPage,
    FeedRepair,
    FeedReset,
    Operation,
    SnapshotManifest,
    TopicSum,
)

EVERY_STORE: Final = "*"
_SECRET: Final = b"simulated"
_Name = tuple[str, str, str]
"""(scope, topic, key)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The last state of a key, and where in the feed it stands."""

    topic: str
    key: str
    position: int
    change_id: int
    version: int
    operation: Operation
    payload: bytes
    hash: int

    def change(self) -> FeedChange:
        return FeedChange(
            topic=self.topic,
            key=self.key,
            operation=self.operation,
            version=self.version,
            payload=self.payload,
        )


@dataclass(slots=True)
class FeedTables:
    """What central's disk holds of the feed."""

    generation: int = 1
    head: int = 0
    next_xid: int = 1
    next_change_id: int = 1
    log: list[LogRow] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    read_up_to: int = 0
    scopes: dict[str, dict[tuple[str, str], Entry]] = field(default_factory=dict)
    meant: dict[_Name, tuple[int, bytes | None]] = field(default_factory=dict)
    """The last write of each key that was not undone, and its place; for judging alone."""

    def begin(self) -> int:
        """A transaction begins; its rows are readable after ``end``."""
        xid = self.next_xid
        self.next_xid += 1
        self.running.add(xid)
        return xid

    def put(
        self,
        xid: int,
        scope: str,
        topic: str,
        key: str,
        payload: bytes | None,
        *,
        erase: bool = False,
    ) -> None:
        """The state of a key, within a transaction; no payload: it is no more."""
        gone = Operation.ERASE if erase else Operation.DELETE
        self.log.append(
            LogRow(
                xid=xid,
                change_id=self.next_change_id,
                scope=scope,
                topic=topic,
                key=key,
                operation=gone if payload is None else Operation.PUT,
                payload=payload or b"",
            )
        )
        self.next_change_id += 1

    def end(self, xid: int) -> None:
        """Committed."""
        self.running.discard(xid)
        for row in self.log:
            name = (row.scope, row.topic, row.key)
            if row.xid == xid and row.change_id > self.meant.get(name, (0, b""))[0]:
                gone = row.operation is not Operation.PUT
                self.meant[name] = (row.change_id, None if gone else row.payload)

    def undo(self, xid: int) -> None:
        """It never was."""
        self.running.discard(xid)
        self.log = [row for row in self.log if row.xid != xid]

    def undo_running(self) -> None:
        """Everything under way never was."""
        for xid in sorted(self.running):
            self.undo(xid)

    def publish(self, *, naive: bool = False) -> set[str]:
        """Give positions to what can be read now; the scopes that changed.

        ``naive``: by ``id > last`` over whatever is committed, the wrong way.
        """
        if not self.log:
            return set()
        if naive:
            ready = [row for row in self.log if row.xid not in self.running]
            ready = [row for row in ready if row.change_id > self.read_up_to]
            self.read_up_to = max((row.change_id for row in ready), default=self.read_up_to)
            taken = {row.change_id for row in ready}
            self.log = [row for row in self.log if row.change_id not in taken]
        else:
            horizon = min(self.running, default=self.next_xid)
            ready = [row for row in self.log if row.xid < horizon]
            self.log = [row for row in self.log if row.xid >= horizon]
        known = {
            (row.scope, row.topic, row.key): entry
            for row in ready
            if (entry := self.scopes.get(row.scope, {}).get((row.topic, row.key))) is not None
        }
        changed: set[str] = set()
        for folded in fold_log(ready, known):
            row = folded.row
            entries = self.scopes.setdefault(row.scope, {})
            if not folded.news:
                name = (row.topic, row.key)
                entries[name] = replace(entries[name], change_id=row.change_id)
                continue
            self.head += 1
            # Put anew, so that the entries of a scope stand in the order of their positions.
            entries.pop((row.topic, row.key), None)
            entries[(row.topic, row.key)] = Entry(
                topic=row.topic,
                key=row.key,
                position=self.head,
                change_id=row.change_id,
                version=row.change_id,
                operation=row.operation,
                payload=row.payload,
                hash=entry_hash(row.topic, row.key, row.change_id, row.payload),
            )
            changed.add(row.scope)
        return changed

    def page(self, store_id: str, text: str) -> FeedPage | FeedReset:
        """What a store has to know after its cursor; "" is a store that knows nothing."""
        cursor = read_cursor(text, _SECRET) if text else None
        after = cursor.position if cursor is not None else 0
        news = [entry for scope in (store_id, EVERY_STORE) for entry in self._after(scope, after)]
        answer = answer_to(
            cursor,
            Standing(
                generation=self.generation,
                head=self.head,
                horizon=0,
                entries=sum(len(self.scopes.get(s, ())) for s in (store_id, EVERY_STORE)),
            ),
            empty=not text,
        )
        if not isinstance(answer, Read):
            if answer.lost:
                # This central was restored: what it says from now on is another history.
                self.generation += 1
            return FeedReset(reason=answer.reason)
        rows, complete = cut_page(sorted(news, key=lambda e: e.position), more=False)
        position = self.head if complete else rows[-1].position
        return FeedPage(
            cursor=self._seal(position),
            changes=[row.change() for row in rows],
            complete=complete,
            sums=self._sums(store_id) if complete else [],
        )

    def snapshot(self, store_id: str) -> tuple[SnapshotManifest, dict[bytes, bytes]]:
        """All a store has to know, and the pieces by name."""
        entries = sorted(self._puts(store_id), key=lambda e: (e.topic, e.key))
        refs, pieces = [], {}
        for chunk in _chunks(entries):
            raw = msgspec.msgpack.encode(chunk)
            data = zstandard.ZstdCompressor(level=3).compress(raw)
            name = hashlib.sha256(data).digest()
            pieces[name] = data
            refs.append(ChunkRef(sha256=name, size_bytes=len(data), raw_bytes=len(raw)))
        return SnapshotManifest(cursor=self._seal(self.head), chunks=refs), pieces

    def buckets(self, store_id: str, text: str, topic: str) -> FeedBuckets | FeedReset:
        """A topic's sums by bucket at the state that the page leads to."""
        page = self.page(store_id, text)
        if isinstance(page, FeedReset):
            return page
        totals = [0] * 256
        for entry in self._of_topic(store_id, topic):
            bucket = bucket_of(entry.key)
            totals[bucket] = add_to_sum(totals[bucket], entry.hash)
        return FeedBuckets(
            page=page,
            topic=topic,
            totals=[sum_bytes(total) for total in totals] if page.complete else [],
        )

    def repair(
        self, store_id: str, text: str, topic: str, wanted: list[int]
    ) -> FeedRepair | FeedReset:
        """All entries of some buckets."""
        page = self.page(store_id, text)
        if isinstance(page, FeedReset):
            return page
        changes = [
            entry.change()
            for entry in self._of_topic(store_id, topic)
            if bucket_of(entry.key) in wanted
        ]
        return FeedRepair(
            page=page,
            topic=topic,
            buckets=wanted if page.complete else [],
            changes=changes if page.complete else [],
        )

    def _after(self, scope: str, position: int) -> list[Entry]:
        found = []
        for entry in reversed(self.scopes.get(scope, {}).values()):
            if entry.position <= position:
                break
            found.append(entry)
        return found

    def _puts(self, store_id: str) -> list[Entry]:
        return [
            entry
            for scope in (store_id, EVERY_STORE)
            for entry in self.scopes.get(scope, {}).values()
            if entry.operation is Operation.PUT
        ]

    def _of_topic(self, store_id: str, topic: str) -> list[Entry]:
        return [entry for entry in self._puts(store_id) if entry.topic == topic]

    def _sums(self, store_id: str) -> list[TopicSum]:
        totals: dict[str, tuple[int, int]] = {}
        for entry in self._puts(store_id):
            total, count = totals.get(entry.topic, (0, 0))
            totals[entry.topic] = add_to_sum(total, entry.hash), count + 1
        return [
            TopicSum(topic=topic, total=sum_bytes(total), count=count)
            for topic, (total, count) in sorted(totals.items())
        ]

    def _seal(self, position: int) -> str:
        return seal_cursor(Cursor(generation=self.generation, position=position), _SECRET)


def _chunks(entries: list[Entry]) -> Iterator[list[FeedChange]]:
    cutter = ChunkCutter()
    for entry in entries:
        if whole := cutter.add(entry.change()):
            yield whole
    if rest := cutter.rest():
        yield rest

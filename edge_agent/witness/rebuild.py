"""Put into the database what the second journal has more: records, and the rows of the business.

Which rows a fact means is the business's affair: it hands in one function for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import apsw
import msgspec

from edge_agent.outbox.held import hold_fact, is_held, release_held
from edge_agent.outbox.store import (
    Head,
    Kept,
    find_stream,
    forget_stream_until,
    has_fact,
    kept_after,
    put_stream,
    restore_record,
    start_stream_at,
)
from edge_agent.witness.layout import Begun, Chained, Entry, Opened, Waiting
from shared.errors import CorruptionError
from shared.unreadable import UNREADABLE
from shared.wire.stream import Record

_RECORD: Final = msgspec.msgpack.Decoder(Record)
_STEP: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A fact as the journal gives it back; ``local``: what the shop kept of it beside."""

    uid: bytes
    kind: str
    body: bytes
    local: bytes
    recorded_at_ms: int


Replay = Callable[[apsw.Connection, Remembered], None]
"""Makes the business rows of one fact, where they are not there already."""


def rebuild(
    connection: apsw.Connection, entries: Iterable[Entry], replays: Mapping[str, Replay]
) -> int:
    """Put back every record and waiting fact that the database lacks; how many. One transaction.

    Raises:
        CorruptionError: an entry does not continue what is there; roll back.
    """
    count = 0
    for entry in entries:
        if isinstance(entry, Opened):
            for place in entry.heads:
                _open_at(connection, place.lane, place.epoch, place.seq, place.hash)
        elif isinstance(entry, Begun):
            put_stream(connection, entry.lane, entry.epoch, entry.genesis, replace_current=True)
        elif isinstance(entry, Chained):
            count += _chained(connection, entry, replays)
        else:
            count += take_waiting(connection, entry, replays)
    return count


def _open_at(connection: apsw.Connection, lane: int, epoch: int, seq: int, chained: bytes) -> None:
    head = find_stream(connection, lane, epoch)
    if head is None:
        start_stream_at(connection, lane, epoch, seq, chained)
    elif head.seq < seq:
        # The journal lacks some records between its files. What came before them keeps its place
        # in the queue without its number; the chain goes on after the gap.
        _hold_all(connection, head)
        start_stream_at(connection, lane, epoch, seq, chained)


def _chained(connection: apsw.Connection, entry: Chained, replays: Mapping[str, Replay]) -> int:
    head = find_stream(connection, entry.lane, entry.epoch)
    if head is None:
        raise CorruptionError(f"the journal does not say where lane {entry.lane} began")
    if entry.seq <= head.seq:
        return 0
    _leave_old_place(connection, entry.uid, head)
    kept = Kept(
        seq=entry.seq,
        uid=entry.uid,
        recorded_at_ms=entry.recorded_at_ms,
        record=entry.record,
        hash=entry.hash,
        local=entry.local,
    )
    restore_record(connection, head, kept)
    release_held(connection, entry.uid)
    record = _RECORD.decode(entry.record)
    _replay(connection, replays, _remembered(record, entry.local))
    return 1


def take_waiting(connection: apsw.Connection, entry: Waiting, replays: Mapping[str, Replay]) -> int:
    """Take in a fact that has no number yet, once; how many that were."""
    if has_fact(connection, entry.uid) or is_held(connection, entry.uid):
        return 0
    hold_fact(
        connection,
        entry.lane,
        uid=entry.uid,
        recorded_at_ms=entry.recorded_at_ms,
        kind=entry.kind,
        body=entry.body,
        local=entry.local,
        ring_max=None,
    )
    remembered = Remembered(
        uid=entry.uid,
        kind=entry.kind,
        body=entry.body,
        local=entry.local,
        recorded_at_ms=entry.recorded_at_ms,
    )
    _replay(connection, replays, remembered)
    return 1


def _leave_old_place(connection: apsw.Connection, uid: bytes, head: Head) -> None:
    """A fact carried on into a newer epoch stands there only, and all before it likewise."""
    forget_stream_until(connection, uid, not_in=head.stream_id)


def _hold_all(connection: apsw.Connection, head: Head) -> None:
    """Let the facts of a stream wait for new numbers."""
    after = head.pruned_seq
    while kepts := kept_after(connection, head.stream_id, after, _STEP):
        forget_stream_until(connection, kepts[-1].uid, not_in=0)
        for kept in kepts:
            record = _RECORD.decode(kept.record)
            hold_fact(
                connection,
                head.lane,
                uid=kept.uid,
                recorded_at_ms=kept.recorded_at_ms,
                kind=record.kind,
                body=record.body,
                local=kept.local,
                ring_max=None,
            )
        after = kepts[-1].seq


def _remembered(record: Record, local: bytes) -> Remembered:
    return Remembered(
        uid=record.uid,
        kind=record.kind,
        body=record.body,
        local=local,
        recorded_at_ms=record.recorded_at_ms,
    )


def _replay(
    connection: apsw.Connection, replays: Mapping[str, Replay], remembered: Remembered
) -> None:
    replay = replays.get(remembered.kind)
    if replay is None:
        return
    try:
        replay(connection, remembered)
    except UNREADABLE:
        return  # central sets such a record aside; it must not keep the agent from starting

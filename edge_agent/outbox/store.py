"""The outbox in SQLite. Functions take a connection, so that a fact shares its transaction.

A record stays under the stream (edge, lane, epoch) that it was chained in, for ever the same bytes:
when a newer epoch begins, what central lacks of the older streams is sent as adopted from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import apsw
import msgspec

from edge_agent.clock.policy import NEVER_MS, old_at_front
from edge_agent.clock.store import dated_ms
from edge_agent.outbox.held import hold_fact, recovery_of
from shared.crypto.chain import chain_genesis, chain_next
from shared.errors import ConflictError, CorruptionError
from shared.limits import TELEMETRY_RECORDS_MAX
from shared.sqlfile import load_queries
from shared.wire.enrol import LaneStart
from shared.wire.stream import STREAM_SCHEMA_VERSION, Lane, Record

_QUERIES: Final = load_queries("edge_agent.outbox")
_ENCODER: Final = msgspec.msgpack.Encoder()
_RECORD: Final = msgspec.msgpack.Decoder(Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a stream stands, up to where central confirmed it, and from where it is kept.

    ``edge_id`` None: this edge. ``current``: the lane's next record goes here.
    """

    stream_id: int
    edge_id: int | None
    lane: int
    epoch: int
    current: bool
    seq: int
    hash: bytes
    genesis: bytes
    acked_seq: int
    pruned_seq: int
    pruned_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something to be recorded; ``uid`` names it for ever, ``body`` is its encoded structure.

    ``local``: what only this shop needs of it (of a sale, the hash of the till's body), so that its
    business rows can be made again from the second journal. It is never sent.
    """

    uid: bytes
    kind: str
    body: bytes
    recorded_at_ms: int
    local: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A chained record with all that the shop keeps of it."""

    seq: int
    uid: bytes
    recorded_at_ms: int
    record: bytes
    hash: bytes
    local: bytes


def start_stream(connection: apsw.Connection, edge_id: int, start: LaneStart) -> None:
    """Begin a lane; one that has begun stays as it is."""
    genesis = chain_genesis(edge_id, start.lane, start.epoch, start.nonce)
    put_stream(connection, int(start.lane), start.epoch, genesis)


def put_stream(
    connection: apsw.Connection,
    lane: int,
    epoch: int,
    genesis: bytes,
    *,
    replace_current: bool = False,
) -> None:
    """Begin a lane at the hash before its first record; one that has begun stays as it is.

    ``replace_current``: the lane's stream so far takes no more records, if it is another one.
    """
    if replace_current and find_stream(connection, lane, epoch) is None:
        connection.execute(_QUERIES["retire_lane"], {"lane": lane})
    parameters = {"lane": lane, "epoch": epoch, "hash": genesis}
    connection.execute(_QUERIES["start_stream"], parameters)


def start_stream_at(
    connection: apsw.Connection, lane: int, epoch: int, seq: int, head_hash: bytes
) -> None:
    """Begin, or move, a stream of which only what follows ``seq`` is known; none of it is kept."""
    if find_stream(connection, lane, epoch) is None:
        connection.execute(_QUERIES["retire_lane"], {"lane": lane})
    parameters = {"lane": lane, "epoch": epoch, "seq": seq, "hash": head_hash}
    connection.execute(_QUERIES["start_stream_at"], parameters)


def begin_epoch(connection: apsw.Connection, edge_id: int, starts: list[LaneStart]) -> bool:
    """Begin the epoch that central issued, for all lanes, and end recovery; False when not newer.

    The streams so far take no more records. What waits in ``held`` is chained afterwards, by steps.
    """
    if not starts or starts[0].epoch <= epoch_of(connection):
        return False
    connection.execute(_QUERIES["retire_current"])
    connection.execute(_QUERIES["ask_again"])
    for start in starts:
        start_stream(connection, edge_id, start)
    connection.execute(_QUERIES["leave_recovery"])
    return True


def name_owner(connection: apsw.Connection, edge_id: int) -> None:
    """The folder is to become another edge: all its streams so far are of ``edge_id``."""
    connection.execute(_QUERIES["drop_unused"], {"edge_id": edge_id})
    connection.execute(_QUERIES["name_owner"], {"edge_id": edge_id})
    connection.execute(_QUERIES["ask_again"])


def epoch_of(connection: apsw.Connection) -> int:
    """The epoch that takes records; 0 before the first. A lease of another epoch is dead."""
    found = connection.execute(_QUERIES["epoch"]).get
    return found if isinstance(found, int) else 0


def head_of(connection: apsw.Connection, lane: int) -> Head:
    """Where the lane stands, in the epoch that takes records.

    Raises:
        ConflictError: the lane was never begun; the agent is not enrolled.
    """
    head = _head(connection, lane)
    if head is None:
        raise ConflictError("this agent is not enrolled", hint="Run `kopilka-edge enrol` first.")
    return head


def stream_of(connection: apsw.Connection, stream_id: int) -> Head:
    """Where one stream stands; it exists."""
    row: Any = connection.execute(_QUERIES["head_by_id"], {"stream_id": stream_id}).fetchone()
    assert row is not None, "streams are never removed"
    return _to_head(row)


def find_stream(connection: apsw.Connection, lane: int, epoch: int) -> Head | None:
    """Where this edge's stream of a lane and epoch stands; None: there is none."""
    row: Any = connection.execute(
        _QUERIES["stream_named"], {"lane": lane, "epoch": epoch}
    ).fetchone()
    return None if row is None else _to_head(row)


def heads_of(connection: apsw.Connection) -> list[Head]:
    """Where every lane stands in the epoch that takes records, the most urgent lane first."""
    rows: list[Any] = connection.execute(_QUERIES["heads"]).fetchall()
    return [_to_head(row) for row in rows]


def streams_of(connection: apsw.Connection) -> list[Head]:
    """Every stream that ever began here, in that order."""
    rows: list[Any] = connection.execute(_QUERIES["streams"]).fetchall()
    return [_to_head(row) for row in rows]


def append_fact(connection: apsw.Connection, lane: int, fact: Fact) -> Head | None:
    """Record one fact at the end of the lane, in the caller's transaction; where the lane stands.

    None: it is recorded but has no number yet, for this database may lack what was numbered
    before (recovery), or because it is telemetry, which is numbered when it is sent.

    Raises:
        ConflictError: the lane was never begun.
    """
    fact = replace(fact, recorded_at_ms=dated_ms(connection, fact.recorded_at_ms))
    if recovery_of(connection) is not None:
        _hold(connection, lane, fact)
        return None
    if lane == Lane.TELEMETRY:
        head_of(connection, lane)
        _hold(connection, lane, fact)
        return None
    return _chain(connection, head_of(connection, lane), fact)


def chain_held(connection: apsw.Connection, lane: int, limit: int) -> int:
    """Give numbers to at most ``limit`` facts of the lane that wait for one; to how many.

    None while recovery lasts. Telemetry is numbered only when all that is numbered was sent.
    """
    head = _head(connection, lane)
    if head is None or recovery_of(connection) is not None:
        return 0
    if lane == Lane.TELEMETRY and head.acked_seq < head.seq:
        return 0
    rows: list[Any] = connection.execute(
        _QUERIES["held"], {"lane": lane, "limit": limit}
    ).fetchall()
    for held_id, uid, recorded_at_ms, kind, body, local in rows:
        fact = Fact(uid=uid, kind=kind, body=body, recorded_at_ms=recorded_at_ms, local=local)
        if not has_fact(connection, uid):
            head = _chain(connection, head, fact)
        connection.execute(_QUERIES["release"], {"held_id": held_id})
    return len(rows)


def restore_record(connection: apsw.Connection, head: Head, kept: Kept) -> Head:
    """Put a record from the second journal back where it stood; the stream's new head.

    Raises:
        CorruptionError: it does not continue the stream; nothing was changed.
    """
    if kept.seq != head.seq + 1 or chain_next(head.hash, kept.record) != kept.hash:
        raise CorruptionError(f"the journal does not continue lane {head.lane} at {head.seq}")
    return _put(connection, head, kept)


def carry_on(connection: apsw.Connection, stream_id: int, limit: int) -> int:
    """Record again, in the present epoch, at most ``limit`` facts of an older stream; what is left.

    For a stream that central cannot take as it is. Facts keep their uids, so central posts none
    twice; they go from the front, so the rest stays a whole chain. Not while recovery lasts.
    """
    old = stream_of(connection, stream_id)
    assert not old.current, "the present epoch is sent as it is"
    if recovery_of(connection) is not None:
        return old.seq - old.pruned_seq
    carried = kept_after(connection, stream_id, old.pruned_seq, limit)
    if not carried:
        return 0
    last = carried[-1]
    forget_stream_until(connection, last.uid, not_in=0)
    head = head_of(connection, old.lane)
    for kept in carried:
        record = _RECORD.decode(kept.record)
        fact = Fact(
            uid=kept.uid,
            kind=record.kind,
            body=record.body,
            recorded_at_ms=kept.recorded_at_ms,
            local=kept.local,
        )
        head = _chain(connection, head, fact)
    return old.seq - last.seq


def has_fact(connection: apsw.Connection, uid: bytes) -> bool:
    """Whether the fact stands in a chain here."""
    return connection.execute(_QUERIES["has_uid"], {"uid": uid}).fetchone() is not None


def is_unconfirmed(connection: apsw.Connection, uid: bytes) -> bool:
    """Whether the fact is here and head office has not confirmed it."""
    return bool(connection.execute(_QUERIES["unconfirmed"], {"uid": uid}).get)


def forget_stream_until(connection: apsw.Connection, uid: bytes, *, not_in: int) -> None:
    """Keep no record of the fact's stream up to the fact, unless it stands in ``not_in``.

    For facts that have, or get, another place.
    """
    row: Any = connection.execute(_QUERIES["has_uid"], {"uid": uid}).fetchone()
    if row is None or row[0] == not_in:
        return
    stream_id, seq, chained = row
    place = {"stream_id": stream_id, "seq": seq}
    connection.execute(_QUERIES["prune"], place)
    connection.execute(_QUERIES["acknowledge"], place)
    connection.execute(_QUERIES["note_pruned"], {**place, "hash": chained})


def hash_at(connection: apsw.Connection, head: Head, seq: int) -> bytes:
    """The chain hash after record ``seq`` (0: before the first).

    Raises:
        CorruptionError: the record is not here, or no longer.
    """
    found = known_hash(connection, head, seq)
    if found is None:
        raise CorruptionError(f"record {seq} of lane {head.lane} is missing")
    return found


def known_hash(connection: apsw.Connection, head: Head, seq: int) -> bytes | None:
    """The chain hash after record ``seq``; None where it is not here, or no longer."""
    if seq == 0:
        return head.genesis
    if seq == head.seq:
        return head.hash
    if seq == head.pruned_seq:
        return head.pruned_hash
    found = connection.execute(_QUERIES["hash_at"], {"stream_id": head.stream_id, "seq": seq}).get
    return found if isinstance(found, bytes) else None


def pending_records(connection: apsw.Connection, head: Head, limit: int) -> list[bytes]:
    """At most ``limit`` encoded records that central has not confirmed, in order."""
    parameters = {"stream_id": head.stream_id, "after": head.acked_seq, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["pending"], parameters).fetchall()
    return [record for _, record in rows]


def kept_after(connection: apsw.Connection, stream_id: int, seq: int, limit: int) -> list[Kept]:
    """At most ``limit`` records of a stream after ``seq``, in order."""
    rows: list[Any] = connection.execute(
        _QUERIES["after"], {"stream_id": stream_id, "after": seq, "limit": limit}
    ).fetchall()
    return [
        Kept(
            seq=number,
            uid=uid,
            recorded_at_ms=recorded_at_ms,
            record=record,
            hash=chained,
            local=local,
        )
        for number, uid, recorded_at_ms, record, chained, local in rows
    ]


def acknowledge(connection: apsw.Connection, stream_id: int, seq: int, head_hash: bytes) -> None:
    """Note that central holds everything up to ``seq``; a lower ``seq`` means: send again.

    Raises:
        CorruptionError: ``other_chain``: central's hash at ``seq`` is not ours;
            ``no_longer_kept``: central lacks records that are not kept here any more. Nothing is
            noted.
    """
    head = stream_of(connection, stream_id)
    if seq < head.pruned_seq:
        raise CorruptionError(
            f"central lacks records of lane {head.lane} that are no longer kept here",
            code="no_longer_kept",
        )
    if seq > head.seq or known_hash(connection, head, seq) != head_hash:
        raise CorruptionError(
            f"central's chain of lane {head.lane} differs from ours at record {seq}",
            code="other_chain",
        )
    connection.execute(_QUERIES["acknowledge"], {"stream_id": stream_id, "seq": seq})


def oldest_pending_at_ms(connection: apsw.Connection, head: Head) -> int | None:
    """When the oldest unconfirmed record was made; None when there is none."""
    found = connection.execute(
        _QUERIES["recorded_at"], {"stream_id": head.stream_id, "seq": head.acked_seq + 1}
    ).get
    return found if isinstance(found, int) else None


def prune_acked(
    connection: apsw.Connection, before_ms: int, limit: int, ahead_ms: int = NEVER_MS
) -> int:
    """Keep no longer at most ``limit`` confirmed records made before an instant; how many went.

    They go from the front only, and the hash where the rest begins is kept, so the chain stays
    verifiable. What is dated after ``ahead_ms`` goes with what is behind it.
    """
    left = limit
    for head in streams_of(connection):
        if left == 0:
            break
        rows: list[Any] = connection.execute(
            _QUERIES["prunable"],
            {
                "stream_id": head.stream_id,
                "pruned_seq": head.pruned_seq,
                "acked_seq": head.acked_seq,
                "limit": left,
            },
        ).fetchall()
        next_ms = None
        if rows and rows[-1][1] > ahead_ms:
            place = {"stream_id": head.stream_id, "seq": rows[-1][0], "ahead_ms": ahead_ms}
            next_ms = connection.execute(_QUERIES["dated_after"], place).get
        count = old_at_front([row[1] for row in rows], before_ms, ahead_ms, next_ms)
        if count:
            seq, _, chained = rows[count - 1]
            place = {"stream_id": head.stream_id, "seq": seq}
            connection.execute(_QUERIES["prune"], place)
            connection.execute(_QUERIES["note_pruned"], {**place, "hash": chained})
            left -= count
    return limit - left


def verify_chain(connection: apsw.Connection, lane: int) -> int:
    """Compute the lane's chains again, of every epoch; the number of records checked.

    Raises:
        CorruptionError: a record is missing, changed or out of place, or a head differs.
    """
    return sum(
        verify_stream(connection, head) for head in streams_of(connection) if head.lane == lane
    )


def verify_stream(connection: apsw.Connection, head: Head) -> int:
    """Compute one stream's chain again from where it is kept; the number of records checked.

    Raises:
        CorruptionError: a record is missing, changed or out of place, or the head differs.
    """
    chained, last = head.pruned_hash, head.pruned_seq
    rows: Any = connection.execute(_QUERIES["whole"], {"stream_id": head.stream_id})
    for seq, record, stored_hash in rows:
        chained = chain_next(chained, record)
        if seq != last + 1 or chained != stored_hash:
            raise CorruptionError(f"the chain of lane {head.lane} breaks at record {seq}")
        last = seq
    if last != head.seq or chained != head.hash:
        raise CorruptionError(f"the head of lane {head.lane} is not its last record")
    return last - head.pruned_seq


def _head(connection: apsw.Connection, lane: int) -> Head | None:
    row: Any = connection.execute(_QUERIES["head"], {"lane": lane}).fetchone()
    return None if row is None else _to_head(row)


def _to_head(row: Any) -> Head:
    (
        stream_id,
        edge_id,
        lane,
        epoch,
        current,
        seq,
        head_hash,
        genesis,
        acked_seq,
        pruned_seq,
        pruned_hash,
    ) = row
    return Head(
        stream_id=stream_id,
        edge_id=edge_id,
        lane=lane,
        epoch=epoch,
        current=bool(current),
        seq=seq,
        hash=head_hash,
        genesis=genesis,
        acked_seq=acked_seq,
        pruned_seq=pruned_seq,
        pruned_hash=pruned_hash,
    )


def _hold(connection: apsw.Connection, lane: int, fact: Fact) -> None:
    hold_fact(
        connection,
        lane,
        uid=fact.uid,
        recorded_at_ms=fact.recorded_at_ms,
        kind=fact.kind,
        body=fact.body,
        local=fact.local,
        ring_max=TELEMETRY_RECORDS_MAX if lane == Lane.TELEMETRY else None,
    )


def _chain(connection: apsw.Connection, before: Head, fact: Fact) -> Head:
    seq = before.seq + 1
    record = _ENCODER.encode(
        Record(
            uid=fact.uid,
            lane=before.lane,
            epoch=before.epoch,
            seq=seq,
            recorded_at_ms=fact.recorded_at_ms,
            kind=fact.kind,
            schema_version=STREAM_SCHEMA_VERSION,
            body=fact.body,
        )
    )
    kept = Kept(
        seq=seq,
        uid=fact.uid,
        recorded_at_ms=fact.recorded_at_ms,
        record=record,
        hash=chain_next(before.hash, record),
        local=fact.local,
    )
    return _put(connection, before, kept)


def _put(connection: apsw.Connection, before: Head, kept: Kept) -> Head:
    connection.execute(
        _QUERIES["append"],
        {
            "stream_id": before.stream_id,
            "seq": kept.seq,
            "uid": kept.uid,
            "recorded_at_ms": kept.recorded_at_ms,
            "record": kept.record,
            "hash": kept.hash,
            "local": kept.local,
        },
    )
    place = {"stream_id": before.stream_id, "seq": kept.seq, "hash": kept.hash}
    connection.execute(_QUERIES["advance"], place)
    return replace(before, seq=kept.seq, hash=kept.hash)

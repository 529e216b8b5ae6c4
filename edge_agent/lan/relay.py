"""Batches of tills on their way through the hub: kept as they came, until central has them.

The hub changes nothing about them: a till's stream stays the till's, whichever way it takes, and
central counts each record once. So a till may send directly at any time, even at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import apsw

from shared.limits import RELAY_BYTES_MAX, RELAY_BYTES_PER_TILL_MAX
from shared.sqlfile import load_queries
from shared.wire.stream import Batch

_QUERIES: Final = load_queries("edge_agent.lan")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStream:
    """Whose records: a till, its lane and epoch."""

    edge_id: int
    lane: int
    epoch: int

    def key(self) -> dict[str, int]:
        """The stream's key in the tables."""
        return {"edge_id": self.edge_id, "lane": self.lane, "epoch": self.epoch}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A batch that waits for central; ``body`` is what the till would have put there itself."""

    first_seq: int
    last_seq: int
    last_hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralSaid:
    """Central's last word on a stream: ``kind`` is ``ack`` or ``refusal``."""

    kind: str
    answer: bytes


def keep_batch(
    connection: apsw.Connection, stream: RelayStream, batch: Batch, body: bytes, now_ms: int
) -> bool:
    """Keep a till's batch; False: there is no room. The same batch again changes nothing."""
    row: Any = connection.execute(_QUERIES["relayed_bytes"], {"edge_id": stream.edge_id}).fetchone()
    if row[0] + len(body) > RELAY_BYTES_PER_TILL_MAX or row[1] + len(body) > RELAY_BYTES_MAX:
        return False
    covered = {**stream.key(), "first_seq": batch.first_seq, "last_seq": batch.last_seq}
    connection.execute(_QUERIES["supersede"], covered)
    new = connection.execute(
        _QUERIES["put_relayed"],
        {
            **covered,
            "last_hash": batch.last_hash,
            "batch": body,
            "received_at_ms": now_ms,
        },
    ).get
    if new is not None:
        connection.execute(_QUERIES["forget_refusal"], stream.key())
    return True


def central_said(connection: apsw.Connection, stream: RelayStream) -> CentralSaid | None:
    """What central said last of the stream, if anything."""
    row: Any = connection.execute(_QUERIES["answer"], stream.key()).fetchone()
    return None if row is None else CentralSaid(kind=row[0], answer=row[1])


def streams_waiting(connection: apsw.Connection) -> list[RelayStream]:
    """Streams with something to carry, the most urgent first."""
    rows: list[Any] = connection.execute(_QUERIES["streams_waiting"]).fetchall()
    return [RelayStream(edge_id=edge_id, lane=lane, epoch=epoch) for edge_id, lane, epoch in rows]


def next_waiting(connection: apsw.Connection, stream: RelayStream) -> Waiting | None:
    """The stream's first batch that waits."""
    row: Any = connection.execute(_QUERIES["next_batch"], stream.key()).fetchone()
    if row is None:
        return None
    first_seq, last_seq, last_hash, body = row
    return Waiting(first_seq=first_seq, last_seq=last_seq, last_hash=last_hash, body=body)


def waiting_after(connection: apsw.Connection, stream: RelayStream, seq: int) -> Waiting | None:
    """The stream's first batch that waits and begins after ``seq``."""
    row: Any = connection.execute(
        _QUERIES["next_batch_after"], {**stream.key(), "seq": seq}
    ).fetchone()
    if row is None:
        return None
    first_seq, last_seq, last_hash, body = row
    return Waiting(first_seq=first_seq, last_seq=last_seq, last_hash=last_hash, body=body)


def note_said(
    connection: apsw.Connection, stream: RelayStream, said: CentralSaid, now_ms: int
) -> None:
    """Keep central's word for the till to fetch."""
    connection.execute(
        _QUERIES["put_answer"],
        {**stream.key(), "kind": said.kind, "answer": said.answer, "told_at_ms": now_ms},
    )


def forget_to(connection: apsw.Connection, stream: RelayStream, seq: int) -> None:
    """Central has everything up to ``seq``."""
    connection.execute(_QUERIES["forget_batches_to"], {**stream.key(), "seq": seq})


def forget_waiting(connection: apsw.Connection, stream: RelayStream, waiting: Waiting) -> None:
    """Central will not take this batch from this hub."""
    connection.execute(
        _QUERIES["forget_batch"],
        {
            **stream.key(),
            "first_seq": waiting.first_seq,
            "last_seq": waiting.last_seq,
            "last_hash": waiting.last_hash,
        },
    )

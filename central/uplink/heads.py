"""How far central has streams: heads, chain hashes that were kept, beginnings of adoptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg.rows import DictRow

from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, rows_of, run
from central.uplink.policy import StreamHead, StreamState
from central.uplink.reading import Stream
from shared.crypto.chain import HASH_BYTES, chain_genesis
from shared.errors import ForbiddenError
from shared.sqlfile import load_queries
from shared.wire.stream import Batch

_QUERIES: Final = load_queries("central.uplink")


def head_of(stream: Stream, row: DictRow) -> StreamHead:
    """A stream's head from its row."""
    return StreamHead(
        epoch=stream.epoch, seq=row["seq"], hash=row["hash"], state=StreamState(row["state"])
    )


async def lock_head(connection: Connection, stream: Stream) -> DictRow | None:
    """A stream's row, with the newest epoch of its lane; batches of a stream go one by one."""
    return await row_of(connection, _QUERIES["head"], stream.key())


async def lock_heads(
    connection: Connection, streams: Sequence[Stream]
) -> dict[tuple[int, int, int], DictRow]:
    """The rows of many streams, by (edge, lane, epoch), locked in that order."""
    rows = await rows_of(
        connection,
        _QUERIES["heads"],
        as_arrays(
            {
                "edges": [stream.edge_id for stream in streams],
                "lanes": [stream.lane for stream in streams],
                "epochs": [stream.epoch for stream in streams],
            }
        ),
    )
    return {(row["edge_id"], row["lane"], row["epoch"]): row for row in rows}


async def newest_epoch(connection: Connection, stream: Stream, row: DictRow | None) -> int:
    """The newest epoch of the stream's lane, 0 for none; ``row``: of ``lock_head``."""
    if row is not None:
        return int(row["newest_epoch"])
    newest = await row_of(connection, _QUERIES["newest_epoch"], stream.key())
    return 0 if newest is None or newest["epoch"] is None else int(newest["epoch"])


async def hash_at(connection: Connection, stream: Stream, head: DictRow, seq: int) -> bytes | None:
    """Central's chain hash of a stream at ``seq`` (``head``: its row), where it was kept."""
    if seq == head["seq"]:
        return bytes(head["hash"])
    if seq == 0:
        return chain_genesis(stream.edge_id, stream.lane, stream.epoch, head["nonce"])
    row = await row_of(connection, _QUERIES["run_at"], stream.key() | {"seq": seq})
    if row is None or row["first_seq"] > seq:
        return None
    at = (seq - row["first_seq"]) * HASH_BYTES
    return bytes(row["hashes"][at : at + HASH_BYTES])


async def adopted_head(connection: Connection, stream: Stream, batch: Batch) -> StreamHead:
    """How far the sender has adopted the stream; it begins where central's own chain says.

    Raises:
        ForbiddenError: the sender may not adopt from this edge.
    """
    row = await row_of(connection, _QUERIES["adopted_head"], stream.adoption())
    if row is None:
        start = await _start_of(connection, stream, batch)
        if start is None:
            start = await _start_of(connection, stream, None)
            assert start is not None, "every stream has a beginning"
        await run(
            connection,
            _QUERIES["begin_adoption"],
            stream.adoption() | {"seq": start[0], "hash": start[1]},
        )
        row = await row_of(connection, _QUERIES["adopted_head"], stream.adoption())
        assert row is not None, "it was begun just now"
    return StreamHead(epoch=stream.epoch, seq=row["seq"], hash=row["hash"], state=StreamState.OPEN)


async def _start_of(
    connection: Connection, stream: Stream, batch: Batch | None
) -> tuple[int, bytes] | None:
    """Where an adoption may begin: before the batch, where central knows its hash; or at zero."""
    row = await row_of(connection, _QUERIES["adoptable"], stream.adoption())
    if row is None:
        raise ForbiddenError("an agent adopts only what was written in its own store")
    if row["nonce"] is None:
        if row["newest_epoch"] is not None and stream.epoch <= row["newest_epoch"]:
            raise ForbiddenError("this stream never was")
        # A central that was restored from a copy has forgotten the epoch. It cannot tell what came
        # before a batch, so it takes the stream whole, or as facts that are recorded once more.
        if batch is not None and batch.first_seq == 1:
            return 0, batch.previous_hash
        raise ForbiddenError("central has forgotten this stream", code="forgotten_stream")
    if batch is None or batch.first_seq == 1:
        genesis = chain_genesis(stream.edge_id, stream.lane, stream.epoch, row["nonce"])
        return 0, genesis
    known = await hash_at(connection, stream, row, batch.first_seq - 1)
    return (batch.first_seq - 1, known) if known == batch.previous_hash else None

"""A question to head office as a file: everything that waits, and what the shop has and lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import apsw
import msgspec

from edge_agent.bundles.service import BundleService
from edge_agent.config import write_private
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.lan.relay import RelayStream, streams_waiting, waiting_after
from edge_agent.outbox.store import Head, hash_at, kept_after, streams_of
from edge_agent.uplink.carried import carried_of, put_question, question_made
from edge_agent.uplink.feed_state import FeedState, feed_state, pieces_here
from edge_agent.uplink.loops import Uplink
from edge_agent.uplink.plan import send_rank
from shared.crypto.signing import Signer
from shared.errors import ConflictError, UnavailableError
from shared.frames import make_batch
from shared.ids import Chance
from shared.limits import BATCH_RECORDS_MAX
from shared.sync_file import KEY_BYTES, SyncWriter, public_key_of
from shared.wire.files import FILE_ID_BYTES, AskPart, BatchPart, FileHeader, FilePurpose

_ENCODE: Final = msgspec.msgpack.Encoder().encode
Progress = Callable[[int, int], None]
"""Told how many records are in, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What went into a file; ``left_out``: records for which there was no room."""

    file_id: bytes
    made_at_ms: int
    records: int
    left_out: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What there is to carry, at one moment."""

    central_key: bytes
    whole: bool
    feed: FeedState
    have: list[bytes]
    streams: list[Head]
    relayed: list[RelayStream]


class Outgoing:
    """Makes questions. ``trusted_now_ms``: by which they are ordered.

    ``central_key``: the file that has head office's key too, in case that the database is lost.
    """

    def __init__(
        self,
        *,
        edge_id: int,
        store_id: str,
        signer: Callable[[], Signer],
        uplink: Uplink,
        writer: Writer,
        reader: Reader,
        bundles: BundleService,
        trusted_now_ms: Callable[[], int],
        chance: Chance,
        central_key: Path,
    ) -> None:
        self._edge_id = edge_id
        self._store_id = store_id
        self._signer = signer
        self._uplink = uplink
        self._writer = writer
        self._reader = reader
        self._bundles = bundles
        self._trusted_now_ms = trusted_now_ms
        self._chance = chance
        self._central_key = central_key

    async def write(self, out: BinaryIO, progress: Progress) -> Exported:
        """Write a question; what was not confirmed is in it, whatever earlier files hold.

        Raises:
            ConflictError: ``no_file_key``: head office never told for whom to close it.
        """
        hello, told = await self._uplink.letter()
        plan = await self._reader.run(_plan)
        reader_key = await asyncio.to_thread(self._kept_key, plan.central_key)
        if len(reader_key) != KEY_BYTES:
            raise ConflictError(
                "head office has not told this agent its key for files",
                code="no_file_key",
                hint="Update head office and let this agent reach it once over a line.",
            )
        private_key = self._chance.token_bytes(KEY_BYTES)
        file_id = self._chance.token_bytes(FILE_ID_BYTES)
        signer, now_ms = self._signer(), self._trusted_now_ms()
        made_at_ms = await self._writer.run(
            lambda connection: put_question(connection, file_id, now_ms, private_key, told)
        )
        header = FileHeader(
            purpose=FilePurpose.QUESTION,
            edge_id=self._edge_id,
            store_id=self._store_id,
            file_id=file_id,
            made_at_ms=made_at_ms,
            reader_key=reader_key,
            public_key=public_key_of(private_key),
            signer_key_id=signer.key_id,
        )
        writing = SyncWriter(out, header, private_key=private_key, signer=signer)
        active = self._bundles.active
        writing.add(
            _ENCODE(
                AskPart(
                    hello=msgspec.json.encode(hello),
                    cursor=plan.feed.cursor if plan.whole else plan.feed.asks_after,
                    whole=plan.whole,
                    have=plan.have,
                    bundle_sha256=b"" if active is None else active.sha256,
                )
            )
        )
        total = sum(head.seq - head.acked_seq for head in plan.streams)
        records = left_out = 0
        for head in plan.streams:
            put, left = await self._put_stream(writing, head)
            records, left_out = records + put, left_out + left
            progress(records, total)
        for stream in plan.relayed:
            put, left = await self._put_relayed(writing, stream)
            records, left_out = records + put, left_out + left
        writing.finish()
        made = partial(
            question_made, file_id=file_id, records=records, size_bytes=writing.size_bytes
        )
        await self._writer.run(made)
        return Exported(
            file_id=file_id,
            made_at_ms=made_at_ms,
            records=records,
            left_out=left_out,
            size_bytes=writing.size_bytes,
        )

    def _kept_key(self, told: bytes) -> bytes:
        """The key in the database, kept in the file as well; or else the one in the file."""
        try:
            kept = self._central_key.read_bytes()
        except OSError:
            kept = b""
        if told and told != kept:
            with suppress(UnavailableError):
                write_private(self._central_key, told)
        return told or kept

    async def _put_stream(self, writing: SyncWriter, head: Head) -> tuple[int, int]:
        """A stream from where central confirmed it; records in the file, and left out."""
        owner = self._edge_id if head.edge_id is None else head.edge_id
        last = head.acked_seq
        while last < head.seq:
            records, previous = await self._reader.run(partial(_next, head=head, after=last))
            # Beside the reader, which tills wait for too.
            batch = await asyncio.to_thread(
                make_batch, records, first_seq=last + 1, previous_hash=previous
            )
            part = BatchPart(
                edge_id=owner,
                lane=head.lane,
                epoch=head.epoch,
                adopted=not head.current,
                batch=_ENCODE(batch),
            )
            if not _put(writing, part):
                break
            last = batch.last_seq
        return last - head.acked_seq, max(head.seq - last, 0)

    async def _put_relayed(self, writing: SyncWriter, stream: RelayStream) -> tuple[int, int]:
        """What a till has given this hub to carry."""
        put = left = 0
        last = 0
        while True:
            found = await self._reader.run(partial(waiting_after, stream=stream, seq=last))
            if found is None:
                return put, left
            count = found.last_seq - found.first_seq + 1
            part = BatchPart(
                edge_id=stream.edge_id,
                lane=stream.lane,
                epoch=stream.epoch,
                adopted=False,
                batch=found.body,
            )
            if left or not _put(writing, part):
                left += count
            else:
                put += count
            last = found.first_seq


def _put(writing: SyncWriter, part: BatchPart) -> bool:
    data = _ENCODE(part)
    if not writing.has_room(len(data)):
        return False
    writing.add(data)
    return True


def _plan(connection: apsw.Connection) -> _Plan:
    carried = carried_of(connection)
    feed = feed_state(connection)
    return _Plan(
        central_key=carried.central_key,
        whole=carried.whole or feed.orphaned or feed.missing is not None,
        feed=feed,
        have=pieces_here(connection),
        streams=sorted(_pending(connection), key=lambda h: send_rank(h.lane, current=h.current)),
        relayed=streams_waiting(connection),
    )


def _pending(connection: apsw.Connection) -> Iterator[Head]:
    return (head for head in streams_of(connection) if head.seq > head.acked_seq)


def _next(connection: apsw.Connection, head: Head, after: int) -> tuple[list[bytes], bytes]:
    """The records after a number, as many as a batch may hold, and the chain's hash before them."""
    limit = min(BATCH_RECORDS_MAX, head.seq - after)
    kept = kept_after(connection, head.stream_id, after, limit)
    return [each.record for each in kept], hash_at(connection, head, after)

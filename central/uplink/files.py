"""Files carried by hand: an agent's question is taken in as its calls would be, and answered.

The records go through the same ingest as those that came over a line, so it does not matter which
way a record comes, how often, or in which order. Nothing is done before the whole file was checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, Final

import msgspec
from psycopg.rows import DictRow

from central.database.pool import Connection, Pool, row_of, rows_of, run
from central.feed import store as feed_store
from central.feed.service import Feed
from central.fleet import store as fleet
from central.promotions import store as promotions
from central.uplink.enrol import Caller
from central.uplink.greeting import Greeting
from central.uplink.ingest import Ingest, Stream
from shared.clock import Clock
from shared.crypto.signing import Signer, key_id_of
from shared.errors import AppError, ForbiddenError, InputError, TrustError, UnavailableError
from shared.frames import decode_batch
from shared.ids import Chance
from shared.limits import FEED_CHUNKS_MAX, SYNC_FILES_KEPT_MAX, SYNC_PART_BYTES_MAX
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.sync_file import KEY_BYTES, SyncReader, SyncWriter, central_key, public_key_of
from shared.unreadable import UNREADABLE
from shared.wire.enrol import HelloOrder, HelloReply, HelloRequest
from shared.wire.feed import FeedReset
from shared.wire.files import (
    AnswerPart,
    AskPart,
    BatchPart,
    BundlePart,
    ChunkPart,
    FileHeader,
    FilePurpose,
    ManifestPart,
    PagePart,
    QuestionPart,
    ReplyPart,
    VerdictPart,
)
from shared.wire.stream import Ack, Refusal, RefusalCode

_QUERIES: Final = load_queries("central.uplink", "files.sql")
_PARTS: Final = msgspec.msgpack.Decoder(QuestionPart)
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_BUNDLE_PIECE_BYTES: Final = 2**20
_PUBLISH_LOOKS_MAX: Final = 100
_PUBLISH_LOOK_S: Final = 0.1
_LOG = get_logger(__name__)
Progress = Callable[[int, int], None]
"""Told how many batches are in, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a file came to. ``refused``: batches that central did not take."""

    edge_id: int
    store_id: str
    batches: int
    records: int
    refused: int
    size_bytes: int


@dataclass(slots=True, kw_only=True)
class _Talk:
    """One question being answered."""

    caller: Caller
    header: FileHeader
    ask: AskPart
    out: SyncWriter
    order: HelloOrder | None = None
    refused: int = 0

    def say(self, part: AnswerPart) -> bool:
        """Add a part; False: there is no more room, the rest goes with the next file."""
        data = _ENCODE(part)
        if len(data) > SYNC_PART_BYTES_MAX or not self.out.has_room(len(data)):
            return False
        self.out.add(data)
        return True


class Files:
    """Answers questions that come as files."""

    def __init__(
        self, pool: Pool, clock: Clock, chance: Chance, signer: Signer, ingest: Ingest
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._chance = chance
        self._signer = signer
        self._key = central_key(signer)
        self._ingest = ingest
        self._greeting = Greeting(pool, clock, chance, file_key=public_key_of(self._key))
        self._feed = Feed(pool, clock)

    async def answer(
        self, question: BinaryIO, answer: BinaryIO, progress: Progress = lambda _done, _all: None
    ) -> Answered:
        """Take a question in and write its answer; the same question again does no harm.

        Raises:
            InputError: it is no question, or its end is missing; nothing was changed.
            TrustError: it is of an unknown agent, was changed, or is for another head office;
                nothing was changed.
            UnavailableError: the database could not take all of it; do it again.
        """
        reader = SyncReader(question)
        header = reader.header
        if header.purpose is not FilePurpose.QUESTION:
            raise InputError(
                "this file is an answer of head office's",
                code="not_a_question",
                hint="Import it at the agent that asked.",
            )
        caller, heard_at_ms = await self._caller(reader)
        ask, batches = await asyncio.to_thread(_checked, reader)
        hello = _hello_of(ask)
        private_key = self._chance.token_bytes(KEY_BYTES)
        out = SyncWriter(
            answer,
            FileHeader(
                purpose=FilePurpose.ANSWER,
                edge_id=header.edge_id,
                store_id=header.store_id,
                file_id=header.file_id,
                made_at_ms=self._clock.now_ms(),
                reader_key=header.public_key,
                public_key=public_key_of(private_key),
                signer_key_id=self._signer.key_id,
            ),
            private_key=private_key,
            signer=self._signer,
        )
        talk = _Talk(caller=caller, header=header, ask=ask, out=out)
        await self._greet(talk, hello, heard_at_ms)
        records = 0
        with closing(_batches(reader)) as brought:
            for done, part in enumerate(brought):
                progress(done, batches)
                await self._take(talk, part)
                batch = decode_batch(part.batch)
                records += batch.last_seq - batch.first_seq + 1
        progress(batches, batches)
        if caller.state == "active":
            await self._tell(talk)
        out.finish()
        await self._note(header, records, out.size_bytes)
        _LOG.info("file.answered", edge_id=header.edge_id, batches=batches, refused=talk.refused)
        return Answered(
            edge_id=header.edge_id,
            store_id=header.store_id,
            batches=batches,
            refused=talk.refused,
            records=records,
            size_bytes=out.size_bytes,
        )

    async def _caller(self, reader: SyncReader) -> tuple[Caller, int]:
        """Who asks, when the whole file is its own; and when it was heard last, ms."""
        header = reader.header
        async with self._pool.connection() as connection:
            row = await row_of(connection, _QUERIES["edge"], {"edge_id": header.edge_id})
        if row is None or row["store_id"] != header.store_id:
            raise TrustError(
                f"agent {header.edge_id} of store {header.store_id} is not known here",
                code="unknown_agent",
                hint="The file may be for another head office.",
            )
        device = bytes(row["device_public_key"])
        await asyncio.to_thread(reader.check, {key_id_of(device): device})
        reader.open_with(self._key)
        caller = Caller(edge_id=header.edge_id, store_id=row["store_id"], state=row["state"])
        return caller, row["heard_at_ms"] or 0

    async def _greet(self, talk: _Talk, hello: HelloRequest, heard_at_ms: int) -> None:
        """What the agent says of itself, unless it said something later over the line."""
        reply: HelloReply | None = None
        made_at_ms = min(talk.header.made_at_ms, self._clock.now_ms())
        if made_at_ms >= heard_at_ms:
            reply = await self._greeting.greet(talk.caller, hello, heard_at_ms=made_at_ms)
            talk.order = reply.order
            if talk.caller.state == "active":
                await self._feed.confirm(talk.caller.edge_id, hello.feed_cursor)
        talk.say(
            ReplyPart(
                hello=b"" if reply is None else msgspec.json.encode(reply),
                server_time_ms=self._clock.now_ms(),
            )
        )

    async def _take(self, talk: _Talk, part: BatchPart) -> None:
        own = part.edge_id == talk.caller.edge_id and not part.adopted
        if own and talk.order not in {None, HelloOrder.CONTINUE}:
            return  # these streams do not go on as they are; the order says how
        code, said = await self._verdict(talk.caller, part)
        if code != "ack":
            talk.refused += 1
        talk.say(
            VerdictPart(
                edge_id=part.edge_id, lane=part.lane, epoch=part.epoch, code=code, answer=said
            )
        )

    async def _verdict(self, caller: Caller, part: BatchPart) -> tuple[str, bytes]:
        if caller.state == "frozen":
            frozen = Refusal(
                code=RefusalCode.FROZEN,
                epoch=part.epoch,
                seq=0,
                hash=b"",
                detail="a person has frozen this agent",
            )
            return "refusal", _ENCODE(frozen)
        try:
            if caller.state == "revoked":
                raise ForbiddenError(code="revoked")
            answer = await self._ingested(caller, part)
        except UnavailableError:
            raise
        except AppError as error:
            return error.stable_code, b""
        return "ack" if isinstance(answer, Ack) else "refusal", _ENCODE(answer)

    async def _ingested(self, caller: Caller, part: BatchPart) -> Ack | Refusal:
        stream = Stream(
            edge_id=part.edge_id,
            store_id=caller.store_id,
            lane=part.lane,
            epoch=part.epoch,
            by_edge_id=caller.edge_id if part.adopted else None,
        )
        batch = decode_batch(part.batch)
        if part.adopted:
            return await self._ingest.adopt(stream, batch)
        if part.edge_id != caller.edge_id:
            async with self._pool.connection() as connection:
                if not await fleet.may_carry(connection, caller.edge_id, part.edge_id):
                    raise ForbiddenError("an agent writes only its own streams, or its tills'")
        return await self._ingest.take(stream, batch)

    async def _tell(self, talk: _Talk) -> None:
        """What the shop has to know and lacks."""
        await self._tell_bundle(talk)
        await self._all_published()
        after, reset = talk.ask.cursor, "asked" if talk.ask.whole else ""
        while True:
            if reset:
                told = await self._tell_whole(talk, reset)
                if told is None:
                    return
                after, reset = told, ""
            try:
                found = await feed_store.read_page(
                    self._pool, talk.caller.store_id, after, pages_only=False
                )
            except InputError:
                reset = "bad_cursor"
                continue
            if isinstance(found, FeedReset):
                reset = found.reason
                continue
            page, _ = found
            if not talk.say(PagePart(after=after, page=_ENCODE(page))):
                return
            if page.complete and not page.changes:
                return
            after = page.cursor

    async def _all_published(self) -> None:
        """Publish what was committed: a file cannot be told a moment later what was missing.

        Another process may be at it, or a long transaction hold it up; that is waited for a while.
        """
        for _ in range(_PUBLISH_LOOKS_MAX):
            await self._feed.publish()
            async with self._pool.connection() as connection:
                if not await feed_store.log_waits(connection):
                    return
            await asyncio.sleep(_PUBLISH_LOOK_S)
        _LOG.warning("file.news_left_out", reason="the feed is held up")

    async def _tell_whole(self, talk: _Talk, reason: str) -> str | None:
        """A snapshot; where the feed goes on after it, or None when there was no room for all."""
        store_id = talk.caller.store_id
        manifest = await self._feed.snapshot(store_id)
        if len(manifest.chunks) > FEED_CHUNKS_MAX:
            return None
        if not talk.say(ManifestPart(reason=reason, manifest=_ENCODE(manifest))):
            return None
        have = set(talk.ask.have)
        for chunk in manifest.chunks:
            if chunk.sha256 in have:
                continue
            data = await self._feed.chunk(store_id, chunk.sha256)
            if not talk.say(ChunkPart(sha256=chunk.sha256, data=data)):
                return None
        return manifest.cursor

    async def _tell_bundle(self, talk: _Talk) -> None:
        async with self._pool.connection() as connection:
            row = await promotions.latest_bundle(connection)
        if row is None or bytes(row["sha256"]) == talk.ask.bundle_sha256:
            return
        data = bytes(row["bytes"])
        if not talk.out.has_room(2 * len(data)):
            return
        for start in range(0, len(data), _BUNDLE_PIECE_BYTES):
            piece = data[start : start + _BUNDLE_PIECE_BYTES]
            talk.say(BundlePart(version=row["version"], data=piece))

    async def _note(self, header: FileHeader, records: int, size_bytes: int) -> None:
        values = {
            "edge_id": header.edge_id,
            "file_id": header.file_id,
            "made_at_ms": header.made_at_ms,
            "records": records,
            "size_bytes": size_bytes,
            "keep": SYNC_FILES_KEPT_MAX,
        }
        async with self._pool.connection() as connection:
            await run(connection, _QUERIES["note"], values)
            await run(connection, _QUERIES["forget"], values)


async def last_files(connection: Connection, count: int) -> list[DictRow]:
    """The files that came last, of all agents, the newest first."""
    return await rows_of(connection, _QUERIES["list"], {"count": count})


def _checked(reader: SyncReader) -> tuple[AskPart, int]:
    """The question's first part and how many batches follow, all of them looked at."""
    ask: AskPart | None = None
    batches = 0
    for place, data in reader.parts():
        part = _decoded(data)
        if isinstance(part, AskPart) != (place.number == 0):
            raise InputError("the file's parts are in no order that is known", code="bad_file")
        if isinstance(part, AskPart):
            ask = part
        else:
            decode_batch(part.batch)
            batches += 1
    if ask is None:
        raise InputError("there is nothing in the file", code="bad_file")
    return ask, batches


def _batches(reader: SyncReader) -> Generator[BatchPart]:
    for _, data in reader.parts():
        part = _decoded(data)
        if isinstance(part, BatchPart):
            yield part


def _decoded(data: bytes) -> QuestionPart:
    try:
        part: QuestionPart = _PARTS.decode(data)
    except UNREADABLE as error:
        raise InputError(
            "a part of the file is of no kind that is known here",
            code="bad_file",
            hint="The agent may be of a newer release: update head office.",
        ) from error
    return part


def _hello_of(ask: AskPart) -> HelloRequest:
    try:
        return msgspec.json.decode(ask.hello, type=HelloRequest)
    except UNREADABLE as error:
        raise InputError("the file's greeting cannot be read", code="bad_file") from error

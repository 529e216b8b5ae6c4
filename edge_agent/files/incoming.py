"""Head office's answer from a file: checked as a whole, then heard as if it came over a line.

Every step means the same the second time, and what a line has brought meanwhile is never undone; so
an import that was cut is simply done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final, TypeVar

import apsw
import msgspec

from edge_agent.bundles.service import BundleService
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.lan.relay import CentralSaid, RelayStream, forget_to, note_said
from edge_agent.uplink.carried import Told, answered, put_whole, question_of
from edge_agent.uplink.feed_state import feed_state
from edge_agent.uplink.loops import Uplink
from edge_agent.uplink.topics import wanted_bundle
from shared.errors import ConflictError, InputError, NotFoundError, TrustError
from shared.limits import BUNDLE_BYTES_MAX
from shared.sync_file import Place, SyncReader
from shared.unreadable import UNREADABLE
from shared.wire.enrol import HelloReply
from shared.wire.feed import FeedBuckets, FeedPage, FeedRepair, FeedReset, SnapshotManifest
from shared.wire.files import (
    AnswerPart,
    BundlePart,
    ChunkPart,
    FilePurpose,
    ManifestPart,
    PagePart,
    ReplyPart,
    VerdictPart,
)
from shared.wire.stream import Ack, Refusal

_PARTS: Final = msgspec.msgpack.Decoder(AnswerPart)
_T = TypeVar("_T")
Progress = Callable[[int, int], None]
"""Told how many verdicts were heard, of how many."""


class EndOfFileError(ConflictError):
    """The file tells no more."""

    code = "end_of_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an answer came to. ``complete``: the shop now knows all that the file could tell.

    ``bundle_version``: in force afterwards.
    """

    made_at_ms: int
    confirmed: int
    bundle_version: int | None
    complete: bool


@dataclass(slots=True, kw_only=True)
class _Index:
    """Where everything stands in the answer."""

    reply: ReplyPart | None = None
    verdicts: list[Place] = field(default_factory=list)
    pages: dict[str, Place] = field(default_factory=dict)
    manifest: ManifestPart | None = None
    chunks: dict[bytes, Place] = field(default_factory=dict)
    bundle: dict[int, list[Place]] = field(default_factory=dict)


class FileCentral:
    """Central's feed as far as the file tells it; each page once.

    ``moved``: the shop's feed has gone on since the question; then no snapshot of the file's is
    taken, which may be older.
    """

    def __init__(self, reader: SyncReader, index: _Index, *, moved: bool) -> None:
        self._reader = reader
        self._pages = dict(index.pages)
        self._chunks = index.chunks
        self._manifest = None if moved else index.manifest
        self._whole = self._manifest is not None

    async def feed(self, cursor: str, wait_s: float) -> FeedPage | FeedReset:
        """The page after the cursor. Raises EndOfFileError where the file tells none."""
        del wait_s
        if cursor in self._pages:
            part = _of(self._reader, self._pages.pop(cursor), PagePart)
            return _decoded(part.page, FeedPage)
        if self._whole and self._manifest is not None:
            self._whole = False
            return FeedReset(reason=self._manifest.reason)
        raise EndOfFileError

    async def feed_snapshot(self) -> SnapshotManifest:
        """The pieces of all that the shop has to know."""
        if self._manifest is None:
            raise EndOfFileError
        self._whole = False
        return _decoded(self._manifest.manifest, SnapshotManifest)

    async def feed_chunk(self, sha256: bytes) -> bytes:
        """One piece. Raises NotFoundError where the file has another snapshot than is read."""
        place = self._chunks.get(sha256)
        if place is not None:
            return _of(self._reader, place, ChunkPart).data
        if self._whole:
            raise NotFoundError("the file's snapshot has no such piece")
        raise EndOfFileError

    async def feed_buckets(self, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        """A file answers no such question: the next one asks for everything."""
        del cursor, topic
        raise EndOfFileError

    async def feed_repair(
        self, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        """Nor this one."""
        del cursor, topic, buckets
        raise EndOfFileError


class Incoming:
    """Takes answers in. ``trusted``: who may sign; ``hear_time``: gets central's time, ms."""

    def __init__(
        self,
        *,
        edge_id: int,
        trusted: Mapping[str, bytes],
        uplink: Uplink,
        writer: Writer,
        reader: Reader,
        bundles: BundleService,
        trusted_now_ms: Callable[[], int],
        hear_time: Callable[[int], None],
    ) -> None:
        self._edge_id = edge_id
        self._trusted = trusted
        self._uplink = uplink
        self._writer = writer
        self._reader = reader
        self._bundles = bundles
        self._trusted_now_ms = trusted_now_ms
        self._hear_time = hear_time

    async def read(self, file: BinaryIO, progress: Progress) -> Imported:
        """Take an answer in.

        Raises:
            InputError: it is no answer, or its end is missing; nothing was changed.
            TrustError: it is not for this agent or was changed; nothing was changed.
            ConflictError: ``file_used``: this answer was taken in before, or a newer question has
                taken its place; ``must_enrol``, ``revoked``: what head office orders.
        """
        answer = SyncReader(file)
        told = await self._own_question(answer)
        index = await asyncio.to_thread(_index_of, answer)
        assert index.reply is not None, "an index has a reply"
        self._hear_time(index.reply.server_time_ms)
        confirmed = 0
        for done, place in enumerate(index.verdicts):
            progress(done, len(index.verdicts))
            confirmed += await self._hear(_of(answer, place, VerdictPart))
        progress(len(index.verdicts), len(index.verdicts))
        if index.reply.hello:
            reply = _reply_of(index.reply)
            await self._uplink.hear_letter(reply, told)
        state = await self._reader.run(feed_state)
        central = FileCentral(answer, index, moved=state.cursor != told.cursor)
        complete = await self._uplink.read_carried(central)
        await self._take_bundle(answer, index)

        def note(connection: apsw.Connection) -> None:
            put_whole(connection, whole=not complete)
            answered(connection, answer.header.file_id, self._trusted_now_ms())

        await self._writer.run(note)
        active = self._bundles.active
        return Imported(
            made_at_ms=answer.header.made_at_ms,
            confirmed=confirmed,
            bundle_version=None if active is None else active.header.version,
            complete=complete,
        )

    async def _own_question(self, answer: SyncReader) -> Told:
        header = answer.header
        if header.purpose is not FilePurpose.ANSWER:
            raise InputError(
                "this file is a question to head office",
                code="not_an_answer",
                hint="Import it at head office, and its answer here.",
            )
        if header.edge_id != self._edge_id:
            raise TrustError(
                f"this file is for agent {header.edge_id} of store {header.store_id}",
                code="other_agent",
                hint="Import it there.",
            )
        file_id = header.file_id
        question = await self._reader.run(lambda connection: question_of(connection, file_id))
        if question is None or not question[0]:
            raise ConflictError(
                "this answer was taken in before, or is to a question that is not waited for",
                code="file_used",
                hint="Export again and carry the new file to head office.",
            )
        key, told = question
        await asyncio.to_thread(answer.check, self._trusted)
        answer.open_with(key)
        return told

    async def _hear(self, part: VerdictPart) -> int:
        """Central's word on a batch; 1 when it took it."""
        said: Ack | Refusal | None = None
        if part.code == "ack":
            said = _decoded(part.answer, Ack)
        elif part.code == "refusal":
            said = _decoded(part.answer, Refusal)
        own = await self._uplink.streams.hear_carried(part.edge_id, part.lane, part.epoch, said)
        if not own and said is not None:
            await self._writer.run(partial(self._tell_till, part=part, said=said))
        return int(isinstance(said, Ack))

    def _tell_till(
        self, connection: apsw.Connection, part: VerdictPart, said: Ack | Refusal
    ) -> None:
        stream = RelayStream(edge_id=part.edge_id, lane=part.lane, epoch=part.epoch)
        word = CentralSaid(kind=part.code, answer=part.answer)
        note_said(connection, stream, word, self._trusted_now_ms())
        if isinstance(said, Ack):
            forget_to(connection, stream, said.seq)

    async def _take_bundle(self, answer: SyncReader, index: _Index) -> None:
        wanted = await self._reader.run(wanted_bundle)
        active = self._bundles.active
        if wanted is None or (active is not None and active.sha256 == wanted.sha256):
            return
        places = index.bundle.get(wanted.version)
        if places is None:
            return
        data = b"".join(_of(answer, place, BundlePart).data for place in places)
        if len(data) > BUNDLE_BYTES_MAX:
            raise TrustError("the bundle in the file is too large", code="too_large")
        bundle = await asyncio.to_thread(self._bundles.offer, data)
        if bundle.sha256 != wanted.sha256:
            raise TrustError(
                f"bundle {wanted.version} is good, but not the one the feed named",
                code="other_bundle",
            )


def _index_of(answer: SyncReader) -> _Index:
    """Go over all parts once, before anything is done."""
    index = _Index()
    for place, data in answer.parts():
        part = _part(data)
        if isinstance(part, ReplyPart) != (place.number == 0):
            raise InputError("the file's parts are in no order that is known", code="bad_file")
        match part:
            case ReplyPart():
                if part.hello:
                    _reply_of(part)
                index.reply = part
            case VerdictPart():
                index.verdicts.append(place)
            case PagePart():
                index.pages[part.after] = place
            case ManifestPart():
                index.manifest = part
            case ChunkPart():
                index.chunks[part.sha256] = place
            case BundlePart():
                index.bundle.setdefault(part.version, []).append(place)
    if index.reply is None:
        raise InputError("there is nothing in the file", code="bad_file")
    return index


def _reply_of(part: ReplyPart) -> HelloReply:
    try:
        return msgspec.json.decode(part.hello, type=HelloReply)
    except UNREADABLE as error:
        raise _of_newer_release() from error


def _of(answer: SyncReader, place: Place, kind: type[_T]) -> _T:
    part = _part(answer.part(place))
    assert isinstance(part, kind), "the index knows what stands where"
    return part


def _part(data: bytes) -> AnswerPart:
    try:
        part: AnswerPart = _PARTS.decode(data)
    except UNREADABLE as error:
        raise _of_newer_release() from error
    return part


def _decoded(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNREADABLE as error:
        raise _of_newer_release() from error


def _of_newer_release() -> InputError:
    return InputError(
        "a part of the file is of no kind that is known here",
        code="bad_file",
        hint="Head office may be of a newer release: update this agent.",
    )

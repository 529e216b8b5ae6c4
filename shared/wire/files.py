"""What a file carried by hand holds: an agent's question to head office, or the answer to it.

The parts mean what the calls of the uplink mean (docs/wire.md), one after the other; so a file and
the network may take turns, or come at the same time.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

FILE_ID_BYTES: Final = 16
FILES_PATH: Final = "/v1/files"
"""Where an agent with a line brings another one's question to central."""


class FilePurpose(enum.StrEnum):
    """Which way a file goes."""

    QUESTION = "question"
    """From an agent to head office."""
    ANSWER = "answer"
    """From head office to the agent that asked."""


class FileHeader(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The beginning of a file, which anybody may read.

    ``file_id``: of the question, 16 random bytes; the answer names it. ``made_at_ms``: by its
    maker's clock. ``reader_key``: to which key it is closed; ``public_key``: made for this file
    alone. ``signer_key_id``: whose signature ends it.
    """

    purpose: FilePurpose
    edge_id: int
    store_id: str
    file_id: bytes
    made_at_ms: int
    reader_key: bytes
    public_key: bytes
    signer_key_id: str


class AskPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="ask"):
    """First in a question. ``hello``: JSON ``HelloRequest``; what the agent has, and lacks.

    ``cursor``: where the feed is to be read on; ``whole``: what it has does not add up, or a
    snapshot is half here, of which it has the pieces ``have``. ``bundle_sha256``: in force, or
    empty.
    """

    hello: bytes
    cursor: str
    whole: bool
    have: list[bytes]
    bundle_sha256: bytes


class BatchPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="batch"):
    """A batch as it would be put to central; ``adopted``: under the other address."""

    edge_id: int
    lane: int
    epoch: int
    adopted: bool
    batch: bytes


class ReplyPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="reply"):
    """First in an answer. ``hello``: JSON ``HelloReply``; empty where a later one was heard."""

    hello: bytes
    server_time_ms: int


class VerdictPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="verdict"):
    """What became of a stream's batches.

    ``code``: ``ack`` or ``refusal``, with the answer's bytes; else why central did not look at
    them.
    """

    edge_id: int
    lane: int
    epoch: int
    code: str
    answer: bytes


class PagePart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="page"):
    """The ``FeedPage`` that follows the cursor ``after``."""

    after: str
    page: bytes


class ManifestPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="manifest"):
    """What central's feed held is to be built anew: a ``SnapshotManifest``, and why."""

    reason: str
    manifest: bytes


class ChunkPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="chunk"):
    """A piece of the snapshot."""

    sha256: bytes
    data: bytes


class BundlePart(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="bundle"):
    """Bytes of a bundle, in order."""

    version: int
    data: bytes


QuestionPart = AskPart | BatchPart
AnswerPart = ReplyPart | VerdictPart | PagePart | ManifestPart | ChunkPart | BundlePart

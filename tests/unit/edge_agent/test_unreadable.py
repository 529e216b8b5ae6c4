"""Text that is no UTF-8, and nesting without end, are refused like any other nonsense."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
import pytest
import zstandard

from edge_agent.lan.seal import decoded
from edge_agent.uplink import transport
from edge_agent.uplink.changeover import open_chunk
from edge_agent.uplink.topics import PLACES, entry_of
from edge_agent.witness.layout import pack, read_entries, read_slot
from shared.errors import AppError, InputError, TrustError, UnavailableError
from shared.wire.enrol import HelloReply
from shared.wire.feed import ChunkRef, FeedChange, FeedPage, Operation, Topic
from shared.wire.lan import RightsAsk

NO_TEXT: Final = b"\x91\xa1\xb4"
DEEP: Final = b"\x91" * 100_000
WHATEVER: Final = [NO_TEXT, DEEP, b"", b"\xc1"]


def chunk(data: bytes) -> None:
    packed = zstandard.compress(data)
    ref = ChunkRef(
        sha256=hashlib.sha256(packed).digest(), size_bytes=len(packed), raw_bytes=len(data)
    )
    open_chunk(ref, packed)


def entry(data: bytes) -> None:
    change = FeedChange(
        topic=Topic.CUSTOMER, key="c1", operation=Operation.PUT, version=1, payload=data
    )
    entry_of(change, PLACES[Topic.CUSTOMER])


READERS: Final[list[tuple[Callable[[bytes], object], type[AppError]]]] = [
    (chunk, TrustError),
    (entry, TrustError),
    (lambda data: decoded(data, RightsAsk), InputError),
    (lambda data: transport._from_msgpack(data, FeedPage), UnavailableError),
]


@pytest.mark.parametrize("data", WHATEVER, ids=["no text", "deep", "nothing", "no msgpack"])
@pytest.mark.parametrize(("read", "error"), READERS, ids=["chunk", "entry", "lan", "page"])
def test_refused_with_an_error_of_ours(
    read: Callable[[bytes], object], error: type[AppError], data: bytes
) -> None:
    with pytest.raises(error):
        read(data)


@pytest.mark.parametrize("data", [b'{"order":"\xb4"}', b"[" * 100_000, b"", b"<html>"])
def test_answer_that_is_not_centrals_is_as_if_nobody_were_there(data: bytes) -> None:
    with pytest.raises(UnavailableError):
        transport._from_json(data, HelloReply)


@pytest.mark.parametrize("data", WHATEVER, ids=["no text", "deep", "nothing", "no msgpack"])
def test_piece_of_the_second_medium_that_says_nothing_is_none(data: bytes) -> None:
    piece = pack(msgspec.Raw(data)) if data else b""
    assert read_slot(piece) is None
    assert list(read_entries(piece)) == []

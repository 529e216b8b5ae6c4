"""How witness and second journal lie in bytes. Pure: every piece carries its length and checksum.

A piece is ``magic (4) | length (u32) | SHA-256 of the payload, first 16 bytes | payload``, so that
a torn or flipped one is known for what it is and nothing after it is taken for a beginning.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from edge_agent.clock.policy import OFF_ALLOWANCE_MS
from shared.limits import RECORD_BYTES_MAX
from shared.unreadable import UNREADABLE

PIECE_BYTES_MAX: Final = RECORD_BYTES_MAX + 4096
"""A record and what is kept beside it."""
SLOT_BYTES: Final = 160 * 2**10
"""Two thousand leases at some seventy bytes and the heads fit."""
_MAGIC: Final = b"KPW1"
_HEAD: Final = struct.Struct(">4sI16s")
_ENCODER: Final = msgspec.msgpack.Encoder()


class Place(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where the chain of a lane stands, or stood."""

    lane: int
    epoch: int
    seq: int
    hash: bytes

    def number(self) -> tuple[int, int]:
        """What grows with every record."""
        return self.epoch, self.seq


class LeaseTotal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What was spent on one lease and central has not confirmed."""

    lease_id: str
    spend_count: int
    spent_amount: int


class Statement(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the witness says. ``counter`` grows with every writing; the higher of two is the last.

    ``left_out``: how many leases more have unconfirmed spends. ``floor_ms``, ``boot_id``,
    ``boot_ns`` and ``off_ms``: trusted time (``edge_agent.clock.policy.Floor``). ``kept_ms`` and
    ``kept_boot_ns``: what of it the database's last commit has in it, whatever that commit was
    about; 0 where an older release wrote this.
    """

    edge_id: int
    counter: int
    heads: list[Place]
    leases: list[LeaseTotal]
    left_out: int
    floor_ms: int
    boot_id: str
    boot_ns: int
    kept_ms: int = 0
    kept_boot_ns: int = 0
    off_ms: int = OFF_ALLOWANCE_MS


class Opened(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="opened"):
    """Every file of the journal begins so: whose it is and where the chains stood."""

    edge_id: int
    heads: list[Place]


class Begun(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="begun"):
    """A stream began at this hash."""

    lane: int
    epoch: int
    genesis: bytes


class Chained(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="chained"):
    """A record with all that the shop keeps of it."""

    lane: int
    epoch: int
    seq: int
    hash: bytes
    uid: bytes
    recorded_at_ms: int
    record: bytes
    local: bytes


class Waiting(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="waiting"):
    """A fact that had no number yet."""

    lane: int
    uid: bytes
    recorded_at_ms: int
    kind: str
    body: bytes
    local: bytes


Entry = Opened | Begun | Chained | Waiting
_STATEMENT: Final = msgspec.msgpack.Decoder(Statement)
_ENTRY: Final = msgspec.msgpack.Decoder(Entry)


def pack(value: msgspec.Struct) -> bytes:
    """The piece of a statement or a journal entry."""
    payload = _ENCODER.encode(value)
    assert len(payload) <= PIECE_BYTES_MAX, "records are bounded"
    return _HEAD.pack(_MAGIC, len(payload), _checksum(payload)) + payload


def read_slot(data: bytes) -> Statement | None:
    """The statement in a slot; None when it is empty, torn or not one."""
    payload = _payload_at(data, 0)
    if payload is None:
        return None
    try:
        return _STATEMENT.decode(payload)
    except UNREADABLE:
        return None


def last_statement(slots: list[bytes]) -> Statement | None:
    """Of the slots that can be read, the one written last."""
    read = [found for found in map(read_slot, slots) if found is not None]
    return max(read, key=lambda statement: statement.counter, default=None)


def read_pieces(data: bytes) -> Iterator[bytes]:
    """The payloads of a file of pieces, up to the first that is not whole."""
    at = 0
    while (payload := _payload_at(data, at)) is not None:
        yield payload
        at += _HEAD.size + len(payload)


def read_entries(data: bytes) -> Iterator[tuple[int, Entry]]:
    """The entries of a journal file with where each ends; stops at the first that is not whole."""
    at = 0
    while True:
        payload = _payload_at(data, at)
        if payload is None:
            return
        try:
            entry = _ENTRY.decode(payload)
        except UNREADABLE:
            return
        at += _HEAD.size + len(payload)
        yield at, entry


def is_broken_inside(data: bytes) -> bool:
    """Whether something whole follows what cannot be read.

    A power cut tears the end of a file; nothing is written behind it any more.
    """
    ends = [end for end, _ in read_entries(data)]
    at = data.find(_MAGIC, ends[-1] + 1 if ends else 1)
    while at >= 0:
        if _payload_at(data, at) is not None:
            return True
        at = data.find(_MAGIC, at + 1)
    return False


def _payload_at(data: bytes, at: int) -> bytes | None:
    if len(data) < at + _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    if magic != _MAGIC or length > PIECE_BYTES_MAX or len(data) < start + length:
        return None
    payload = data[start : start + length]
    return payload if _checksum(payload) == checksum else None


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()[:16]

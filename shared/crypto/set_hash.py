"""A sum over a set of entries, kept as entries come and go, that tells whether two sets are equal.

Each entry counts as 128 bits of SHA-256 over all of it; the set is the sum of its entries modulo
2^128, so that adding, replacing and removing one costs the same in a set of any size. It finds
losses, damage and faults of programs; it is no proof against somebody who chooses the entries.
PostgreSQL computes the same from the two halves as signed numbers, hence the way they are read.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

SET_SUM_BYTES: Final = 16
BUCKETS: Final = 256
"""A set that differs is compared by these; so a repair moves one part in 256 of it."""
_MODULUS: Final = 1 << 128
_HALVES: Final = struct.Struct(">qq")


def entry_hash(topic: str, key: str, version: int, payload: bytes) -> int:
    """What one entry adds to the sum of its set; a forgotten key adds nothing."""
    digest = hashlib.sha256(
        b"%b\0%b\0%b%b" % (topic.encode(), key.encode(), version.to_bytes(8, "big"), payload)
    ).digest()
    high: int
    low: int
    high, low = _HALVES.unpack_from(digest)
    return ((high << 64) + low) % _MODULUS


def add_to_sum(total: int, change: int) -> int:
    """The sum after ``change`` (of either sign, of any size) was added."""
    return (total + change) % _MODULUS


def sum_bytes(total: int) -> bytes:
    """A sum or an entry's hash as it crosses a wire or is kept: 16 bytes, big-endian."""
    return (total % _MODULUS).to_bytes(SET_SUM_BYTES, "big")


def sum_of_bytes(data: bytes) -> int:
    """The other way."""
    return int.from_bytes(data, "big")


def bucket_of(key: str) -> int:
    """Which of the buckets a key is in, whatever its version."""
    return hashlib.sha256(key.encode()).digest()[0]

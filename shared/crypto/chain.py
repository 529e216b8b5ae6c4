"""The hash chain that makes a stream of records tamper-evident and resumable.

``h[0]`` binds the stream (edge, lane, epoch) to a nonce central issued;
``h[n] = SHA-256(h[n-1] || record)`` over the exact bytes of the record. Two ends that agree on
``(seq, hash)`` agree on everything before it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

HASH_BYTES: Final = 32
NONCE_BYTES: Final = 16
_GENESIS_TAG: Final = b"kopilka.chain.v1"


def chain_genesis(edge_id: int, lane: int, epoch: int, nonce: bytes) -> bytes:
    """``h[0]`` of the stream (edge, lane, epoch); ``nonce`` is central's, 16 bytes."""
    assert len(nonce) == NONCE_BYTES, "the nonce is 16 bytes"
    return hashlib.sha256(_GENESIS_TAG + struct.pack(">QBI", edge_id, lane, epoch) + nonce).digest()


def chain_next(previous: bytes, record: bytes) -> bytes:
    """The head after ``record`` (its exact bytes) is appended to ``previous``."""
    assert len(previous) == HASH_BYTES, "a chain hash is 32 bytes"
    return hashlib.sha256(previous + record).digest()


def chain_fold(previous: bytes, records: Iterable[bytes]) -> bytes:
    """The head after all ``records`` in order."""
    head = previous
    for record in records:
        head = chain_next(head, record)
    return head

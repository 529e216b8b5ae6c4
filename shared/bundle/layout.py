"""How a bundle lies in bytes.

    magic (8) | header length (4, big endian) | header (msgpack) | payload (zstd) |
    signature: key id (16 ASCII) | Ed25519 (64)

The signature covers every byte before it. The header states sizes and hashes, so that nothing is
unpacked before it is known to be what was signed.
"""

from __future__ import annotations

from typing import Final

import msgspec

MAGIC: Final = b"KOPILKA\x01"
LENGTH_BYTES: Final = 4
KEY_ID_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
TAIL_BYTES: Final = KEY_ID_BYTES + SIGNATURE_BYTES
HEADER_BYTES_MAX: Final = 64 * 2**10
"""A header is a few hundred bytes; more is not a header."""
SIGNATURE_KIND: Final = "bundle"


class BundleHeader(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a bundle says of itself; ``payload_bytes`` is before compression."""

    programme: str
    version: int
    currency: str
    timezone: str
    engine_min: int
    engine_max: int
    created_at_ms: int
    payload_sha256: bytes
    payload_bytes: int
    frame_bytes: int

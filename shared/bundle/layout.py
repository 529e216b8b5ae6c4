"""How a bundle lies in bytes.

    magic (8) | header length (4, big endian) | header (msgpack) | payload (zstd) |
    signature: key id (16 ASCII) | Ed25519 (64)

The signature covers every byte before it. The header states sizes and hashes, so that nothing is
unpacked before it is known to be what was signed. The payload is the program by itself
(``FORMAT_BARE``), or the program with golden receipts (``FORMAT_GOLDEN``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.wire.receipt import Receipt

MAGIC: Final = b"KOPILKA\x01"
LENGTH_BYTES: Final = 4
KEY_ID_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
TAIL_BYTES: Final = KEY_ID_BYTES + SIGNATURE_BYTES
HEADER_BYTES_MAX: Final = 64 * 2**10
"""A header is a few hundred bytes; more is not a header."""
SIGNATURE_KIND: Final = "bundle"
FORMAT_BARE: Final = 1
"""What bundles were before they had golden receipts, and still are when they have none."""
FORMAT_GOLDEN: Final = 2


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
    payload_format: int = FORMAT_BARE


class GoldenPayload(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A payload with golden receipts; both parts are told apart before either is decoded."""

    program: msgspec.Raw
    golden: msgspec.Raw


class Golden(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A receipt of nobody in particular, and the digest of the answer that is right for it."""

    receipt: Receipt
    answer_sha256: bytes

"""Write a bundle: pack the program, state what it is, sign every byte."""

from __future__ import annotations

import hashlib

import msgspec
import zstandard

from shared.bundle.layout import LENGTH_BYTES, MAGIC, SIGNATURE_KIND, BundleHeader
from shared.crypto.signing import Signer
from shared.engine.program import ENGINE_VERSION, Program, encode_program

_LEVEL = 12
"""Bundles are packed once and travel to every shop."""


def write_bundle(program: Program, signer: Signer, *, created_at_ms: int) -> bytes:
    """The bundle of a program. The same program, key and instant give the same bytes."""
    payload = encode_program(program)
    frame = zstandard.ZstdCompressor(level=_LEVEL).compress(payload)
    header = msgspec.msgpack.encode(
        BundleHeader(
            programme=program.programme,
            version=program.version,
            currency=program.currency,
            timezone=program.timezone,
            engine_min=ENGINE_VERSION,
            engine_max=ENGINE_VERSION,
            created_at_ms=created_at_ms,
            payload_sha256=hashlib.sha256(payload).digest(),
            payload_bytes=len(payload),
            frame_bytes=len(frame),
        )
    )
    signed = MAGIC + len(header).to_bytes(LENGTH_BYTES, "big") + header + frame
    return signed + signer.key_id.encode("ascii") + signer.sign(SIGNATURE_KIND, signed)

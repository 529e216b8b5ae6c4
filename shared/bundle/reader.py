"""Read the parts of a bundle, each only after it is known to be as large as it says.

Who signed it is not looked at here: that is the business of ``shared.bundle.trust``.
"""

from __future__ import annotations

import gc
import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec
import zstandard

from shared import limits
from shared.bundle.layout import (
    FORMAT_BARE,
    FORMAT_GOLDEN,
    HEADER_BYTES_MAX,
    LENGTH_BYTES,
    MAGIC,
    BundleHeader,
    Golden,
    GoldenPayload,
)
from shared.engine.program import ENGINE_VERSION, Program, decode_program
from shared.errors import TooLargeError, TrustError
from shared.unreadable import UNREADABLE

_AGAIN: Final = "Download or export it again."
_GOLDEN: Final = msgspec.msgpack.Decoder(list[Golden])
_SHA256_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a payload holds."""

    program: Program
    golden: tuple[Golden, ...]


def read_header(signed: bytes) -> tuple[BundleHeader, bytes]:
    """Header and frame of a bundle's bytes without its signature.

    Raises:
        TrustError: they are cut short or cannot be read (codes ``truncated``, ``damaged``).
    """
    start = len(MAGIC) + LENGTH_BYTES
    length = int.from_bytes(signed[len(MAGIC) : start], "big")
    if length > HEADER_BYTES_MAX or start + length > len(signed):
        raise TrustError("the header is cut short", code="truncated", hint=_AGAIN)
    try:
        header = msgspec.msgpack.decode(signed[start : start + length], type=BundleHeader)
    except (ValueError, *UNREADABLE) as error:
        raise TrustError("the header cannot be read", code="damaged", hint=_AGAIN) from error
    frame = signed[start + length :]
    if len(frame) != header.frame_bytes:
        raise TrustError("the payload is cut short", code="truncated", hint=_AGAIN)
    return header, frame


def read_payload(header: BundleHeader, frame: bytes) -> Contents:
    """What is packed in a frame, if it is what the header says and this engine can run it.

    Raises:
        TooLargeError: more bytes or golden receipts than a bundle may have.
        TrustError: damaged, or for another release (codes ``damaged``, ``engine_version``,
            ``payload_format``).
    """
    if not header.engine_min <= ENGINE_VERSION <= header.engine_max:
        raise TrustError(
            f"for engines {header.engine_min} to {header.engine_max}; this is {ENGINE_VERSION}",
            code="engine_version",
            hint="Update this agent.",
        )
    if header.payload_format not in (FORMAT_BARE, FORMAT_GOLDEN):
        raise TrustError(
            f"the payload is of format {header.payload_format}, which is not known here",
            code="payload_format",
            hint="Update this agent.",
        )
    payload = unpack_frame(frame, header.payload_bytes)
    if hashlib.sha256(payload).digest() != header.payload_sha256:
        raise TrustError("the payload is not the one stated", code="damaged", hint=_AGAIN)
    try:
        contents = _decode(header.payload_format, payload)
    except (ValueError, *UNREADABLE) as error:
        raise TrustError("the payload cannot be read", code="damaged", hint=_AGAIN) from error
    program = contents.program
    if (program.programme, program.version) != (header.programme, header.version):
        raise TrustError("header and program disagree", code="damaged", hint=_AGAIN)
    return contents


def unpack_frame(frame: bytes, stated_bytes: int) -> bytes:
    """The bytes in a zstd frame, which must be as many as stated.

    The frame says itself how many it will give, and the unpacker gives no more than that.

    Raises:
        TooLargeError: more than a payload may have, or more than stated.
        TrustError: the frame is damaged or holds fewer bytes (code ``damaged``).
    """
    if not 0 <= stated_bytes <= limits.BUNDLE_PAYLOAD_BYTES_MAX:
        raise TooLargeError(f"a payload has at most {limits.BUNDLE_PAYLOAD_BYTES_MAX} bytes")
    try:
        frame_says_bytes = zstandard.frame_content_size(frame)
        if frame_says_bytes > stated_bytes:
            raise TooLargeError("the payload is larger than stated")
        if frame_says_bytes != stated_bytes:
            raise TrustError("the payload is not as large as stated", code="damaged", hint=_AGAIN)
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise TrustError("the payload cannot be unpacked", code="damaged", hint=_AGAIN) from error


def _decode(payload_format: int, payload: bytes) -> Contents:
    if payload_format == FORMAT_BARE:
        return Contents(program=_decode_program(payload), golden=())
    parts = msgspec.msgpack.decode(payload, type=GoldenPayload)
    packed = memoryview(parts.golden)
    if len(packed) > limits.BUNDLE_GOLDEN_BYTES_MAX:
        raise TooLargeError(
            f"golden receipts have at most {limits.BUNDLE_GOLDEN_BYTES_MAX} bytes together"
        )
    golden = tuple(_GOLDEN.decode(packed))
    if len(golden) > limits.BUNDLE_GOLDEN_MAX:
        raise TooLargeError(f"a bundle has at most {limits.BUNDLE_GOLDEN_MAX} golden receipts")
    if any(len(each.answer_sha256) != _SHA256_BYTES for each in golden):
        raise TrustError("an answer's digest is no SHA-256", code="damaged", hint=_AGAIN)
    return Contents(program=_decode_program(bytes(parts.program)), golden=golden)


def _decode_program(payload: bytes) -> Program:
    """The program; made of objects in such numbers that the collector would look at them often.

    None of them is garbage, and looking costs as much as making them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        return decode_program(payload)
    finally:
        if was_on:
            gc.enable()

"""Decide whether a bundle may be used: every check, in order, before anything is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from shared import limits
from shared.bundle.layout import (
    HEADER_BYTES_MAX,
    KEY_ID_BYTES,
    LENGTH_BYTES,
    MAGIC,
    SIGNATURE_KIND,
    TAIL_BYTES,
    BundleHeader,
)
from shared.bundle.reader import unpack_frame
from shared.crypto.signing import verify
from shared.engine.program import ENGINE_VERSION, Program, decode_program
from shared.errors import RollbackError, TooLargeError, TrustError

_AGAIN = "Download or export it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle that passed every check. ``sha256`` is over all its bytes."""

    header: BundleHeader
    program: Program
    sha256: bytes


def open_bundle(data: bytes, trusted: Mapping[str, bytes], *, version_floor: int) -> VerifiedBundle:
    """Check the bytes and give the program in them.

    ``trusted`` holds raw public keys by key id. A version below ``version_floor`` is refused; the
    floor itself is accepted, so that the active bundle can be opened again.

    Raises:
        TooLargeError: more bytes than a bundle may have, packed or unpacked.
        SignatureError: signed by nobody trusted, or changed since.
        RollbackError: an older version.
        TrustError: truncated, damaged, or for another engine (codes ``truncated``, ``damaged``,
            ``engine_version``).
    """
    if len(data) > limits.BUNDLE_BYTES_MAX:
        raise TooLargeError(f"a bundle has at most {limits.BUNDLE_BYTES_MAX} bytes")
    if not data.startswith(MAGIC):
        raise TrustError("this is not a bundle", code="damaged", hint=_AGAIN)
    if len(data) < len(MAGIC) + LENGTH_BYTES + TAIL_BYTES:
        raise TrustError("the bundle is cut short", code="truncated", hint=_AGAIN)
    signed, tail = data[:-TAIL_BYTES], data[-TAIL_BYTES:]
    # The signature first: nothing of an unsigned file is parsed.
    key_id = tail[:KEY_ID_BYTES].decode("ascii", "replace")
    verify(SIGNATURE_KIND, signed, tail[KEY_ID_BYTES:], key_id, trusted)
    header, frame = _header_and_frame(signed)
    if header.version < version_floor:
        raise RollbackError(
            f"bundle version {header.version} is older than {version_floor}, accepted before",
            hint="Publish the wanted content again with a higher version.",
        )
    if not header.engine_min <= ENGINE_VERSION <= header.engine_max:
        raise TrustError(
            f"for engines {header.engine_min} to {header.engine_max}; this is {ENGINE_VERSION}",
            code="engine_version",
            hint="Update this agent.",
        )
    payload = unpack_frame(frame, header.payload_bytes)
    if hashlib.sha256(payload).digest() != header.payload_sha256:
        raise TrustError("the payload is not the one stated", code="damaged", hint=_AGAIN)
    try:
        program = decode_program(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise TrustError("the program cannot be read", code="damaged", hint=_AGAIN) from error
    if (program.programme, program.version) != (header.programme, header.version):
        raise TrustError("header and program disagree", code="damaged", hint=_AGAIN)
    return VerifiedBundle(header=header, program=program, sha256=hashlib.sha256(data).digest())


def _header_and_frame(signed: bytes) -> tuple[BundleHeader, bytes]:
    start = len(MAGIC) + LENGTH_BYTES
    length = int.from_bytes(signed[len(MAGIC) : start], "big")
    if length > HEADER_BYTES_MAX or start + length > len(signed):
        raise TrustError("the header is cut short", code="truncated", hint=_AGAIN)
    try:
        header = msgspec.msgpack.decode(signed[start : start + length], type=BundleHeader)
    except msgspec.DecodeError as error:
        raise TrustError("the header cannot be read", code="damaged", hint=_AGAIN) from error
    frame = signed[start + length :]
    if len(frame) != header.frame_bytes:
        raise TrustError("the payload is cut short", code="truncated", hint=_AGAIN)
    return header, frame

"""Unpack what is packed, counting: a stated size is a claim, not a bound."""

from __future__ import annotations

import io

import zstandard

from shared import limits
from shared.errors import TooLargeError, TrustError

_CHUNK_BYTES = 256 * 2**10


def unpack_frame(frame: bytes, stated_bytes: int) -> bytes:
    """The bytes in a zstd frame, which must be as many as stated.

    Raises:
        TooLargeError: more than a payload may have, or more than stated.
        TrustError: the frame is damaged or holds fewer bytes (code ``damaged``).
    """
    if not 0 <= stated_bytes <= limits.BUNDLE_PAYLOAD_BYTES_MAX:
        raise TooLargeError(f"a payload has at most {limits.BUNDLE_PAYLOAD_BYTES_MAX} bytes")
    unpacked = bytearray()
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(frame)) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                unpacked += chunk
                if len(unpacked) > stated_bytes:
                    raise TooLargeError("the payload is larger than stated")
    except zstandard.ZstdError as error:
        raise TrustError("the payload cannot be unpacked", code="damaged") from error
    if len(unpacked) != stated_bytes:
        raise TrustError("the payload is smaller than stated", code="damaged")
    return bytes(unpacked)

"""Take a batch's frame apart without trusting any size it states."""

from __future__ import annotations

import msgspec
import zstandard

from shared.errors import InputError, TooLargeError
from shared.limits import BATCH_FRAME_BYTES_MAX, BATCH_RAW_BYTES_MAX, BATCH_RECORDS_MAX
from shared.wire.stream import Batch

_RECORDS = msgspec.msgpack.Decoder(list[bytes])
_PIECE_BYTES = 64 * 2**10


def decode_batch(body: bytes) -> Batch:
    """The batch in a request's body.

    Raises:
        InputError: it is no batch.
        TooLargeError: its frame is larger than agreed.
    """
    try:
        batch = msgspec.msgpack.decode(body, type=Batch)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("the body is not a batch of records", code="bad_batch") from error
    if len(batch.frame) > BATCH_FRAME_BYTES_MAX:
        raise TooLargeError("the frame is larger than agreed")
    return batch


def encoded_records(batch: Batch) -> list[bytes]:
    """The exact bytes of every record, decompressed under a counted bound.

    Raises:
        InputError: the frame is damaged or does not hold what the batch says.
        TooLargeError: it holds more than agreed.
    """
    raw = bytearray()
    try:
        stream = zstandard.ZstdDecompressor().stream_reader(batch.frame)
        while piece := stream.read(_PIECE_BYTES):
            raw += piece
            if len(raw) > BATCH_RAW_BYTES_MAX:
                raise TooLargeError("the batch holds more than agreed")
        records = _RECORDS.decode(bytes(raw))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise InputError("the frame cannot be read", code="bad_frame") from error
    count = batch.last_seq - batch.first_seq + 1
    if len(raw) != batch.raw_bytes or len(records) != count or batch.first_seq < 1:
        raise InputError("the frame does not hold what the batch says", code="bad_frame")
    if not 1 <= count <= BATCH_RECORDS_MAX:
        raise TooLargeError("the batch holds more records than agreed")
    return records

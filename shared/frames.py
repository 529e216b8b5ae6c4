"""A batch's frame: records packed for the wire, and unpacked without trusting any size it states.

Layout 1 is zstd over the msgpack list of encoded records. Layout 2 is zstd with a dictionary over
the records taken apart into columns (``shared.wire.shred``), a third of the size. The receiver
reads both; the sender uses the newest that the receiver is known to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

import msgspec
import zstandard

from shared.crypto.chain import chain_fold
from shared.errors import InputError, TooLargeError
from shared.limits import BATCH_FRAME_BYTES_MAX, BATCH_RAW_BYTES_MAX, BATCH_RECORDS_MAX
from shared.unreadable import UNREADABLE
from shared.wire.shred import put_together, take_apart
from shared.wire.stream import Batch

LAYOUT_RECORDS: Final = 1
LAYOUT_COLUMNS: Final = 2
DICTIONARY: Final = 1
"""The dictionary that frames are made with; older ones stay readable for ever."""
_COMPRESSION_LEVEL: Final = 9
"""Against 3, the usual one: a tenth smaller, and still 20 microseconds a record."""
_BUDGET_BYTES: Final = 4 * BATCH_RAW_BYTES_MAX
"""Columns and the records made of them, both counted."""
_PIECE_BYTES: Final = 64 * 2**10
_LIST_BYTES_MAX: Final = 5
_RECORD_PREFIX_BYTES_MAX: Final = 5
_ENCODER: Final = msgspec.msgpack.Encoder()
_RECORDS: Final = msgspec.msgpack.Decoder(list[bytes])
_CONTENT: Final = msgspec.msgpack.Decoder()


def make_batch(
    records: Sequence[bytes],
    *,
    first_seq: int,
    previous_hash: bytes,
    records_max: int = BATCH_RECORDS_MAX,
    layout: int = LAYOUT_COLUMNS,
) -> Batch:
    """As many of the encoded ``records`` (at least one) as one batch may carry, from the first on.

    ``layout``: the newest that the receiver reads.
    """
    assert records, "a batch carries records"
    count = _fitting(records, min(max(records_max, 1), BATCH_RECORDS_MAX))
    while True:
        used, raw, frame = _pack(records[:count], layout)
        if len(frame) <= BATCH_FRAME_BYTES_MAX or count == 1:
            break
        count = max(1, count // 2)
    return Batch(
        schema_version=used,
        first_seq=first_seq,
        last_seq=first_seq + count - 1,
        previous_hash=previous_hash,
        last_hash=chain_fold(previous_hash, records[:count]),
        raw_bytes=len(raw),
        dictionary_id=DICTIONARY if used == LAYOUT_COLUMNS else 0,
        frame=frame,
    )


def decode_batch(body: bytes) -> Batch:
    """The batch in a request's body.

    Raises:
        InputError: it is no batch.
        TooLargeError: its frame is larger than agreed.
    """
    try:
        batch = msgspec.msgpack.decode(body, type=Batch)
    except UNREADABLE as error:
        raise InputError("the body is not a batch of records", code="bad_batch") from error
    if len(batch.frame) > BATCH_FRAME_BYTES_MAX:
        raise TooLargeError("the frame is larger than agreed")
    return batch


def encoded_records(batch: Batch) -> list[bytes]:
    """The exact bytes of every record, with everything counted that comes out of the frame.

    Raises:
        InputError: the frame is damaged, of an unknown layout, or not what the batch says.
        TooLargeError: it holds more than agreed.
    """
    count = batch.last_seq - batch.first_seq + 1
    if not 1 <= count <= BATCH_RECORDS_MAX:
        raise TooLargeError("the batch holds more records than agreed")
    raw = _decompress(batch)
    try:
        if batch.schema_version == LAYOUT_RECORDS:
            records = _RECORDS.decode(raw)
        else:
            records = put_together(_CONTENT.decode(raw), _BUDGET_BYTES)
    except UNREADABLE as error:
        raise InputError("the frame cannot be read", code="bad_frame") from error
    if len(records) != count or batch.first_seq < 1:
        raise InputError("the frame does not hold what the batch says", code="bad_frame")
    if sum(map(len, records)) > BATCH_RAW_BYTES_MAX:
        raise TooLargeError("the batch holds more than agreed")
    return records


def dictionary(number: int) -> zstandard.ZstdCompressionDict | None:
    """The dictionary of this number; 0 is none.

    Raises:
        InputError: this release does not know it.
    """
    if number == 0:
        return None
    found = _dictionaries().get(number)
    if found is None:
        raise InputError(
            f"dictionary {number} is not known here",
            hint="Update this side, or send frames of layout 1.",
            code="unknown_dictionary",
        )
    return found


def _pack(records: Sequence[bytes], layout: int) -> tuple[int, bytes, bytes]:
    """The layout used, what is compressed, and the frame."""
    if layout >= LAYOUT_COLUMNS:
        try:
            raw = _ENCODER.encode(take_apart(records, _BUDGET_BYTES))
        except TooLargeError:
            pass  # many short texts can weigh more than their bytes; the plain list does not
        else:
            if len(raw) <= BATCH_RAW_BYTES_MAX:
                return LAYOUT_COLUMNS, raw, _compress(raw, dictionary(DICTIONARY))
    raw = _ENCODER.encode(list(records))
    return LAYOUT_RECORDS, raw, _compress(raw, None)


def _compress(raw: bytes, words: zstandard.ZstdCompressionDict | None) -> bytes:
    return zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL, dict_data=words).compress(raw)


def _decompress(batch: Batch) -> bytes:
    if batch.schema_version not in (LAYOUT_RECORDS, LAYOUT_COLUMNS):
        raise InputError(
            f"frames of layout {batch.schema_version} are not known here",
            hint="Update this side first.",
            code="unknown_layout",
        )
    if batch.raw_bytes > BATCH_RAW_BYTES_MAX:
        raise TooLargeError("the batch holds more than agreed")
    words = dictionary(batch.dictionary_id)
    raw = bytearray()
    try:
        # A frame that states its own size is believed by one-shot decompression, whatever limit is
        # asked for; so what comes out is counted piece by piece.
        stream = zstandard.ZstdDecompressor(
            dict_data=words, max_window_size=2 * BATCH_RAW_BYTES_MAX
        ).stream_reader(batch.frame, read_across_frames=True)
        while piece := stream.read(_PIECE_BYTES):
            raw += piece
            if len(raw) > batch.raw_bytes:
                raise InputError("the frame holds more than the batch says", code="bad_frame")
    except zstandard.ZstdError as error:
        raise InputError("the frame cannot be read", code="bad_frame") from error
    if len(raw) != batch.raw_bytes:
        raise InputError("the frame does not hold what the batch says", code="bad_frame")
    return bytes(raw)


def _fitting(records: Sequence[bytes], records_max: int) -> int:
    size_bytes = _LIST_BYTES_MAX
    for count, record in enumerate(records[:records_max]):
        size_bytes += len(record) + _RECORD_PREFIX_BYTES_MAX
        if size_bytes > BATCH_RAW_BYTES_MAX:
            return max(count, 1)
    return min(len(records), records_max)


@cache
def _dictionaries() -> dict[int, zstandard.ZstdCompressionDict]:
    found = {}
    for file in resources.files("shared.wire").joinpath("dictionaries").iterdir():
        name, _, suffix = file.name.partition(".")
        if suffix == "zdict":
            found[int(name)] = zstandard.ZstdCompressionDict(file.read_bytes())
    return found

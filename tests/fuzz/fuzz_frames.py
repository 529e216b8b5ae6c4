"""Fuzz what an agent sends: batches, their frames, the records in them. Run by hand.

    .venv/bin/pip install atheris
    .venv/bin/python tests/fuzz/fuzz_frames.py -max_total_time=600 -max_len=4096

The first byte chooses: a whole body; the content of a frame of either layout, compressed here, so
that the fuzzer need not find zstd's checks; one record. What is found belongs into tests/unit.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris
import zstandard

with atheris.instrument_imports(include=["shared"]):
    import msgspec

    from shared.errors import AppError
    from shared.wire.facts import ReceiptCommitted
    from shared.wire.frames import (
        LAYOUT_COLUMNS,
        LAYOUT_RECORDS,
        decode_batch,
        encoded_records,
        make_batch,
    )
    from shared.wire.stream import Batch, Record


def a_batch(layout: int, content: bytes) -> Batch:
    """A batch that claims one record."""
    return Batch(
        schema_version=layout,
        first_seq=1,
        last_seq=1,
        previous_hash=bytes(32),
        last_hash=bytes(32),
        raw_bytes=len(content),
        dictionary_id=0,
        frame=zstandard.compress(content),
    )


def take_any(data: bytes) -> None:
    """An error of ours, or records that travel again unchanged; never another exception."""
    choice, content = data[:1], data[1:]
    with suppress(AppError):
        if choice < b"\x40":
            encoded_records(decode_batch(content))
        elif choice < b"\xc0":
            layout = LAYOUT_COLUMNS if choice < b"\xa0" else LAYOUT_RECORDS
            records = encoded_records(a_batch(layout, content))
            again = make_batch(records, first_seq=1, previous_hash=bytes(32))
            assert encoded_records(again) == records
        else:
            again = make_batch([content], first_seq=1, previous_hash=bytes(32))
            assert encoded_records(again) == [content]
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                record = msgspec.msgpack.decode(content, type=Record)
                msgspec.msgpack.decode(record.body, type=ReceiptCommitted)


if __name__ == "__main__":
    atheris.Setup(sys.argv, take_any)
    atheris.Fuzz()

"""Fuzz what an agent sends: batches, their frames, the records in them. Run by hand.

    .venv/bin/pip install atheris
    .venv/bin/python tests/fuzz/fuzz_frames.py seeds build/fuzz
    .venv/bin/python tests/fuzz/fuzz_frames.py -max_total_time=600 -max_len=8192 build/fuzz

The first byte chooses: a whole body; the content of a frame of either layout, compressed here, so
that the fuzzer need not find zstd's checks; one record. What is found belongs into tests/unit.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path

import atheris
import zstandard

with atheris.instrument_imports(include=["shared"]):
    import msgspec

    from shared.errors import AppError
    from shared.frames import (
        LAYOUT_COLUMNS,
        LAYOUT_RECORDS,
        decode_batch,
        dictionary,
        encoded_records,
        make_batch,
    )
    from shared.wire.facts import ReceiptCommitted
    from shared.wire.stream import Batch, Record
    from tests.support.sales import sale_records


def a_batch(layout: int, content: bytes, count: int) -> Batch:
    """A batch that claims so many records."""
    return Batch(
        schema_version=layout,
        first_seq=1,
        last_seq=count,
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
            records = encoded_records(a_batch(layout, content, 1 + choice[0] % 4))
            again = make_batch(records, first_seq=1, previous_hash=bytes(32))
            assert encoded_records(again) == records
        else:
            again = make_batch([content], first_seq=1, previous_hash=bytes(32))
            assert encoded_records(again) == [content]
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                record = msgspec.msgpack.decode(content, type=Record)
                msgspec.msgpack.decode(record.body, type=ReceiptCommitted)


def write_seeds(folder: Path) -> None:
    """Real batches, contents and records to begin from; noise alone gets nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(20):
        records = list(islice(sale_records(seed), 1 + seed % 4))
        seeds = {"record": b"\xff" + records[0]}
        for layout, mark in ((LAYOUT_COLUMNS, 0x80), (LAYOUT_RECORDS, 0xB0)):
            batch = make_batch(records, first_seq=1, previous_hash=bytes(32), layout=layout)
            words = dictionary(batch.dictionary_id)
            raw = zstandard.ZstdDecompressor(dict_data=words).decompress(batch.frame)
            seeds |= {
                f"body-{layout}": b"\x00" + msgspec.msgpack.encode(batch),
                f"content-{layout}": bytes([mark + len(records) - 1]) + raw,
            }
        for name, data in seeds.items():
            (folder / f"{name}-{seed}").write_bytes(data)


if __name__ == "__main__":
    if sys.argv[1:2] == ["seeds"]:
        write_seeds(Path(sys.argv[2]))
        sys.exit()
    atheris.Setup(sys.argv, take_any)
    atheris.Fuzz()

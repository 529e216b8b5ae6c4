"""How many bytes a receipt takes on the wire: batches of every ordinary size, both layouts.

The receipts are whole: goods as the agent filled them in, and the answer with every promotion on
every line. They are of a chain that no dictionary has seen; beside it the first chain, whose
earlier receipts the dictionary was trained on. Beside each figure the same records as zlib and as
JSON would send them. Prints a table and writes build/bench/wire_size.json.
"""

from __future__ import annotations

import time
import zlib
from itertools import islice
from typing import Any, Final

import msgspec
from receipt_records import Chain
from support.measuring import against, report

from shared.frames import LAYOUT_COLUMNS, LAYOUT_RECORDS, encoded_records, make_batch
from shared.wire.facts import ReceiptCommitted
from shared.wire.stream import Record

RECORDS: Final = 2_000
BATCHES: Final = (1, 5, 20, 50, 200, 500)
TARGET_BYTES: Final = 180
USUAL_BATCH: Final = 20
"""Records after which an agent sends without waiting longer."""
SEED: Final = 11


def sizes(records: list[bytes], count: int) -> dict[str, Any]:
    """Bytes and microseconds a record."""
    runs = [records[at : at + count] for at in range(0, len(records), count)]
    measured: dict[str, Any] = {}
    for name, layout in (("records", LAYOUT_RECORDS), ("columns", LAYOUT_COLUMNS)):
        started_ns = time.perf_counter_ns()
        batches = [
            make_batch(run, first_seq=1, previous_hash=bytes(32), layout=layout) for run in runs
        ]
        packed_ns = time.perf_counter_ns()
        for run, batch in zip(runs, batches, strict=True):
            assert encoded_records(batch) == run
        measured[f"{name}_bytes"] = sum(len(batch.frame) for batch in batches) / len(records)
        measured[f"{name}_pack_us"] = (packed_ns - started_ns) / len(records) / 1000
        measured[f"{name}_unpack_us"] = (time.perf_counter_ns() - packed_ns) / len(records) / 1000
    body = msgspec.msgpack.Decoder(ReceiptCommitted)
    head = msgspec.msgpack.Decoder(Record)
    texts = [msgspec.json.encode(body.decode(head.decode(each).body)) for each in records]
    measured["json_bytes"] = sum(map(len, texts)) / len(records)
    measured["zlib_bytes"] = sum(
        len(zlib.compress(b"".join(texts[at : at + count]), 9))
        for at in range(0, len(texts), count)
    ) / len(records)
    return measured


def main() -> None:
    """Measure both chains."""
    figures: dict[str, Any] = {}
    rows = []
    for chain, name in (("third", "unseen"), ("first", "known")):
        records = list(islice(Chain(chain, SEED).records("S7"), RECORDS))
        figures[name] = {}
        for count in BATCHES:
            found = figures[name][str(count)] = sizes(records, count)
            usual = name == "unseen" and count == USUAL_BATCH
            rows.append(
                [
                    f"{name} chain, batches of {count}",
                    f"{found['columns_bytes']:.0f}",
                    against(found["columns_bytes"], TARGET_BYTES) if usual else "",
                    f"{found['records_bytes']:.0f}",
                    f"{found['zlib_bytes']:.0f}",
                    f"{found['json_bytes']:.0f}",
                    f"{found['columns_pack_us']:.0f}",
                    f"{found['columns_unpack_us']:.0f}",
                ]
            )
    report(
        "wire_size",
        "Bytes a receipt of 7.6 lines with its whole answer",
        ("", "layout 2", "target", "layout 1", "zlib of JSON", "JSON", "pack µs", "unpack µs"),
        rows,
        {"records": figures},
    )


if __name__ == "__main__":
    main()

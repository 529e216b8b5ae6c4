"""Train the dictionary that frames of records are compressed with.

A dictionary is part of the wire: a published one is never changed. A new one gets the next number
(``shared.frames.DICTIONARY``), and receivers have to know it before a sender uses it.

    PYTHONPATH=.:benchmarks python benchmarks/support/train_dictionary.py 2

writes 2.zdict, and refuses to overwrite one.
"""

from __future__ import annotations

import random
import sys
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import zstandard
from receipt_records import Chain

from shared.limits import BATCH_RAW_BYTES_MAX
from shared.wire.shred import take_apart

DICTIONARY_BYTES: Final = 64 * 2**10
SEED: Final = 7
"""Measurements use other seeds."""
RECORDS: Final = 6_000
"""Of each of two chains; the third is left for measuring."""
LEVEL: Final = 9


def main() -> None:
    """Cut both chains' records into batches of all ordinary sizes, and train."""
    number = int(sys.argv[1])
    target = Path(__file__).parents[2] / "shared" / "wire" / "dictionaries" / f"{number}.zdict"
    rng = random.Random(SEED)
    samples: list[bytes] = []
    for name in ("first", "second"):
        records = list(islice(Chain(name, SEED).records("S1"), RECORDS))
        at = 0
        while at < len(records):
            count = rng.choice((1, 1, 1, 2, 5, 20))
            columns = take_apart(records[at : at + count], 4 * BATCH_RAW_BYTES_MAX)
            samples.append(msgspec.msgpack.encode(columns))
            at += count
    trained = zstandard.train_dictionary(DICTIONARY_BYTES, samples, dict_id=number, level=LEVEL)
    with target.open("xb") as file:
        file.write(trained.as_bytes())
    sys.stdout.write(f"{target.name}: {len(samples)} samples\n")


if __name__ == "__main__":
    main()

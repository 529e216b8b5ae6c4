"""Frames: what goes in comes out byte for byte, and nothing hostile takes more than agreed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.crypto.chain import chain_fold
from shared.errors import AppError, InputError, TooLargeError
from shared.frames import (
    LAYOUT_COLUMNS,
    LAYOUT_RECORDS,
    decode_batch,
    encoded_records,
    make_batch,
)
from shared.limits import BATCH_FRAME_BYTES_MAX, BATCH_RAW_BYTES_MAX, BATCH_RECORDS_MAX
from shared.wire.columns import Budget, pack, unpack
from shared.wire.facts import FactKind
from shared.wire.stream import Batch, Record
from tests.support.examples import examples
from tests.support.sales import sale_records

HEAD = b"h" * 32
ENCODE = msgspec.msgpack.Encoder().encode
ROOM_BYTES = 8 * BATCH_RAW_BYTES_MAX

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
COLUMNS = (
    st.lists(st.integers(0, 400) | st.integers(0, 2**50), max_size=40)
    | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)
    | st.lists(st.sampled_from(["a", "b", "promo-000012", "promo-000013", "007", ""]), max_size=40)
    | st.lists(st.from_regex(r"[a-я]{0,3}[0-9]{0,25}", fullmatch=True), max_size=20)
    | st.lists(VALUES, max_size=10)
)


def batch_of(records: list[bytes], layout: int = LAYOUT_COLUMNS) -> Batch:
    return make_batch(records, first_seq=11, previous_hash=HEAD, layout=layout)


def a_record(kind: str, body: Any, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "uid": bytes(16),
        "lane": 1,
        "epoch": 1,
        "seq": 1,
        "recorded_at_ms": 5,
        "schema_version": 1,
    }
    return ENCODE(Record(kind=kind, body=ENCODE(body), **(values | changes)))


@examples(300)
@given(COLUMNS)
def test_a_column_comes_back_as_it_was(values: list[Any]) -> None:
    """Whatever form is chosen, the values and their types are the same."""
    back = unpack(msgspec.msgpack.decode(ENCODE(pack(values))), len(values), Budget(ROOM_BYTES))
    assert ENCODE(list(back)) == ENCODE(values)


@examples(200)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.builds(a_record, st.sampled_from(FactKind), VALUES)
        | st.builds(a_record, st.sampled_from(FactKind), st.lists(VALUES, max_size=11)),
        min_size=1,
        max_size=12,
    )
)
def test_any_bytes_travel_unchanged(records: list[bytes]) -> None:
    """A record that nobody understands keeps its bytes too: they are what is hashed."""
    assert encoded_records(batch_of(records)) == records


@examples(100)
@given(st.data())
def test_sales_with_anything_changed_travel_unchanged(data: st.DataObject) -> None:
    """Sums that do not add up, missing and added fields: all come back byte for byte."""
    records = list(islice(sale_records(data.draw(st.integers(0, 20))), 6))
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(records) - 1))
        head = msgspec.msgpack.decode(records[at])
        body = msgspec.msgpack.decode(head[7])
        row: Any = body
        while True:
            place = data.draw(st.integers(0, len(row) - 1))
            if not isinstance(row[place], list) or not row[place] or data.draw(st.booleans()):
                break
            row = row[place]
        if data.draw(st.booleans()):
            row[place] = data.draw(VALUES)
        else:
            row.append(data.draw(VALUES))
        head[7] = ENCODE(body)
        records[at] = ENCODE(head)
    assert encoded_records(batch_of(records)) == records


def test_columns_are_a_third_of_records() -> None:
    """The point of the second layout."""
    records = list(islice(sale_records(3), 20))
    assert 2 * len(batch_of(records).frame) < len(batch_of(records, LAYOUT_RECORDS).frame)


@pytest.mark.parametrize("layout", [LAYOUT_RECORDS, LAYOUT_COLUMNS])
@pytest.mark.parametrize(
    ("count", "record"),
    [
        (3, b"small"),
        (BATCH_RECORDS_MAX + 1, b"x"),
        (30, b"y" * 100_000),
        (30, os.urandom(20_000)),
    ],
    ids=["few", "many", "large", "incompressible"],
)
def test_a_batch_keeps_every_bound_and_chains(count: int, record: bytes, layout: int) -> None:
    """A batch is a prefix of what waits, within all bounds, with the chain's hashes."""
    records = [record + os.urandom(10_000 if len(record) == 20_000 else 1) for _ in range(count)]
    batch = batch_of(records, layout)
    sent = encoded_records(decode_batch(ENCODE(batch)))

    assert sent == records[: len(sent)]
    assert 1 <= len(sent) <= BATCH_RECORDS_MAX
    assert batch.raw_bytes <= BATCH_RAW_BYTES_MAX
    assert len(batch.frame) <= BATCH_FRAME_BYTES_MAX
    assert (batch.first_seq, batch.last_seq) == (11, 10 + len(sent))
    assert batch.last_hash == chain_fold(HEAD, sent)


def columns_batch(content: Any, count: int = 1) -> Batch:
    """A frame of layout 2 that holds just this."""
    raw = ENCODE(content)
    return replace(
        batch_of([b"x"]),
        last_seq=10 + count,
        dictionary_id=0,
        raw_bytes=len(raw),
        frame=zstandard.compress(raw),
    )


GOOD_HEADS = [bytes(16), [0, 1], [0, 1], [0, 1], [0, 1], [0, "k"], [0, 1]]
BOMBS = {
    "many of one large value": [
        [[], []],
        [1, GOOD_HEADS],
        [["k", 1, [[0, 1], [[0, "x" * 10**6]]]]],
    ],
    "rows without end": [[[], []], [10**12, GOOD_HEADS], []],
    "lists without end": [
        [[], []],
        [1, [*GOOD_HEADS[:5], [0, "receipt.committed"], [0, 1]]],
        [
            [
                "receipt.committed",
                1,
                [[0, 9], [*([[0, 1]] * 8), [[0, 2**60], [[0, 5], [[0, "y" * 1000]] * 5]]]],
            ]
        ],
    ],
    "fewer rows than none": [[[], []], [-1, GOOD_HEADS], []],
    "a number where bytes belong": [[[0], [10**9]], [1, GOOD_HEADS], []],
    "numbers that grow": [
        [[], []],
        [8, [bytes(128), *GOOD_HEADS[1:]]],
        [["k", 8, [[0, 1], [[2, [2, [2, [2, [0, 2**62]]]]]]]]],
    ],
    "no such form": [[[], []], [1, GOOD_HEADS], [["k", 1, [[0, 1], [[9, 1]]]]]],
    "another count": [[[], []], [2, GOOD_HEADS], [["k", 1, [[0, 1], [[0, 1]]]]]],
    "nothing": [],
    "a map": {"a": 1},
}


@pytest.mark.parametrize("name", BOMBS)
def test_hostile_columns_are_refused(name: str) -> None:
    """Whatever columns claim, the sender is told, and nothing else happens."""
    if name == "many of one large value":
        content = BOMBS[name]
        content[1][0] = 500
        content[1][1][0] = bytes(16 * 500)
        content[2][0][1] = 500
        with pytest.raises(TooLargeError):
            encoded_records(columns_batch(content, 500))
        return
    count = 8 if name == "numbers that grow" else 1
    with pytest.raises(AppError):
        encoded_records(columns_batch(BOMBS[name], count))


@examples(300)
@given(st.binary(max_size=200), st.integers(0, 2**31), st.sampled_from([0, 1, 2, 3]))
def test_noise_is_refused(noise: bytes, place: int, layout: int) -> None:
    """Any damage gives an error of ours or, rarely, other records; never another exception."""
    batch = batch_of(list(islice(sale_records(1), 3)))
    at = place % len(batch.frame)
    damaged = batch.frame[:at] + noise + batch.frame[at + len(noise) :]
    for frame, dictionary_id in ((damaged, batch.dictionary_id), (noise, layout)):
        with suppress(AppError):
            encoded_records(
                replace(batch, frame=frame, schema_version=layout, dictionary_id=dictionary_id)
            )


def test_a_frame_of_a_newer_release_is_named() -> None:
    """So that the sender can fall back to a layout that is known."""
    batch = batch_of([b"x"])
    for changed, code in (
        (replace(batch, schema_version=3), "unknown_layout"),
        (replace(batch, dictionary_id=999), "unknown_dictionary"),
    ):
        with pytest.raises(InputError) as caught:
            encoded_records(changed)
        assert caught.value.stable_code == code


BOMB = """
import resource, sys, zstandard
from shared.errors import AppError
from shared.frames import encoded_records
from shared.wire.stream import Batch
def frames():
    for name, size in (("states its size", 2**30), ("states none", -1)):
        gigabyte = zstandard.ZstdCompressor(write_content_size=size > 0).compressobj(size=size)
        pieces = [gigabyte.compress(bytes(2**20)) for _ in range(1024)]
        yield name, b"".join(pieces) + gigabyte.flush()
    small = zstandard.compress(bytes(2**20))
    yield "many frames", small * 2000
    yield "skippable first", b"\\x50\\x2a\\x4d\\x18\\x04\\x00\\x00\\x00aaaa" + small * 2000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, frame in frames():
    for layout in (1, 2):
        for raw_bytes in (100, 2**21, 2**30):
            batch = Batch(schema_version=layout, first_seq=1, last_seq=1, previous_hash=bytes(32),
                last_hash=bytes(32), raw_bytes=raw_bytes, dictionary_id=0, frame=frame)
            try:
                encoded_records(batch)
            except AppError:
                continue
            sys.exit(f"{name} was taken")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_stay_within_memory() -> None:
    """A gigabyte in a few kilobytes, with and without its size, in one frame or thousands."""
    limit_bytes = 600 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", BOMB],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes)),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64, f"{done.stdout} MB more than before"


def test_a_body_that_is_no_batch_is_refused() -> None:
    """Before anything in it is looked at."""
    with pytest.raises(InputError):
        decode_batch(b"\xc1")
    with pytest.raises(TooLargeError):
        decode_batch(ENCODE(replace(batch_of([b"x"]), frame=bytes(BATCH_FRAME_BYTES_MAX + 1))))

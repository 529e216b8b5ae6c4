"""The sum over a set of entries."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.set_hash import (
    BUCKETS,
    add_to_sum,
    bucket_of,
    entry_hash,
    sum_bytes,
    sum_of_bytes,
)
from tests.support.examples import examples

ENTRIES = st.dictionaries(
    st.text(max_size=8), st.tuples(st.integers(0, 2**62), st.binary(max_size=20)), max_size=20
)


def total(entries: dict[str, tuple[int, bytes]]) -> int:
    found = 0
    for key, (version, payload) in entries.items():
        found = add_to_sum(found, entry_hash("t", key, version, payload))
    return found


@given(ENTRIES, ENTRIES, st.randoms(use_true_random=False))
@examples(100)
def test_sum_is_that_of_the_set_whatever_led_to_it(
    before: dict[str, tuple[int, bytes]],
    after: dict[str, tuple[int, bytes]],
    chance: random.Random,
) -> None:
    """Replacing, adding and removing in any order ends at the sum of what is there."""
    found = total(before)
    keys = sorted({*before, *after})
    chance.shuffle(keys)
    for key in keys:
        if key in before:
            found = add_to_sum(found, -entry_hash("t", key, *before[key]))
        if key in after:
            found = add_to_sum(found, entry_hash("t", key, *after[key]))

    assert found == total(after)
    assert (found == total(before)) == (before == after)
    assert sum_of_bytes(sum_bytes(found)) == found


def test_every_part_of_an_entry_counts() -> None:
    """Topic, key, version and payload, and where one ends and the other begins."""
    hashes = {
        entry_hash("t", "k", 1, b"p"),
        entry_hash("u", "k", 1, b"p"),
        entry_hash("t", "l", 1, b"p"),
        entry_hash("t", "k", 2, b"p"),
        entry_hash("t", "k", 1, b"q"),
        entry_hash("tk", "", 1, b"p"),
        entry_hash("", "tk", 1, b"p"),
    }

    assert len(hashes) == 7


def test_buckets_are_even() -> None:
    """Keys that look alike fall into all buckets alike."""
    counts = [0] * BUCKETS
    for number in range(25_600):
        counts[bucket_of(f"customer-{number}")] += 1

    assert min(counts) > 50
    assert max(counts) < 160

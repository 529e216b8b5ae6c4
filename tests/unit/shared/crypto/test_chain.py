"""The chain of records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.chain import chain_fold, chain_genesis, chain_next

NONCE = bytes(16)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.data())
def test_any_changed_record_changes_the_head(records: list[bytes], data: st.DataObject) -> None:
    """Two ends that agree on the head agree on every record before it."""
    start = chain_genesis(1, 1, 1, NONCE)
    index = data.draw(st.integers(0, len(records) - 1))
    changed = list(records)
    changed[index] = changed[index] + b"x"

    assert chain_fold(start, records) != chain_fold(start, changed)


def test_streams_start_from_different_heads() -> None:
    """A record of one stream never fits another: edge, lane, epoch and nonce all count."""
    heads = {
        chain_genesis(1, 1, 1, NONCE),
        chain_genesis(2, 1, 1, NONCE),
        chain_genesis(1, 2, 1, NONCE),
        chain_genesis(1, 1, 2, NONCE),
        chain_genesis(1, 1, 1, b"\x01" * 16),
    }

    assert len(heads) == 5


def test_folding_is_appending_one_by_one() -> None:
    """A batch moves the head exactly as its records one after another do."""
    start = chain_genesis(7, 1, 1, NONCE)

    assert chain_fold(start, [b"a", b"b"]) == chain_next(chain_next(start, b"a"), b"b")

"""Pieces as ranges of numbers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from shared.engine.lots import merge_ranges, subtract_ranges

RANGES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 8)).map(lambda pair: (pair[0], sum(pair))),
    max_size=8,
)


def pieces(ranges: object) -> set[int]:
    assert isinstance(ranges, (list, tuple))
    return {piece for start, end in ranges for piece in range(start, end)}


@given(RANGES)
def test_merging_keeps_the_pieces(ranges: list[tuple[int, int]]) -> None:
    """Merged ranges hold the same pieces, sorted, with gaps between them."""
    merged = merge_ranges(ranges)

    assert pieces(merged) == pieces(ranges)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(merged))


@given(RANGES.map(merge_ranges), RANGES)
def test_subtracting_is_the_difference_of_sets(
    ranges: tuple[tuple[int, int], ...], taken: list[tuple[int, int]]
) -> None:
    """What is left are exactly the pieces that were not taken."""
    assert pieces(subtract_ranges(ranges, taken)) == pieces(ranges) - pieces(taken)

"""Money as text: two decimals, and the same money when it is read again."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.money import format_centi, format_minor
from shared.wire.receipt_json import scaled_integer


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (0, "0.00"),
        (5, "0.05"),
        (99, "0.99"),
        (100, "1.00"),
        (17_998, "179.98"),
        (-1, "-0.01"),
        (-100, "-1.00"),
        (-17_905, "-179.05"),
    ],
)
def test_two_decimals_are_written(minor: int, text: str) -> None:
    """Below one, at one, above and below zero."""
    assert (text, text) == (format_minor(minor), format_centi(minor))


@given(st.integers(-(10**17) + 1, 10**17 - 1))
@example(99)
@example(100)
def test_what_is_written_is_read_again(minor: int) -> None:
    """No sum is lost on its way as text."""
    assert minor == scaled_integer(format_minor(minor), 2)

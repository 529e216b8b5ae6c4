"""Integer money and points: named divisions, allocation, decimal text.

Sources of the formulas: sections 1 and 8 of the promotion language (docs/pricing.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MONEY_SCALE: Final = 100
POINTS_SCALE: Final = 100
PPM: Final = 1_000_000
_HUNDRED: Final = 100
_BELOW_ONE: Final = [f"0.{rest:02d}" for rest in range(_HUNDRED)]
"""Ready texts: most lines have no discount, and to format a nought took longest of all."""


def divide_floor(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded down; the denominator is positive."""
    assert denominator > 0, "the denominator is positive"
    return numerator // denominator


def divide_ceil(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded up; the denominator is positive."""
    assert denominator > 0, "the denominator is positive"
    return -(-numerator // denominator)


def divide_half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` to the nearest, halves up; the denominator is positive."""
    assert denominator > 0, "the denominator is positive"
    return (2 * numerator + denominator) // (2 * denominator)


def allocate_largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """Split ``amount`` over parts in proportion to ``weights``; the parts add up to the amount.

    Each part gets its share rounded down; what is left goes one by one to the largest
    remainders, ties to the larger weight, then to the earlier part. Where all weights are zero
    nothing can be shared, so the amount must be zero too.
    """
    total = sum(weights)
    if total == 0:
        assert amount == 0, "an amount needs a part with weight"
        return [0] * len(weights)
    shares = [amount * weight // total for weight in weights]
    left = amount - sum(shares)
    by_remainder = sorted(
        range(len(weights)),
        key=lambda index: (-(amount * weights[index] % total), -weights[index], index),
    )
    for index in by_remainder[:left]:
        shares[index] += 1
    return shares


def _format_hundredths(value: int) -> str:
    if value < 0:
        return "-" + _format_hundredths(-value)
    if value < _HUNDRED:
        return _BELOW_ONE[value]
    text = str(value)
    return text[:-2] + "." + text[-2:]


def format_minor(amount_minor: int) -> str:
    """Money as decimal text with two decimals: 17998 -> ``179.98``."""
    return _format_hundredths(amount_minor)


def format_centi(points_centi: int) -> str:
    """Points as decimal text with two decimals: 161 -> ``1.61``."""
    return _format_hundredths(points_centi)

"""Exact numbers, the three roundings and the allocation of section 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any


def dec(value: Any) -> Fraction:
    """A number of a document: a decimal string or a JSON number, read by its text."""
    return Fraction(str(value))


def kopecks(value: Any) -> Fraction:
    """Money of a document in kopecks."""
    return dec(value) * 100


def fl(x: Fraction | int) -> int:
    """Down to the kopeck."""
    return math.floor(x)


def ce(x: Fraction | int) -> int:
    """Up to the kopeck."""
    return math.ceil(x)


def hu(x: Fraction | int) -> int:
    """To the nearest kopeck, halves up."""
    return math.floor(x + Fraction(1, 2))


def floor_to(x: Fraction, step: Fraction) -> Fraction:
    """Down to a multiple of `step`."""
    return math.floor(x / step) * step


def allocate(amount: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Largest remainder; ties to the larger weight, then to the earlier part.

    The parts come in the order of (line number, lot), so "earlier" is the position.
    """
    total = sum(weights, Fraction(0))
    if not total or not amount:
        return [0] * len(weights)
    exact = [amount * Fraction(w) / total for w in weights]
    parts = [math.floor(x) for x in exact]
    order = sorted(range(len(weights)), key=lambda i: (-(exact[i] - parts[i]), -weights[i], i))
    for i in order[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def pour(amount: int, weights: Sequence[int], rooms: Sequence[int]) -> list[int]:
    """An amount allocated by weight, cut at the rooms, the rest allocated again to those with room.

    Stops when the amount is used up or nobody has room.
    """
    given = [0] * len(weights)
    active = list(range(len(weights)))
    left = amount
    while left > 0 and active:
        shares = allocate(left, [weights[i] for i in active])
        if not sum(shares):
            break
        for i, share in zip(active, shares, strict=True):
            step = min(share, rooms[i] - given[i])
            given[i] += step
            left -= step
        active = [i for i in active if given[i] < rooms[i]]
    return given


def pour_exact(
    amount: Fraction, weights: Sequence[Fraction], rooms: Sequence[Fraction]
) -> list[Fraction]:
    """The same as `pour` without any rounding."""
    given = [Fraction(0)] * len(weights)
    active = list(range(len(weights)))
    left = amount
    while left > 0 and active:
        total = sum((weights[i] for i in active), Fraction(0))
        if not total:
            break
        now = left
        for i in active:
            step = min(now * weights[i] / total, rooms[i] - given[i])
            given[i] += step
            left -= step
        active = [i for i in active if given[i] < rooms[i]]
    return given


def money(k: Fraction | int) -> str:
    """Kopecks as roubles with two decimals; also points, counted in hundredths."""
    whole = int(k)
    assert whole == k
    sign = "-" if whole < 0 else ""
    return f"{sign}{abs(whole) // 100}.{abs(whole) % 100:02d}"


def points(p: Fraction) -> str:
    """Points with two decimals."""
    return money(p * 100)


def quantity(q: Fraction) -> str:
    """Without decimals when whole, else with three."""
    if q.denominator == 1:
        return str(q.numerator)
    thousandths = q * 1000
    assert thousandths.denominator == 1
    return f"{thousandths.numerator // 1000}.{thousandths.numerator % 1000:03d}"


def number(q: Fraction) -> int | str:
    """A counter: a JSON integer when whole, else the decimal string of a quantity."""
    return q.numerator if q.denominator == 1 else quantity(q)

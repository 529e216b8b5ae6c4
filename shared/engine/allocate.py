"""Sharing an amount over parts that can take only so much."""

from __future__ import annotations

from collections.abc import Sequence

from shared.money import allocate_largest_remainder


def allocate_with_room(
    amount: int, weights: Sequence[int], rooms: Sequence[int], *, again: bool
) -> list[int]:
    """Share ``amount`` by ``weights``, each part cut at its room.

    With ``again`` what was cut is shared over the parts that still have room, by the same weights,
    until it is used up or nobody has room; otherwise it is lost. No part exceeds its room.
    """
    given = [0] * len(weights)
    left = amount
    # Every round either uses some of the amount or leaves fewer parts, so it ends.
    parts = [index for index, weight in enumerate(weights) if weight > 0]
    while left > 0 and parts:
        shares = allocate_largest_remainder(left, [weights[index] for index in parts])
        for index, share in zip(parts, shares, strict=True):
            taken = min(share, rooms[index] - given[index])
            given[index] += taken
            left -= taken
        if not again:
            break
        parts = [index for index in parts if rooms[index] > given[index]]
    return given

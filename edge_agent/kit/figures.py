"""How long calls took: a histogram whose size does not grow with the number of calls. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

STEPS: Final = 32
"""Buckets for each doubling of a time: what is read out is at most a thirty-second too long."""


class Figures:
    """Times of one kind of call, in microseconds."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.longest_us = 0

    def add(self, took_us: int) -> None:
        """One call more."""
        self._buckets[_bucket_of(max(took_us, 0))] += 1
        self.count += 1
        self.longest_us = max(self.longest_us, took_us)

    def percentile_us(self, percent: int) -> int:
        """A time that so many percent of the calls did not exceed; 0 when there were none."""
        assert 0 < percent <= 100, "a percentile"
        wanted = -(-self.count * percent // 100)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(_end_of(bucket), self.longest_us)
        return 0


def _bucket_of(took_us: int) -> int:
    shift = max(took_us.bit_length() - STEPS.bit_length(), 0)
    return shift * STEPS + (took_us >> shift)


def _end_of(bucket: int) -> int:
    """The greatest time in a bucket."""
    shift = max(bucket // STEPS - 1, 0)
    return ((bucket - shift * STEPS + 1) << shift) - 1

"""Identifier types. An id is made where the thing is born, so that a retry names the same thing."""

from __future__ import annotations

from typing import NewType, Protocol

StoreId = NewType("StoreId", str)
EdgeId = NewType("EdgeId", int)
"""u64 issued by central at enrolment; names one agent installation, never reused."""
CustomerId = NewType("CustomerId", str)
ReceiptId = NewType("ReceiptId", str)
"""Made by the till; the idempotency key of everything that happens to a receipt."""
LeaseId = NewType("LeaseId", str)
RecordUid = NewType("RecordUid", bytes)
"""16 random bytes naming one fact for ever, whatever path or batch brings it."""


class Chance(Protocol):
    """Where randomness comes from; seeded in simulations, the operating system's otherwise."""

    def token_bytes(self, count: int) -> bytes:
        """``count`` unpredictable bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high); for jitter only, never for secrets."""
        ...

"""What edges report: the bodies of stream records, by ``kind``. Fields are append-only."""

from __future__ import annotations

import enum

import msgspec

from shared.wire.answer import Answer
from shared.wire.receipt import Receipt


class FactKind(enum.StrEnum):
    """Which structure a record's body holds."""

    RECEIPT_COMMITTED = "receipt.committed"
    """ReceiptCommitted"""


class LeaseSpend(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Points one receipt took from one lease; ``lease_id`` None: no lease covered them."""

    lease_id: str | None
    account: str
    points_centi: int


class Incident(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Something about a sale that did not fit; the sale is recorded all the same."""

    code: str
    detail: str


class ReceiptCommitted(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A sale that was made: what went into the price, what came out, and what paid for the points.

    ``receipt`` is complete (as the agent filled it in), so that central's engine, given bundle
    ``bundle_version``, must come to the same ``answer``. ``business_date``: shop day (ISO date).
    """

    receipt_id: str
    store_id: str
    register: str
    business_date: str
    committed_at_ms: int
    bundle_version: int
    receipt: Receipt
    answer: Answer
    lease_spends: list[LeaseSpend]
    incidents: list[Incident]

"""What the rest of central sees of receipts."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import DictRow

from shared.wire.answer import Answer
from shared.wire.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFilter:
    """Which receipts to list; None does not filter. Dates are shop days (ISO), inclusive."""

    store_id: str | None = None
    customer_id: str | None = None
    receipt_id: str | None = None
    promotion_id: str | None = None
    from_date: str | None = None
    to_date: str | None = None
    incidents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReceipt:
    """One receipt with all that is kept of it; ``row`` has the columns of the table."""

    row: DictRow
    lines: list[DictRow]
    applied: list[DictRow]
    incidents: list[DictRow]
    receipt: Receipt
    answer: Answer

"""Rows of sales and returns as PostgreSQL's COPY text, made by joining columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import zstandard

from central.receipts.sale import SaleColumns
from shared.wire.facts import Incident, ReceiptCommitted, ReceiptReturned

_LEVEL: Final = 1
"""Against 3, the usual one: a tenth faster and a fiftieth larger, on single sales."""
_NULL: Final = "\\N"
_AWKWARD: Final = re.compile(r'[\\"\t\n\r\v\f\b]')
_ESCAPES: Final = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\v": "\\v", "\f": "\\f", "\b": "\\b"}
)


class Copying:
    """Makes the rows; keeps a compressor, so one for each thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def sale(
        self,
        fact: ReceiptCommitted,
        columns: SaleColumns,
        *,
        record_uid: bytes,
        content_sha256: bytes,
        edge_id: int,
        incident_count: int,
        body: bytes,
    ) -> str:
        """One row of ``receipt``, in the order of its COPY statement."""
        total = fact.answer.total
        customer = fact.receipt.customer
        return "\t".join(
            (
                bytes_text(record_uid),
                bytes_text(content_sha256),
                text(fact.receipt_id),
                str(edge_id),
                text(fact.store_id),
                text(fact.register),
                fact.business_date,
                instant_text(fact.committed_at_ms),
                _NULL if customer is None or customer.id is None else text(customer.id),
                (
                    f"{fact.bundle_version}\t{total.list_minor}\t{total.discount_minor}"
                    f"\t{total.net_minor}\t{columns.points_spent_centi}\t{total.to_pay_minor}"
                    f"\t{columns.earned_centi}\t{incident_count}"
                ),
                numbers_text(columns.numbers),
                texts_text(columns.skus),
                numbers_text(columns.qty_milli),
                numbers_text(columns.list_minor),
                numbers_text(columns.discount_minor),
                numbers_text(columns.net_minor),
                numbers_text(columns.points_spent_minor),
                numbers_text(columns.to_pay_minor),
                numbers_text(columns.applied_lines),
                texts_text(columns.applied_promotions),
                numbers_text(columns.applied_discount_minor),
                numbers_text(columns.applied_qty_milli),
                bytes_text(self._compressor.compress(body)) + "\n",
            )
        )

    def refund(
        self,
        fact: ReceiptReturned,
        *,
        record_uid: bytes,
        content_sha256: bytes,
        edge_id: int,
        body: bytes,
    ) -> str:
        """One row of ``receipt_return``, in the order of its COPY statement."""
        refund = fact.refund
        return "\t".join(
            (
                bytes_text(record_uid),
                bytes_text(content_sha256),
                text(fact.return_id),
                str(edge_id),
                text(fact.store_id),
                text(fact.register),
                fact.business_date,
                instant_text(fact.returned_at_ms),
                _NULL if fact.sale_uid is None else bytes_text(fact.sale_uid),
                text(fact.sale_receipt_id),
                _NULL if fact.customer_id is None else text(fact.customer_id),
                str(refund.money_minor),
                str(sum(points.points_centi for points in refund.points_returned)),
                str(sum(points.points_centi for points in refund.points_taken)),
                bytes_text(self._compressor.compress(body)) + "\n",
            )
        )


def other_fact(
    *,
    record_uid: bytes,
    content_sha256: bytes,
    kind: str,
    edge_id: int,
    store_id: str,
    body: bytes,
) -> str:
    """One row of ``fact``, in the order of its COPY statement."""
    return (
        f"{bytes_text(record_uid)}\t{bytes_text(content_sha256)}\t{text(kind)}"
        f"\t{edge_id}\t{text(store_id)}\t{bytes_text(body)}\n"
    )


def incidents_text(record_uid: bytes, incidents: Sequence[Incident], *, first: int = 1) -> str:
    """The rows of ``receipt_incident`` of one record, numbered from ``first``."""
    return "".join(
        f"{bytes_text(record_uid)}\t{number}\t{text(incident.code)}\t{text(incident.detail)}\n"
        for number, incident in enumerate(incidents, start=first)
    )


def text(value: str) -> str:
    """A text of COPY; it holds no NUL."""
    return value.translate(_ESCAPES) if _AWKWARD.search(value) else value


def bytes_text(data: bytes) -> str:
    """A bytea of COPY."""
    return "\\\\x" + data.hex()


def instant_text(at_ms: int) -> str:
    """A timestamptz of COPY."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def numbers_text(numbers: list[int]) -> str:
    """A bigint[] of COPY: a list of numbers reads the same but for its brackets."""
    return "{" + str(numbers)[1:-1] + "}"


def texts_text(texts: list[str]) -> str:
    """A text[] of COPY; no element holds a NUL."""
    if not texts:
        return "{}"
    joined = '","'.join(texts)
    if _AWKWARD.search("".join(texts)):
        joined = '","'.join(
            one.replace("\\", "\\\\").replace('"', '\\"').translate(_ESCAPES) for one in texts
        )
    return '{"' + joined + '"}'


def unpacked(body: bytes) -> bytes:
    """A stored ``body`` as it was recorded."""
    return zstandard.ZstdDecompressor().decompress(body)


def sale_in(body: bytes) -> ReceiptCommitted:
    """The sale in a stored ``body``."""
    return msgspec.msgpack.decode(unpacked(body), type=ReceiptCommitted)

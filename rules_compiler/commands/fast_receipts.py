"""Receipts of history, read."""

from shared.wire.receipt_json import decode_receipt as decode_receipt_fast

__all__ = ["decode_receipt_fast"]

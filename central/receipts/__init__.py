"""Receipts as the shops reported them."""

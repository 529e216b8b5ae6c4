"""Goods that come back: what is due for them, and that it was given."""

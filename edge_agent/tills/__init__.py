"""Tills of other makers: a token for each, what it may, and how often."""

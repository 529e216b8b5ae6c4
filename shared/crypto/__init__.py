"""Hashes, chains, signatures: nothing here knows what it protects."""

"""The demonstration: real receipts sold through an outage, and the proof that nothing was lost."""

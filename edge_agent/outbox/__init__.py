"""Chained records awaiting the uplink: written with the business row, kept after the ack."""

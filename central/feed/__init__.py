"""The change feed to the agents: last state per key, in an order that loses nothing."""

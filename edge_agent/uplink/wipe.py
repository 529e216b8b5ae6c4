"""Forget whom this agent knew: central has revoked it."""

from __future__ import annotations

from typing import Final

import apsw

from edge_agent.uplink.carried import forget_carried
from shared.sqlfile import load_queries

_QUERIES: Final = load_queries("edge_agent.uplink")
_WIPES: Final = (
    "wipe_cards",
    "wipe_customers",
    "wipe_newcomers",
    "wipe_look_ups",
    "wipe_balances",
    "wipe_told_uses",
    "wipe_own_uses",
    "wipe_leases",
    "wipe_own_parts",
    "wipe_peers",
    "wipe_versions",
    "wipe_sums",
    "wipe_staged",
    "wipe_next_cards",
    "wipe_next_balances",
    "wipe_chunks",
    "wipe_feed",
)


def forget_people(connection: apsw.Connection) -> None:
    """Keep no customer, card, balance, right or peer; records and receipts stay."""
    connection.pragma("secure_delete", 1)
    for name in _WIPES:
        connection.execute(_QUERIES[name])
    forget_carried(connection)

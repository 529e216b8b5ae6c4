"""Make the rows of sales, and of the rights they used, again from their facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import apsw
import msgspec

from edge_agent.leases.replay import REPLAYS as LEASE_REPLAYS
from edge_agent.limits.store import add_own
from edge_agent.witness.rebuild import Remembered, Replay
from shared.sqlfile import load_queries
from shared.wire.facts import FactKind, ReceiptCommitted

_QUERIES: Final = load_queries("edge_agent.checkout")
_COMMITTED: Final = msgspec.msgpack.Decoder(ReceiptCommitted)


def _committed(connection: apsw.Connection, remembered: Remembered) -> None:
    """The sale, so that a repeat gets the stored answer; ``local`` is the till's body, hashed."""
    fact = _COMMITTED.decode(remembered.body)
    connection.execute(
        _QUERIES["insert_committed_again"],
        {
            "receipt_id": fact.receipt_id,
            "body_sha256": remembered.local or bytes(32),
            "record_uid": remembered.uid,
            "fact": remembered.body,
            "recorded_at_ms": remembered.recorded_at_ms,
        },
    )
    customer = fact.receipt.customer
    if connection.changes() and fact.uses and customer is not None and customer.id is not None:
        add_own(connection, customer.id, fact.uses, business_date=fact.business_date)


REPLAYS: Final[Mapping[str, Replay]] = {
    **LEASE_REPLAYS,
    FactKind.RECEIPT_COMMITTED: _committed,
}
"""What makes the business rows of each kind of fact again."""

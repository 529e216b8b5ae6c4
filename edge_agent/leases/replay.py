"""Make the rows of leases again from their facts, as the second journal gives them back.

A hold that was not decided is no fact: whoever rebuilds from nothing must not believe what is left
of a lease (and does not: such a database begins a new epoch).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import apsw
import msgspec

from edge_agent.witness.rebuild import Remembered, Replay
from shared.sqlfile import load_queries
from shared.wire.facts import (
    FactKind,
    LeaseClosed,
    LeaseSpent,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)

_QUERIES: Final = load_queries("edge_agent.leases")
_SPENT: Final = msgspec.msgpack.Decoder(LeaseSpent)
_VOIDED: Final = msgspec.msgpack.Decoder(SpendVoided)
_CLOSED: Final = msgspec.msgpack.Decoder(LeaseClosed)
_SUB_GRANTED: Final = msgspec.msgpack.Decoder(SubLeaseGranted)
_SUB_CLOSED: Final = msgspec.msgpack.Decoder(SubLeaseClosed)


def _spent(connection: apsw.Connection, remembered: Remembered) -> None:
    spend = _SPENT.decode(remembered.body)
    uid = _hold_of(connection, remembered.uid)
    if uid is not None:
        connection.execute(_QUERIES["set_hold_state"], {"uid": uid, "state": "captured"})
        return
    connection.execute(
        _QUERIES["insert_hold"],
        {
            "uid": remembered.uid,
            "state": "captured",
            "receipt_id": spend.receipt_id,
            "owner": spend.owner,
            "asset": spend.asset,
            "asker": 0,
            "held_at_ms": spend.spent_at_ms,
        },
    )
    connection.execute(
        _QUERIES["insert_part"],
        {
            "uid": remembered.uid,
            "part": 0,
            "lease_id": spend.lease_id,
            "sub_lease_id": spend.sub_lease_id,
            "amount": spend.amount,
            "spend_uid": remembered.uid,
        },
    )


def _voided(connection: apsw.Connection, remembered: Remembered) -> None:
    uid = _hold_of(connection, _VOIDED.decode(remembered.body).spend_uid)
    if uid is not None:
        connection.execute(_QUERIES["set_hold_state"], {"uid": uid, "state": "voided"})


def _closed(connection: apsw.Connection, remembered: Remembered) -> None:
    closed = _CLOSED.decode(remembered.body)
    connection.execute(
        _QUERIES["end_lease_again"],
        {
            "lease_id": closed.lease_id,
            "spend_count": closed.spend_count,
            "spent_amount": closed.spent_amount,
            "ended_at_ms": remembered.recorded_at_ms,
        },
    )


def _sub_granted(connection: apsw.Connection, remembered: Remembered) -> None:
    granted = _SUB_GRANTED.decode(remembered.body)
    row: Any = connection.execute(
        _QUERIES["sub_lease"], {"sub_lease_id": granted.sub_lease_id}
    ).fetchone()
    book: Any = connection.execute(_QUERIES["book"], {"lease_id": granted.lease_id}).fetchone()
    if row is not None:
        return
    connection.execute(
        _QUERIES["insert_sub_lease"],
        {
            "sub_lease_id": granted.sub_lease_id,
            "lease_id": granted.lease_id,
            "till_edge_id": granted.till_edge_id,
            "owner": "" if book is None else book[1],
            "asset": "" if book is None else book[2],
            "amount": granted.amount,
            "spend_until_ms": granted.spend_until_ms,
        },
    )


def _sub_closed(connection: apsw.Connection, remembered: Remembered) -> None:
    closed = _SUB_CLOSED.decode(remembered.body)
    connection.execute(
        _QUERIES["close_sub_lease"],
        {
            "sub_lease_id": closed.sub_lease_id,
            "spend_count": closed.spend_count,
            "spent_amount": closed.spent_amount,
        },
    )
    if not closed.is_certain:
        connection.execute(_QUERIES["doubt_lease"], {"lease_id": closed.lease_id})


def _hold_of(connection: apsw.Connection, spend_uid: bytes) -> bytes | None:
    found = connection.execute(_QUERIES["hold_of_spend"], {"spend_uid": spend_uid}).get
    return found if isinstance(found, bytes) else None


REPLAYS: Final[Mapping[str, Replay]] = {
    FactKind.LEASE_SPENT: _spent,
    FactKind.SPEND_VOIDED: _voided,
    FactKind.LEASE_CLOSED: _closed,
    FactKind.SUB_LEASE_GRANTED: _sub_granted,
    FactKind.SUB_LEASE_CLOSED: _sub_closed,
}
"""What makes the rows of each kind again."""

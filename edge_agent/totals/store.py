"""The facts of a shop day. They lie in the order of recording, which is nearly that of days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar

import apsw
import msgspec

from edge_agent.totals.policy import Totals, totals_of
from shared.sqlfile import load_queries
from shared.wire.facts import ReceiptCommitted, ReceiptReturned

_QUERIES: Final = load_queries("edge_agent.totals")
_BATCH: Final = 500
_FIRST: Final = 2**62
_ZONES: Final = timedelta(hours=26)
"""A day begins somewhere up to 14 hours before it does in UTC; and clocks are not exact."""
_Fact = TypeVar("_Fact", ReceiptCommitted, ReceiptReturned)
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_RETURN: Final = msgspec.msgpack.Decoder(ReceiptReturned)


def totals_of_day(connection: apsw.Connection, day: date, register: str | None) -> Totals:
    """The sums of a business day, of one register or of all."""
    return totals_of(
        _facts(connection, "receipts", _SALE, day, register),
        _facts(connection, "returns", _RETURN, day, register),
    )


def _begins_ms(day: date) -> int:
    """No shop anywhere begins the day before that."""
    try:
        return int((datetime.combine(day, time(), UTC) - _ZONES).timestamp() * 1000)
    except OverflowError:  # before the first day of the calendar
        return 0


def _facts(
    connection: apsw.Connection,
    query: str,
    decoder: msgspec.msgpack.Decoder[_Fact],
    day: date,
    register: str | None,
) -> Iterator[_Fact]:
    """Walk back from the latest to before the day began; later days are passed over."""
    begins_ms = _begins_ms(day)
    named = day.isoformat()
    before = _FIRST
    while True:
        asked = {"before": before, "count": _BATCH}
        rows: list[Any] = connection.execute(_QUERIES[query], asked).fetchall()
        for _, encoded, recorded_at_ms in rows:
            if recorded_at_ms < begins_ms:
                return
            if encoded is None:
                continue
            fact = decoder.decode(encoded)
            if fact.business_date == named and register in (None, fact.register):
                yield fact
        if len(rows) < _BATCH:
            return
        before = rows[-1][0]

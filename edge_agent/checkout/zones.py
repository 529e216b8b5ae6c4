"""Tills whose clock speaks in another zone than their shop's: hours of promotions go by it.

A receipt's time counts as the till told it, so a register that was set up for another town gives
the happy hour of that town. Nothing is refused for that; it is said, here and at head office.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import apsw
import msgspec

from edge_agent.catalogue.store import store_of
from edge_agent.database.reader import Reader
from shared.sqlfile import load_queries
from shared.status import Health, Status
from shared.unreadable import UNREADABLE
from shared.wire.facts import ReceiptCommitted

LOOK_EVERY_S: Final = 60.0
LOOKED_BACK: Final = 50
"""Sales before the start, so that a register that is wrong stays said over a start."""
REGISTERS_MAX: Final = 1_000
_TOLD_MAX: Final = 3
_STEP: Final = 500
_QUERIES: Final = load_queries("edge_agent.checkout", "zones.sql")
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """What a till's clock said of its distance to UTC, and what the shop's zone says then."""

    told: str
    expected: str


def other_zone(time: str, zone: tzinfo) -> Offsets | None:
    """Whether a receipt's time has another offset than the zone has at that instant."""
    try:
        told = datetime.fromisoformat(time)
        here = told.astimezone(zone)
    except (ValueError, OverflowError):
        return None
    if told.utcoffset() == here.utcoffset():
        return None
    return Offsets(told=_offset(told), expected=_offset(here))


class ZoneWatch:
    """A round for the supervisor, and a component."""

    def __init__(self, reader: Reader, store_id: str) -> None:
        self._reader = reader
        self._store_id = store_id
        self._after: int | None = None
        self._wrong: OrderedDict[str, Offsets] = OrderedDict()

    async def round(self) -> None:
        """Look at the sales since the last look, and wait."""
        await self.look()
        await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """A register's newest sale decides about it."""
        while await self._reader.run(self._look) == _STEP:
            pass

    def status(self) -> Status:
        """Which registers are wrong, the latest first."""
        if not self._wrong:
            return Status(component="zone", health=Health.OK)
        told = [
            f"register {register or '?'} says {each.told}, the shop's zone {each.expected}"
            for register, each in list(reversed(self._wrong.items()))[:_TOLD_MAX]
        ]
        more = len(self._wrong) - len(told)
        return Status(
            component="zone",
            health=Health.WARN,
            message="; ".join(told) + (f"; and {more} more" if more else ""),
        )

    def _look(self, reader: apsw.Connection) -> int:
        zone = _zone_of(reader, self._store_id)
        if zone is None:
            return 0  # head office has not said yet where the shop is
        if self._after is None:
            newest: Any = reader.execute(_QUERIES["newest"], {"back": LOOKED_BACK}).get
            self._after = max(newest, 0)
        rows: list[Any] = reader.execute(
            _QUERIES["sold_after"], {"after": self._after, "limit": _STEP}
        ).fetchall()
        for number, fact in rows:
            self._after = number
            try:
                sale = _SALE.decode(fact)
            except UNREADABLE:
                continue
            self._note(sale.register, other_zone(sale.receipt.time, zone))
        return len(rows)

    def _note(self, register: str, wrong: Offsets | None) -> None:
        self._wrong.pop(register, None)
        if wrong is not None:
            self._wrong[register] = wrong
            if len(self._wrong) > REGISTERS_MAX:
                self._wrong.popitem(last=False)


def _offset(time: datetime) -> str:
    return "nothing" if time.tzinfo is None else time.isoformat(timespec="seconds")[19:]


def _zone_of(reader: apsw.Connection, store_id: str) -> ZoneInfo | None:
    store = store_of(reader, store_id)
    try:
        return None if store is None else ZoneInfo(store.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return None

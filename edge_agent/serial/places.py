"""The shop's own time: in whose zone a till's clock speaks when it does not say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import apsw

from edge_agent.catalogue.store import store_of
from edge_agent.serial.services import Services
from shared.clock import Clock
from shared.errors import InputError


@dataclass(frozen=True, slots=True)
class ShopZone:
    """``zone`` None: the shop has not heard where it is, so the machine's own zone counts."""

    zone: tzinfo | None

    def now(self, clock: Clock) -> datetime:
        """The moment on the shop's wall clock."""
        return datetime.fromtimestamp(clock.now_ms() // 1000, UTC).astimezone(self.zone)

    def time(self, told: str, clock: Clock) -> str:
        """A till's time with an offset; an empty one is now.

        Raises:
            InputError: ``bad_time``: it is none.
        """
        if not told:
            return self.now(clock).isoformat()
        try:
            read = datetime.fromisoformat(told)
            if read.tzinfo is None:
                read = read.astimezone() if self.zone is None else read.replace(tzinfo=self.zone)
        except (ValueError, OverflowError, OSError) as error:
            raise InputError("a time is YYYY-MM-DDTHH:MM:SS", code="bad_time") from error
        return read.isoformat()


async def zone_of(services: Services) -> ShopZone:
    """The zone of the shop, as central told it."""

    def find(reader: apsw.Connection) -> tzinfo | None:
        store = store_of(reader, services.store_id)
        try:
            return None if store is None else ZoneInfo(store.timezone)
        except (ValueError, OSError, KeyError):
            return None

    return ShopZone(await services.reader.run(find))

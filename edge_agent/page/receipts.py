"""The latest receipts, and one of them with its reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec

from edge_agent.database.reader import Reader
from edge_agent.page.bundles import Bundles
from shared.bundle.trust import VerifiedBundle
from shared.engine.evaluate import evaluate
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.tongues import Tongue
from shared.wire.facts import ReceiptCommitted, ReceiptReturned
from shared.wire.feed import StoreEntry
from shared.words import INCIDENTS, tell_all

PAGE_SIZE: Final = 30
LAST: Final = 2**62
"""Before everything there can be."""
_QUERIES: Final = load_queries("edge_agent.page")
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_RETURN: Final = msgspec.msgpack.Decoder(ReceiptReturned)
_STORE: Final = msgspec.msgpack.Decoder(StoreEntry)


class Receipts:
    """What the pages show of receipts."""

    def __init__(self, reader: Reader, bundles: Bundles) -> None:
        self._reader = reader
        self._bundles = bundles

    async def listed(self, before: int) -> dict[str, Any]:
        """A page of them, the newest first, older than a place in their order."""

        def read(reader: apsw.Connection) -> tuple[list[Any], StoreEntry | None]:
            asked = {"before": before, "count": PAGE_SIZE + 1}
            return reader.execute(_QUERIES["receipts"], asked).fetchall(), _store(reader)

        rows, store = await self._reader.run(read)
        shown = [_row(*row) for row in rows[:PAGE_SIZE]]
        older = shown[-1]["rowid"] if len(rows) > PAGE_SIZE else None
        return {"rows": shown, "older": older, "newest": before == LAST, **_place(store)}

    async def one(self, receipt_id: str, tongue: Tongue) -> dict[str, Any]:
        """One with its reasons. Raises NotFoundError."""

        def read(reader: apsw.Connection) -> tuple[Any, list[ReceiptReturned], StoreEntry | None]:
            asked = {"receipt_id": receipt_id}
            row: Any = reader.execute(_QUERIES["receipt"], asked).fetchone()
            back: list[Any] = reader.execute(_QUERIES["returns_of"], asked).fetchall()
            return row, [_RETURN.decode(fact) for (fact,) in back], _store(reader)

        row, returns, store = await self._reader.run(read)
        if row is None:
            raise NotFoundError("this receipt is not known here")
        found = _row(*row)
        sale: ReceiptCommitted | None = found["sale"]
        bundle = None if sale is None else self._bundle_of(sale.bundle_version)
        names: dict[str, str] = {}
        story = None
        if sale is not None and bundle is not None:
            names = {
                promotion.id: promotion.name or promotion.id
                for group in bundle.program.groups
                for promotion in group.promotions
            }
            told = evaluate(bundle.ready, sale.receipt, trace=True)
            story = tell_all(told.trace, names, tongue)
        goods = {} if sale is None else {line.line: line for line in sale.receipt.lines}
        incidents = [] if sale is None else sale.incidents
        return {
            **found,
            "names": names,
            "goods": goods,
            "story": story,
            "returns": returns,
            "incidents": [
                {"title": INCIDENTS.get(each.code, each.code), "detail": each.detail}
                for each in incidents
            ],
            **_place(store),
        }

    def _bundle_of(self, version: int) -> VerifiedBundle | None:
        for bundle in (self._bundles.active, self._bundles.previous):
            if bundle is not None and bundle.header.version == version:
                return bundle
        return None


def _store(reader: apsw.Connection) -> StoreEntry | None:
    row: Any = reader.execute(_QUERIES["store"]).fetchone()
    return None if row is None else _STORE.decode(row[0])


def _place(store: StoreEntry | None) -> dict[str, Any]:
    """How the shop writes times and sums; until head office has told, as the world does."""
    return {
        "timezone": "UTC" if store is None else store.timezone,
        "currency": "RUB" if store is None else store.currency,
    }


def _row(
    rowid: int, receipt_id: str, state: str, fact: bytes | None, recorded_at_ms: int
) -> dict[str, Any]:
    return {
        "rowid": rowid,
        "receipt_id": receipt_id,
        "cancelled": state == "cancelled",
        "at": datetime.fromtimestamp(recorded_at_ms / 1000, UTC),
        "sale": None if fact is None else _SALE.decode(fact),
    }

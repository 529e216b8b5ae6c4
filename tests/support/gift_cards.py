"""Head office with two stores, an agent in each, and gift cards of a printer's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from central.database.pool import Pool
from central.fleet.store import put_store
from central.gift_cards.importing import register_cards
from central.gift_cards.pins import Pins
from central.gift_cards.service import GiftCards
from central.uplink.enrol import Enrolment
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.feed import StoreEntry
from shared.wire.gift_cards import (
    GiftAction,
    GiftActivate,
    GiftBalance,
    GiftRedeem,
    GiftReply,
    GiftReverse,
)
from tests.support.agent import enrol_request
from tests.support.clocks import FakeClock

KEY = b"gift cards of a test, 32 bytes.."
PLAIN = "4000000000000001"
SECRET = "4000000000000002"
WHOLE = "4000000000000003"
FIXED = "4000000000000004"
ROUBLES = "4000000000000005"
PIN = "7391"
CARDS: list[dict[str, Any]] = [
    {"number": PLAIN, "currency": "RUB", "min": "500", "max": "10000.00"},
    {"number": SECRET, "currency": "RUB", "min": "500", "max": "10000", "pin": PIN},
    {"number": WHOLE, "currency": "RUB", "min": "1", "max": "10000", "whole_only": True},
    {"number": FIXED, "currency": "RUB", "min": "1000", "max": "1000", "valid_days": 30},
    {"number": ROUBLES, "currency": "USD", "min": "5", "max": "100", "expires_on": "2026-10-01"},
]
"""Card 4 is good for thirty days; card 5 is of another currency than stores S1 and S2."""


class Office:
    """Stores S1 and S2; ``edges`` by store; time stands still until told."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = FakeClock()
        self.pins = Pins(KEY)
        self.cards = GiftCards(pool, self.clock, self.pins)
        self.edges: dict[str, int] = {}

    async def open(self, folder: Path) -> Office:
        """Stores, agents and the cards of a file in ``folder``."""
        enrolment = Enrolment(self.pool, SystemClock(), SystemChance(), [])
        async with self.pool.connection() as connection:
            for store in ("S1", "S2"):
                entry = StoreEntry(
                    store_id=store, name=store, timezone="Europe/Moscow", currency="RUB"
                )
                await put_store(connection, entry)
        for seed, store in enumerate(("S1", "S2"), start=1):
            token = await enrolment.issue_token(store, EdgeKind.HUB)
            self.edges[store] = (await enrolment.enrol(enrol_request(token, seed=seed))).edge_id
        await register_cards(self.pool, self.pins, cards_file(folder, CARDS))
        return self

    def restart(self) -> None:
        """Head office's program ends and begins again."""
        self.cards = GiftCards(self.pool, self.clock, self.pins)

    async def sell(
        self, number: str, amount_minor: int, *, op: str = "sold", store: str = "S1"
    ) -> GiftReply:
        """A card is sold."""
        asked = GiftActivate(
            operation_id=op, receipt_id=f"r-{op}", number=number, amount_minor=amount_minor
        )
        return await self._ask(GiftAction.ACTIVATE, asked, store)

    async def balance(self, number: str, *, pin: str | None = None, store: str = "S1") -> int:
        """What is on a card."""
        reply = await self._ask(GiftAction.BALANCE, GiftBalance(number=number, pin=pin), store)
        return reply.balance_minor

    async def redeem(
        self,
        number: str,
        amount_minor: int | None,
        *,
        op: str,
        store: str = "S1",
        pin: str | None = None,
    ) -> GiftReply:
        """A card pays."""
        asked = GiftRedeem(
            operation_id=op,
            receipt_id=f"r-{op}",
            number=number,
            amount_minor=amount_minor,
            pin=pin,
        )
        return await self._ask(GiftAction.REDEEM, asked, store)

    async def reverse(self, op: str, *, store: str = "S1") -> GiftReply:
        """An operation is undone."""
        return await self._ask(GiftAction.REVERSE, GiftReverse(operation_id=op), store)

    async def _ask(self, action: GiftAction, asked: msgspec.Struct, store: str) -> GiftReply:
        return await self.cards.ask(
            action, msgspec.msgpack.encode(asked), store_id=store, edge_id=self.edges[store]
        )


def cards_file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A printer's file."""
    path = folder / "cards.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path

"""The commands of gift cards: sold, asked about, redeemed, undone; head office decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from edge_agent.gift_cards.requests import decode_request
from edge_agent.serial.services import Services
from shared.money import format_minor
from shared.wire.gift_cards import GiftAction

Lines = list[list[str]]


class Gifts:
    """Each command names all that head office must know; numbers and PINs stay nowhere."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def commands(self) -> dict[str, tuple[int, int, Callable[[list[str]], Awaitable[Lines]]]]:
        """By name: how many fields at least and at most, and what is done."""
        return {
            "GSELL": (4, 4, self._sell),
            "GBAL": (1, 2, self._balance),
            "GPAY": (3, 5, self._pay),
            "GUNDO": (1, 1, self._undo),
        }

    async def _sell(self, fields: list[str]) -> Lines:
        names = ("operation_id", "receipt_id", "number", "amount")
        return await self._ask(GiftAction.ACTIVATE, names, fields)

    async def _balance(self, fields: list[str]) -> Lines:
        return await self._ask(GiftAction.BALANCE, ("number", "pin"), fields)

    async def _pay(self, fields: list[str]) -> Lines:
        """An empty amount: with all that is on the card."""
        names = ("operation_id", "receipt_id", "number", "amount", "pin")
        return await self._ask(GiftAction.REDEEM, names, fields)

    async def _undo(self, fields: list[str]) -> Lines:
        return await self._ask(GiftAction.REVERSE, ("operation_id",), fields)

    async def _ask(self, action: GiftAction, names: tuple[str, ...], fields: list[str]) -> Lines:
        """The same JSON as over HTTP; a field left empty is a key left out."""
        body = {name: value for name, value in zip(names, fields, strict=False) if value}
        request = decode_request(action, msgspec.json.encode(body))
        reply = await self._services.gift_cards.ask(action, request)
        return [
            [
                format_minor(reply.amount_minor),
                format_minor(reply.balance_minor),
                reply.currency,
                "1" if reply.active else "0",
                reply.expires_on or "",
                "1" if reply.whole_only else "0",
            ]
        ]

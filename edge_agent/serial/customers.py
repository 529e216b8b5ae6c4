"""Whose receipt it is, as an old till asks: by card, by the app's code, by phone; and new members.

The same services as over HTTP, with the same bounds; a till on a serial line is named by its
register.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from edge_agent.loyalty.store import customer_by_card, customer_by_id
from edge_agent.members.requests import IdentifyRequest, decode_register
from edge_agent.serial.barcodes.cards import BankCard, read_card
from edge_agent.serial.barcodes.gs1 import split_aim
from edge_agent.serial.services import Services
from shared.crypto.member_codes import is_member_code
from shared.crypto.tags import card_tag
from shared.errors import ForbiddenError, InputError
from shared.wire.feed import CustomerEntry
from shared.wire.members import MemberFound

SERIAL: Final = "serial"
"""Who asks, where others show a token."""
CHOSEN: Final = "#"
"""Before a member's id: the cashier has chosen one of several."""
_PHONE: Final = re.compile(r"\+[0-9]{10,15}")
_CONSENTS_MAX: Final = 10
Lines = list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What was found: ``customer`` goes into the receipt; ``entry`` None: nobody, or several."""

    customer: dict[str, str] | None
    entry: CustomerEntry | None = None
    several: Sequence[MemberFound] = ()


class Customers:
    """Finds and makes members for one line."""

    def __init__(self, services: Services, *, register: str, prefixes: Sequence[str]) -> None:
        self._services = services
        self._register = register
        self._prefixes = prefixes

    def commands(self) -> dict[str, tuple[int, int, Callable[[list[str]], Awaitable[Lines]]]]:
        """By name: how many fields at least and at most, and what is done."""
        return {"REG": (4, 4, self._make)}

    async def find(self, shown: str) -> Shown:
        """Who shows this.

        Raises:
            ForbiddenError: ``bank_card``.
            InputError: ``not_a_card``.
            AppError: as ``Members.identify`` says.
        """
        if shown.startswith(CHOSEN):
            return await self._chosen(shown.removeprefix(CHOSEN))
        # A till may send what its own scanner read.
        _, shown = split_aim(shown)
        if is_member_code(shown):
            return await self._by_code(shown)
        if _PHONE.fullmatch(shown):
            return await self._by_phone(shown)
        card = read_card(shown, self._prefixes)
        if isinstance(card, BankCard):
            raise ForbiddenError("this is a bank card", code="bank_card")
        if card is None:
            raise InputError("this is no loyalty card", code="not_a_card")
        number, tag = card.number, card_tag(card.number)
        entry = await self._services.reader.run(lambda reader: customer_by_card(reader, tag))
        return Shown(customer={"card": number}, entry=entry)

    async def _chosen(self, customer_id: str) -> Shown:
        entry = await self._services.reader.run(lambda reader: customer_by_id(reader, customer_id))
        return Shown(customer=None if entry is None else {"id": entry.customer_id}, entry=entry)

    async def _by_code(self, code: str) -> Shown:
        found = await self._services.members.identify(self._asked(code=code), SERIAL)
        entry = found.members[0].entry
        proof = self._services.proofs.make(entry.customer_id, self._services.clock.now_ms())
        return Shown(customer={"id": entry.customer_id, "proof": proof}, entry=entry)

    async def _by_phone(self, phone: str) -> Shown:
        found = await self._services.members.identify(self._asked(phone=phone), SERIAL)
        if len(found.members) != 1:
            return Shown(customer=None, several=found.members)
        entry = found.members[0].entry
        return Shown(customer={"id": entry.customer_id}, entry=entry)

    def _asked(self, *, code: str | None = None, phone: str | None = None) -> IdentifyRequest:
        return IdentifyRequest(
            card=None, phone=phone, code=code, register=self._register, cashier=None
        )

    async def _make(self, fields: list[str]) -> Lines:
        """Operation, phone, card (may be empty), consents with commas; as over HTTP."""
        operation_id, phone, card, consents = fields
        body = {
            "operation_id": operation_id,
            "phone": phone,
            "consents": dict.fromkeys(consents.split(",", _CONSENTS_MAX), True) if consents else {},
            "register": self._register,
            **({"card": card} if card else {}),
        }
        asked = decode_register(msgspec.json.encode(body))
        made = await self._services.members.register(asked, SERIAL)
        taken = "1" if made.card_taken else "0"
        return [[made.outcome.value, made.member.entry.customer_id, taken]]

"""The till's addresses for customers; phones are in bodies alone, which nobody logs."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from edge_agent.checkout.knowledge import unproven_points_max
from edge_agent.checkout.proof import Proofs
from edge_agent.database.reader import Reader
from edge_agent.http.middleware import CALLER
from edge_agent.http.routes import TellsMembers
from edge_agent.members.finding import Found
from edge_agent.members.requests import decode_identify, decode_register
from edge_agent.members.service import Members
from shared.clock import Clock
from shared.money import format_centi
from shared.wire.members import MemberFound


class MembersApi:
    """The handlers. ``tells``: how points stand; ``proofs``: as those of receipts are checked."""

    def __init__(
        self,
        members: Members,
        tells: TellsMembers,
        proofs: Proofs,
        *,
        reader: Reader,
        store_id: str,
        clock: Clock,
    ) -> None:
        self._members = members
        self._tells = tells
        self._proofs = proofs
        self._reader = reader
        self._store_id = store_id
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.post("/v1/customers/identify", self.identify),
            web.post("/v1/customers/register", self.register),
        ]

    async def identify(self, request: web.Request) -> web.Response:
        """Who shows a card, a phone or a code."""
        asked = decode_identify(await request.read())
        found = await self._members.identify(asked, request[CALLER].name)
        proof: str | None = None
        if asked.code is not None:
            proof = self._proofs.make(found.members[0].entry.customer_id, self._clock.now_ms())
        points_max_centi = await self._reader.run(
            lambda reader: unproven_points_max(reader, self._store_id)
        )
        return _json(
            {
                "outcome": _outcome(found),
                "by": found.place.value,
                "asked_all": found.asked_all,
                "may_register": not found.members,
                "members": [_hit(each) for each in found.members],
                "member": (
                    await self._tells.tell(found.members[0].entry)
                    if len(found.members) == 1
                    else None
                ),
                "proof": proof,
                "points_max": None if points_max_centi is None else format_centi(points_max_centi),
            }
        )

    async def register(self, request: web.Request) -> web.Response:
        """Somebody wants to be a member."""
        asked = decode_register(await request.read())
        made = await self._members.register(asked, request[CALLER].name)
        return _json(
            {
                "outcome": made.outcome.value,
                "member": _hit(made.member),
                "card_taken": made.card_taken,
            }
        )


def _outcome(found: Found) -> str:
    if not found.members:
        return "unknown"
    return "found" if len(found.members) == 1 else "choose"


def _hit(found: MemberFound) -> dict[str, Any]:
    entry = found.entry
    return {
        "id": entry.customer_id,
        "level": entry.level,
        "card_category": entry.card_category,
        "blocked": entry.blocked,
        "phone_end": found.phone_end,
        "registered_on": found.registered_on,
    }


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")

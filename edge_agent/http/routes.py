"""The till's addresses. ``/v1/receipts/...`` prices and records; the rest tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import apsw
import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from edge_agent.checkout.desk import Desk
from edge_agent.checkout.knowledge import points_spendable
from edge_agent.checkout.service import Checkout
from edge_agent.checkout.store import Recorded
from edge_agent.database.reader import Reader
from edge_agent.http.middleware import admission, refusals
from edge_agent.http.told import ToldAnswers
from edge_agent.loyalty.store import balances_of, customer_by_card, customer_by_id
from edge_agent.tills.service import Tills
from shared.crypto.tags import card_tag
from shared.errors import InputError, NotFoundError
from shared.ids import Chance
from shared.limits import TILL_BODY_BYTES_MAX
from shared.money import format_centi
from shared.wire.feed import CustomerEntry

StatusReport = Callable[[], Awaitable[dict[str, Any]]]
"""What GET /v1/status answers."""
_JSON: Final = "application/json"


class TellsMembers(Protocol):
    """``TillApi`` does."""

    async def tell(self, entry: CustomerEntry) -> dict[str, Any]:
        """A member with their points."""
        ...


class TillApi:
    """The handlers of one listener."""

    def __init__(
        self,
        *,
        checkout: Checkout,
        reader: Reader,
        desk: Desk,
        report: StatusReport,
        on_commit: Callable[[], None],
    ) -> None:
        """``on_commit`` is called after each sale; it must not wait."""
        self._checkout = checkout
        self._told = ToldAnswers()
        self._on_commit = on_commit
        self._reader = reader
        self._desk = desk
        self._report = report

    def application(
        self,
        *,
        tills: Tills,
        chance: Chance,
        more: Sequence[web.RouteDef] = (),
        around: Sequence[Middleware] = (),
    ) -> web.Application:
        """The listener's application; ``tills`` are those who may call.

        ``more``: other addresses; ``around``: what sees every call and its answer.
        """
        app = web.Application(
            client_max_size=TILL_BODY_BYTES_MAX,
            middlewares=[*around, refusals(chance), admission(tills)],
        )
        app.add_routes(
            [
                web.get("/v1/health", self.health),
                web.get("/v1/status", self.status),
                web.get("/v1/customers", self.customer),
                web.post("/v1/receipts/calculate", self.calculate),
                web.post("/v1/receipts/{id}/freeze", self.freeze),
                web.post("/v1/receipts/{id}/commit", self.commit),
                web.post("/v1/receipts/{id}/cancel", self.cancel),
                web.get("/v1/receipts/{id}", self.receipt),
                *more,
            ]
        )
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """The agent lives; whether all is well is for ``status`` to say."""
        return _json({"alive": True})

    async def status(self, _request: web.Request) -> web.Response:
        """How every part of the agent is."""
        return _json(await self._report())

    async def calculate(self, request: web.Request) -> web.Response:
        """Price a receipt; nothing is recorded."""
        priced = await self._checkout.calculate(
            await request.read(),
            trace=_asked_for(request, "trace"),
            hints=_asked_for(request, "hints"),
        )
        body = self._told.with_more(
            priced.answer,
            {
                "calculation_id": priced.calculation_id,
                "bundle_version": priced.bundle_version,
                "receipt_hash": priced.receipt_hash,
                "notices": msgspec.to_builtins(priced.notices),
            },
        )
        return web.Response(body=body, content_type=_JSON)

    async def freeze(self, request: web.Request) -> web.Response:
        """Set the receipt's points aside before the customer pays."""
        answer = await self._checkout.freeze(request.match_info["id"], await request.read())
        body = self._told.with_more(answer, {"frozen": True})
        return web.Response(body=body, content_type=_JSON)

    async def commit(self, request: web.Request) -> web.Response:
        """Record a sale; answered only when it is durable."""
        recorded = await self._checkout.commit(request.match_info["id"], await request.read())
        self._on_commit()
        return _json(self._recorded_to_json(recorded))

    async def cancel(self, request: web.Request) -> web.Response:
        """A receipt will not become a sale."""
        receipt_id = request.match_info["id"]
        await self._checkout.cancel(receipt_id)
        return _json({"receipt_id": receipt_id, "state": "cancelled"})

    async def receipt(self, request: web.Request) -> web.Response:
        """What became of a receipt."""
        receipt_id = request.match_info["id"]
        recorded = await self._checkout.get(receipt_id)
        if recorded is None:
            return _json({"receipt_id": receipt_id, "state": "cancelled"})
        return _json({**self._recorded_to_json(recorded), "state": "committed"})

    async def customer(self, request: web.Request) -> web.Response:
        """A member by card or id: what this shop may know of them."""
        card, customer_id = request.query.get("card"), request.query.get("id")
        if (card is None) == (customer_id is None):
            raise InputError("ask by card or by id", code="bad_query")
        entry = await self._reader.run(lambda reader: _member(reader, card, customer_id))
        return _json(await self.tell(entry))

    async def tell(self, entry: CustomerEntry) -> dict[str, Any]:
        """A member with their points, and what of them may be spent here."""
        elsewhere = await self._desk.elsewhere(entry.customer_id)
        return await self._reader.run(
            lambda reader: _member_to_json(
                entry,
                balances_of(reader, entry.customer_id),
                points_spendable(reader, entry.customer_id, self._desk.standing(reader), elsewhere),
            )
        )

    def _recorded_to_json(self, recorded: Recorded) -> dict[str, Any]:
        fact = recorded.fact
        return {
            "receipt_id": fact.receipt_id,
            "record_uid": recorded.record_uid.hex(),
            "bundle_version": fact.bundle_version,
            "answer": msgspec.Raw(self._told.text(fact.answer)),
            "incidents": [{"code": each.code, "detail": each.detail} for each in fact.incidents],
        }


def _member(reader: apsw.Connection, card: str | None, customer_id: str | None) -> CustomerEntry:
    if card is not None:
        entry = customer_by_card(reader, card_tag(card))
    else:
        entry = customer_by_id(reader, customer_id or "")
    if entry is None:
        raise NotFoundError("this shop knows no such member")
    return entry


def _member_to_json(
    entry: CustomerEntry, balances: dict[str, int], spendable: dict[str, int]
) -> dict[str, Any]:
    return {
        "id": entry.customer_id,
        "segments": entry.segments,
        "level": entry.level,
        "card_category": entry.card_category,
        "blocked": entry.blocked,
        "points": {name: format_centi(value) for name, value in balances.items()},
        "spendable": {name: format_centi(value) for name, value in spendable.items()},
    }


def _asked_for(request: web.Request, what: str) -> bool:
    return request.query.get(what, "0") not in ("", "0", "false")


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type=_JSON)

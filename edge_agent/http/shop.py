"""Small questions of tills and price checkers: a product's price, a coupon, a day's totals."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import apsw
import msgspec
from aiohttp import web

from edge_agent.catalogue.store import store_of
from edge_agent.checkout.notices import STATE_OF_NOTICE
from edge_agent.checkout.service import Checkout
from edge_agent.database.reader import Reader
from edge_agent.totals.store import totals_of_day
from shared.clock import Clock
from shared.errors import InputError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.money import format_centi, format_minor
from shared.wire.answer import Answer
from shared.wire.answer_json import answer_to_json


class ShopApi:
    """The handlers; all of them only read."""

    def __init__(self, *, checkout: Checkout, reader: Reader, store_id: str, clock: Clock) -> None:
        self._checkout = checkout
        self._reader = reader
        self._store_id = store_id
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.get("/v1/preview", self.preview),
            web.get("/v1/coupons", self.coupon),
            web.get("/v1/totals", self.totals),
        ]

    async def preview(self, request: web.Request) -> web.Response:
        """What an article costs by itself, without and with a card."""
        line = {
            "line": 1,
            "sku": _asked(request, "sku"),
            "price": _asked(request, "price"),
            "qty": request.query.get("qty", "1"),
        }
        receipt: dict[str, Any] = {"time": await self._now(), "lines": [line]}
        alone = await self._priced(receipt)
        # An empty customer is a known one: what anybody with a card would get.
        carded = await self._priced({**receipt, "customer": {}}, hints=True)
        return _json(
            {
                "sku": line["sku"],
                "list": format_minor(alone.total.list_minor),
                "to_pay": format_minor(alone.total.to_pay_minor),
                "to_pay_with_card": format_minor(carded.total.to_pay_minor),
                "applied": alone.applied,
                "applied_with_card": carded.applied,
                "hints": answer_to_json(carded)["hints"],
            }
        )

    async def coupon(self, request: web.Request) -> web.Response:
        """Whether a code would count now, for this customer if one is named."""
        code = _asked(request, "code")
        receipt: dict[str, Any] = {
            "time": await self._now(),
            "coupons": [{"code": code}],
            "lines": [],
        }
        if "card" in request.query:
            receipt["customer"] = {"card": _asked(request, "card")}
        priced = await self._checkout.calculate(msgspec.json.encode(receipt), trace=False)
        told = [STATE_OF_NOTICE.get(each.code) for each in priced.notices]
        return _json({"code": code, "state": next(filter(None, told), "valid")})

    async def totals(self, request: web.Request) -> web.Response:
        """What was sold and returned on a shop day, at one register or at all."""
        try:
            day = date.fromisoformat(_asked(request, "date"))
        except ValueError as error:
            raise InputError("the date is YYYY-MM-DD", code="bad_query", pointer="/date") from error
        register = request.query.get("register")
        found = await self._reader.run(lambda reader: totals_of_day(reader, day, register))
        return _json(
            {
                "date": day.isoformat(),
                "register": register,
                "sales": found.sales,
                "list": format_minor(found.list_minor),
                "discount": format_minor(found.discount_minor),
                "points_spent": format_minor(found.points_spent_minor),
                "to_pay": format_minor(found.to_pay_minor),
                "points_earned": format_centi(found.points_earned_centi),
                "returns": found.returns,
                "returned": format_minor(found.returned_minor),
                "net": format_minor(found.net_minor),
                "incidents": found.incidents,
            }
        )

    async def _priced(self, receipt: dict[str, Any], *, hints: bool = False) -> Answer:
        body = msgspec.json.encode(receipt)
        return (await self._checkout.calculate(body, trace=False, hints=hints)).answer

    async def _now(self) -> str:
        """The time on the shop's wall; UTC until head office has said where the shop is."""

        def zone(reader: apsw.Connection) -> ZoneInfo:
            store = store_of(reader, self._store_id)
            return ZoneInfo("UTC" if store is None else store.timezone)

        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        return now.astimezone(await self._reader.run(zone)).isoformat(timespec="seconds")


def _asked(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not 0 < len(value) <= IDENTIFIER_CHARS_MAX:
        raise InputError(f"the query has {name}", code="bad_query", pointer=f"/{name}")
    return value


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")

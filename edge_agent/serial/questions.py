"""Commands that only ask: an article's price, a coupon's state, this register's day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import msgspec

from edge_agent.checkout.notices import STATE_OF_NOTICE
from edge_agent.checkout.service import Priced
from edge_agent.serial.places import zone_of
from edge_agent.serial.services import Services
from edge_agent.totals.store import totals_of_day
from shared.errors import InputError
from shared.money import format_centi, format_minor

Lines = list[list[str]]


class Questions:
    """What an HTTP till asks at /v1/preview, /v1/coupons and /v1/totals."""

    def __init__(self, services: Services, *, register: str) -> None:
        self._services = services
        self._register = register

    def commands(self) -> dict[str, tuple[int, int, Callable[[list[str]], Awaitable[Lines]]]]:
        """By name: how many fields at least and at most, and what is done."""
        return {
            "PRICE": (2, 3, self._price),
            "CHECK": (1, 1, self._check),
            "TOTAL": (0, 1, self._total),
        }

    async def _price(self, fields: list[str]) -> Lines:
        """By itself, without and with a card."""
        sku, price, *qty = fields
        line = {"line": 1, "sku": sku, "price": price, "qty": qty[0] if qty and qty[0] else "1"}
        alone = (await self._calculated({"lines": [line]})).answer.total
        # An empty customer is a known one: what anybody with a card would get.
        carded = (await self._calculated({"lines": [line], "customer": {}})).answer.total
        sums = (alone.to_pay_minor, carded.to_pay_minor, alone.list_minor)
        return [[sku, *map(format_minor, sums)]]

    async def _check(self, fields: list[str]) -> Lines:
        priced = await self._calculated({"lines": [], "coupons": [{"code": fields[0]}]})
        told = [STATE_OF_NOTICE.get(each.code) for each in priced.notices]
        return [[next(filter(None, told), "valid")]]

    async def _total(self, fields: list[str]) -> Lines:
        """Of this register; without a date, of today."""
        zone = await zone_of(self._services)
        try:
            told = fields[0] if fields else ""
            day = date.fromisoformat(told) if told else zone.now(self._services.clock).date()
        except ValueError as error:
            raise InputError("a date is YYYY-MM-DD", code="bad_time") from error
        found = await self._services.reader.run(
            lambda reader: totals_of_day(reader, day, self._register)
        )
        return [
            [
                day.isoformat(),
                str(found.sales),
                format_minor(found.to_pay_minor),
                format_minor(found.discount_minor),
                format_minor(found.points_spent_minor),
                format_centi(found.points_earned_centi),
                str(found.returns),
                format_minor(found.returned_minor),
                str(found.incidents),
            ]
        ]

    async def _calculated(self, receipt: dict[str, Any]) -> Priced:
        zone = await zone_of(self._services)
        body = {"time": zone.time("", self._services.clock), **receipt}
        return await self._services.checkout.calculate(msgspec.json.encode(body), trace=False)

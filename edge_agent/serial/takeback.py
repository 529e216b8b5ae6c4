"""The commands of goods that come back: what is due, and that it was given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from edge_agent.serial.places import zone_of
from edge_agent.serial.replies import goods_lines, incident_lines, refund_lines
from edge_agent.serial.services import Services
from shared.errors import InputError
from shared.money import format_minor

RETURN_LINES_MAX: Final = 1_000
_OF_THE_SALE: Final = {"store": "sale_store", "register": "sale_register"}
Lines = list[list[str]]


class TakeBack:
    """A return names everything in one message, so nothing is kept between two."""

    def __init__(self, services: Services, *, register: str) -> None:
        self._services = services
        self._register = register

    def commands(self) -> dict[str, tuple[int, int, Callable[[list[str]], Awaitable[Lines]]]]:
        """By name: how many fields at least and at most, and what is done."""
        return {
            "RCALC": (2, 1 + RETURN_LINES_MAX, self._due),
            "RETURN": (5, 4 + RETURN_LINES_MAX, self._given),
            "NCALC": (3, 2 + RETURN_LINES_MAX, self._priced),
            "NRETURN": (6, 5 + RETURN_LINES_MAX, self._taken),
        }

    async def _due(self, fields: list[str]) -> Lines:
        sale_id, *lines = fields
        refund = await self._services.returns.calculate(_encoded(sale_id, lines))
        first = [sale_id, format_minor(refund.money_minor), format_minor(refund.points_spent_minor)]
        return [first, *refund_lines(refund)]

    async def _given(self, fields: list[str]) -> Lines:
        """The goods are back and the money is given; a repeat gets the first answer.

        The time is the till's: with the agent's own a repeat would be another return.
        """
        return_id, sale_id, told, money, *lines = fields
        more = await self._made(told, money)
        recorded = await self._services.returns.commit(return_id, _encoded(sale_id, lines, more))
        self._services.on_return()
        refund = recorded.fact.refund
        return [
            [
                return_id,
                sale_id,
                format_minor(refund.money_minor),
                format_minor(refund.points_spent_minor),
            ],
            *refund_lines(refund),
            *incident_lines(recorded.fact.incidents),
        ]

    async def _priced(self, fields: list[str]) -> Lines:
        """What is given for goods without a receipt."""
        cashier, rights, *goods = fields
        priced = await self._services.without_receipt.calculate(_goods(cashier, rights, goods))
        money_minor = sum(each.money_minor for each in priced)
        return [[format_minor(money_minor)], *goods_lines(priced)]

    async def _taken(self, fields: list[str]) -> Lines:
        """Goods without a receipt are back and the money is given."""
        return_id, told, money, cashier, rights, *goods = fields
        body = _goods(cashier, rights, goods, await self._made(told, money))
        recorded = await self._services.without_receipt.commit(return_id, body)
        self._services.on_return()
        fact = recorded.fact
        return [
            [return_id, format_minor(fact.refund.money_minor)],
            *goods_lines(fact.goods),
            *incident_lines(fact.incidents),
        ]

    async def _made(self, told: str, money: str) -> dict[str, Any]:
        if not told:
            raise InputError("a return has the till's time", code="bad_time")
        zone = await zone_of(self._services)
        more = {"time": zone.time(told, self._services.clock), "register": self._register}
        return more | {"money": money} if money else more


def _goods(
    cashier: str, rights: str, goods: list[str], more: dict[str, Any] | None = None
) -> bytes:
    lines = []
    for number, each in enumerate(goods, start=1):
        sku, *rest = each.rsplit(":", 2)
        if len(rest) != 2:
            raise InputError("goods are sku:quantity:price", code="wrong_fields")
        lines.append({"line": number, "sku": sku, "qty": rest[0], "price": rest[1]})
    body: dict[str, Any] = {"goods": lines, **(more or {})}
    if cashier:
        body["cashier"] = {"id": cashier, "rights": rights.split(",") if rights else []}
    return msgspec.json.encode(body)


def _encoded(sale_id: str, lines: list[str], more: dict[str, Any] | None = None) -> bytes:
    wanted: list[dict[str, Any]] = []
    named: dict[str, str] = {}
    for each in lines:
        line, equals, qty = each.partition("=")
        if line in _OF_THE_SALE and qty:
            named[_OF_THE_SALE[line]] = qty
            continue
        if not equals or not (line.isascii() and line.isdigit() and len(line) <= 9):
            raise InputError("what comes back is line=quantity", code="wrong_fields")
        wanted.append({"line": int(line), "qty": qty})
    return msgspec.json.encode({"sale": sale_id, "return": wanted, **named, **(more or {})})

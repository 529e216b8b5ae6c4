"""The till's addresses for goods that come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from edge_agent.returns.service import Returns
from edge_agent.returns.store import RecordedReturn, Sold
from edge_agent.returns.without_receipt import WithoutReceipt
from shared.engine.refund import sold_quantities
from shared.errors import InputError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.money import format_minor
from shared.quantity import format_quantity
from shared.wire.facts import GoodsReturned
from shared.wire.refund_json import refund_to_json
from shared.wire.return_json import ReturnRequest


class ReturnsApi:
    """The handlers; ``on_commit`` is called after each return and must not wait."""

    def __init__(
        self,
        returns: Returns,
        without_receipt: WithoutReceipt,
        *,
        on_commit: Callable[[], None],
    ) -> None:
        self._returns = returns
        self._without_receipt = without_receipt
        self._on_commit = on_commit

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.post("/v1/returns/calculate", self.calculate),
            web.post("/v1/returns/{id}/commit", self.commit),
            web.get("/v1/returns/{id}", self.found),
            web.get("/v1/sales/{id}", self.sale),
            web.post("/v1/returns-without-receipt/calculate", self.calculate_goods),
            web.post("/v1/returns-without-receipt/{id}/commit", self.commit_goods),
        ]

    async def calculate(self, request: web.Request) -> web.Response:
        """What is due for goods; nothing is recorded."""
        return _json(refund_to_json(await self._returns.calculate(await request.read())))

    async def commit(self, request: web.Request) -> web.Response:
        """Record what was given back; answered only when it is durable."""
        recorded = await self._returns.commit(request.match_info["id"], await request.read())
        self._on_commit()
        return _json(_recorded_to_json(recorded))

    async def found(self, request: web.Request) -> web.Response:
        """What was recorded."""
        return _json(_recorded_to_json(await self._returns.get(request.match_info["id"])))

    async def calculate_goods(self, request: web.Request) -> web.Response:
        """What is given for goods without a receipt; nothing is recorded."""
        goods = await self._without_receipt.calculate(await request.read())
        money_minor = sum(each.money_minor for each in goods)
        return _json({"money": format_minor(money_minor), "goods": _goods_to_json(goods)})

    async def commit_goods(self, request: web.Request) -> web.Response:
        """Record what was given for goods without a receipt."""
        recorded = await self._without_receipt.commit(
            request.match_info["id"], await request.read()
        )
        self._on_commit()
        return _json(_recorded_to_json(recorded))

    async def sale(self, request: web.Request) -> web.Response:
        """A sale of any shop: what was sold, and what of it can still come back."""
        query = request.query
        asked = ReturnRequest(
            sale_id=_name(request.match_info["id"], "/id"),
            wanted_milli={},
            sale_store=_name(query.get("store", ""), "/store", empty=True),
            sale_register=_name(query.get("register", ""), "/register", empty=True),
        )
        return _json(_sale_to_json(await self._returns.sale(asked)))


def _name(text: str, pointer: str, *, empty: bool = False) -> str:
    if len(text) > IDENTIFIER_CHARS_MAX or not (text or empty):
        raise InputError(
            f"a name has 1 to {IDENTIFIER_CHARS_MAX} characters", code="bad_query", pointer=pointer
        )
    return text


def _sale_to_json(sold: Sold) -> dict[str, Any]:
    fact = sold.fact
    skus = {line.line: line.sku for line in fact.receipt.lines}
    quantities = sold_quantities(fact.answer)
    return {
        "sale": fact.receipt_id,
        "store": fact.store_id,
        "register": fact.register,
        "time": fact.receipt.time,
        "to_pay": format_minor(fact.answer.total.to_pay_minor),
        "lines": [
            {
                "line": line.line,
                "sku": skus.get(line.line, ""),
                "qty": format_quantity(quantities[line.line]),
                "returned": format_quantity(sold.came_back(line.line)),
                "to_pay": format_minor(line.to_pay_minor),
                "points_spent": format_minor(line.points_spent_minor),
            }
            for line in fact.answer.lines
        ],
        "confirmed": sold.confirmed,
    }


def _goods_to_json(goods: Sequence[GoodsReturned]) -> list[dict[str, Any]]:
    return [
        {
            "line": each.line,
            "sku": each.sku,
            "qty": format_quantity(each.quantity_milli),
            "money": format_minor(each.money_minor),
            "basis": each.basis,
        }
        for each in goods
    ]


def _recorded_to_json(recorded: RecordedReturn) -> dict[str, Any]:
    fact = recorded.fact
    return {
        "return_id": fact.return_id,
        "record_uid": recorded.record_uid.hex(),
        "sale": fact.sale_receipt_id,
        "refund": refund_to_json(fact.refund),
        "goods": _goods_to_json(fact.goods),
        "incidents": [{"code": each.code, "detail": each.detail} for each in fact.incidents],
    }


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")

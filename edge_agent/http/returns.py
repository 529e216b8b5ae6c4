"""The till's addresses for goods that come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from edge_agent.returns.service import Returns
from edge_agent.returns.store import RecordedReturn
from shared.wire.refund_json import refund_to_json


class ReturnsApi:
    """The handlers; ``on_commit`` is called after each return and must not wait."""

    def __init__(self, returns: Returns, *, on_commit: Callable[[], None]) -> None:
        self._returns = returns
        self._on_commit = on_commit

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.post("/v1/returns/calculate", self.calculate),
            web.post("/v1/returns/{id}/commit", self.commit),
            web.get("/v1/returns/{id}", self.found),
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


def _recorded_to_json(recorded: RecordedReturn) -> dict[str, Any]:
    fact = recorded.fact
    return {
        "return_id": fact.return_id,
        "record_uid": recorded.record_uid.hex(),
        "sale": fact.sale_receipt_id,
        "refund": refund_to_json(fact.refund),
        "incidents": [{"code": each.code, "detail": each.detail} for each in fact.incidents],
    }


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")

"""The commands of goods that come back: what is due, and that it was given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from edge_agent.serial.places import zone_of
from edge_agent.serial.replies import incident_lines, refund_lines
from edge_agent.serial.services import Services
from shared.errors import InputError
from shared.money import format_minor

RETURN_LINES_MAX: Final = 1_000
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
        if not told:
            raise InputError("a return has the till's time", code="bad_time")
        zone = await zone_of(self._services)
        more: dict[str, Any] = {
            "time": zone.time(told, self._services.clock),
            "register": self._register,
        }
        if money:
            more["money"] = money
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


def _encoded(sale_id: str, lines: list[str], more: dict[str, Any] | None = None) -> bytes:
    wanted: list[dict[str, Any]] = []
    for each in lines:
        line, equals, qty = each.partition("=")
        if not equals or not (line.isascii() and line.isdigit() and len(line) <= 9):
            raise InputError("what comes back is line=quantity", code="wrong_fields")
        wanted.append({"line": int(line), "qty": qty})
    return msgspec.json.encode({"sale": sale_id, "return": wanted, **(more or {})})

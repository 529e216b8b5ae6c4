"""Gift card commands ask head office exactly what the same HTTP calls would ask."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from edge_agent.serial.gifts import Gifts
from edge_agent.serial.services import Services
from shared.errors import InputError
from shared.wire.gift_cards import (
    GiftAction,
    GiftActivate,
    GiftBalance,
    GiftRedeem,
    GiftReply,
    GiftRequest,
    GiftReverse,
)

ASKED = [
    (
        "GSELL",
        ["o1", "r1", "4000", "1000.00"],
        GiftAction.ACTIVATE,
        GiftActivate(operation_id="o1", receipt_id="r1", number="4000", amount_minor=100_000),
    ),
    ("GBAL", ["4000"], GiftAction.BALANCE, GiftBalance(number="4000")),
    ("GBAL", ["4000", "7391"], GiftAction.BALANCE, GiftBalance(number="4000", pin="7391")),
    (
        "GPAY",
        ["o2", "r1", "4000", "250.00", "7391"],
        GiftAction.REDEEM,
        GiftRedeem(
            operation_id="o2", receipt_id="r1", number="4000", amount_minor=25_000, pin="7391"
        ),
    ),
    (
        "GPAY",
        ["o2", "r1", "4000"],
        GiftAction.REDEEM,
        GiftRedeem(operation_id="o2", receipt_id="r1", number="4000", amount_minor=None),
    ),
    ("GUNDO", ["o2"], GiftAction.REVERSE, GiftReverse(operation_id="o2")),
]


class HeadOffice:
    def __init__(self) -> None:
        self.heard: list[tuple[GiftAction, GiftRequest]] = []

    async def ask(self, action: GiftAction, request: GiftRequest) -> GiftReply:
        self.heard.append((action, request))
        return GiftReply(
            amount_minor=25_000,
            balance_minor=75_000,
            currency="RUB",
            active=True,
            expires_on="2027-11-23",
        )


@pytest.mark.parametrize(("name", "fields", "action", "request_"), ASKED)
async def test_fields_become_the_request(
    name: str, fields: list[str], action: GiftAction, request_: GiftRequest
) -> None:
    """An empty field is one that is not there; the reply tells how the card stands."""
    office = HeadOffice()
    gifts = Gifts(cast("Services", SimpleNamespace(gift_cards=office)))
    _, _, command = gifts.commands()[name]
    assert await command(fields) == [["250.00", "750.00", "RUB", "1", "2027-11-23", "0"]]
    assert office.heard == [(action, request_)]


@pytest.mark.parametrize(
    ("name", "fields"),
    [("GSELL", ["o1", "r1", "4000", "x"]), ("GPAY", ["o1", "r1", ""]), ("GUNDO", ["x" * 201])],
)
async def test_wrong_fields_are_not_sent(name: str, fields: list[str]) -> None:
    """Head office hears of nothing that the same HTTP call would refuse."""
    office = HeadOffice()
    gifts = Gifts(cast("Services", SimpleNamespace(gift_cards=office)))
    with pytest.raises(InputError):
        await gifts.commands()[name][2](fields)
    assert office.heard == []

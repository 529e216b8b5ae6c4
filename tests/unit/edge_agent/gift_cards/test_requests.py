"""What a till says of a gift card, and how the agent waits for head office."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.gift_cards.requests import decode_request, reply_to_json
from edge_agent.gift_cards.service import GiftCards
from edge_agent.lan.policy import FAILURES_MAX, OPEN_NS
from shared.errors import AppError, BusyError, ConflictError, InputError, UnavailableError
from shared.wire.gift_cards import (
    GiftAction,
    GiftActivate,
    GiftBalance,
    GiftRedeem,
    GiftReply,
    GiftRequest,
    GiftReverse,
)
from tests.support.clocks import FakeClock

NUMBER, PIN = "4000000000000001", "7391"
REPLY = GiftReply(amount_minor=1, balance_minor=105, currency="RUB", active=True)
KEYS = ("operation_id", "receipt_id", "number", "amount", "pin")
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(NUMBER)
)


def test_each_request_is_read_by_its_action() -> None:
    """Money as text or number; what is not there is not asked for."""
    ids = {"operation_id": "o1", "receipt_id": "r1"}
    assert decode(GiftAction.ACTIVATE, ids | {"number": NUMBER, "amount": "10.5"}) == GiftActivate(
        operation_id="o1", receipt_id="r1", number=NUMBER, amount_minor=1050
    )
    assert decode(GiftAction.BALANCE, {"number": NUMBER}) == GiftBalance(number=NUMBER)
    assert decode(GiftAction.REDEEM, ids | {"number": NUMBER, "amount": 3, "pin": PIN}) == (
        GiftRedeem(operation_id="o1", receipt_id="r1", number=NUMBER, amount_minor=300, pin=PIN)
    )
    whole = decode(GiftAction.REDEEM, ids | {"number": NUMBER})
    assert isinstance(whole, GiftRedeem)
    assert whole.amount_minor is None
    assert decode(GiftAction.REVERSE, {"operation_id": "o1"}) == GiftReverse(operation_id="o1")
    assert reply_to_json(REPLY)["balance"] == "1.05"


@given(
    action=st.sampled_from(GiftAction),
    body=st.one_of(
        st.binary(max_size=20),
        st.dictionaries(st.sampled_from([*KEYS, "more"]), VALUES).map(
            lambda value: json.dumps(value).encode()
        ),
    ),
)
def test_any_body_is_read_or_refused_without_being_quoted(action: GiftAction, body: bytes) -> None:
    """No error tells what stood in the body."""
    told, request = "", None
    try:
        request = decode_request(action, body)
    except InputError as error:
        told = f"{error.message}{error.hint}{error.pointer}"
    assert NUMBER not in told
    amount = getattr(request, "amount_minor", None)
    assert amount is None or amount > 0


def decode(action: GiftAction, value: dict[str, Any]) -> GiftRequest:
    return decode_request(action, json.dumps(value).encode())


class Central:
    """Answers as it is told; counts the questions."""

    def __init__(self, answer: GiftReply | AppError | TimeoutError) -> None:
        self.answer = answer
        self.asked = 0

    async def gift_card(self, action: GiftAction, request: GiftRequest) -> GiftReply:
        self.asked += 1
        if isinstance(self.answer, GiftReply):
            return self.answer
        raise self.answer


async def test_a_dead_line_is_left_alone_and_tried_again() -> None:
    """Three failures in a row; then nobody waits for a quarter of a minute."""
    clock, central = FakeClock(), Central(TimeoutError())
    cards = GiftCards(central=central, clock=clock)
    for _ in range(FAILURES_MAX + 2):
        with pytest.raises(UnavailableError) as caught:
            await cards.ask(GiftAction.BALANCE, GiftBalance(number=NUMBER))
        assert caught.value.stable_code == "gift_cards_offline"
    assert central.asked == FAILURES_MAX
    clock.advance_ms(OPEN_NS // 10**6)
    central.answer = REPLY
    assert await cards.ask(GiftAction.BALANCE, GiftBalance(number=NUMBER)) == REPLY


@pytest.mark.parametrize(
    "refusal",
    [ConflictError("no", code="gift_card_empty"), BusyError("no", code="pin_wait")],
)
async def test_a_refusal_is_an_answer(refusal: AppError) -> None:
    """It goes to the till as it is, however often, and the line is taken to be well."""
    central = Central(refusal)
    cards = GiftCards(central=central, clock=FakeClock())
    for _ in range(FAILURES_MAX + 2):
        with pytest.raises(type(refusal)) as caught:
            await cards.ask(GiftAction.BALANCE, GiftBalance(number=NUMBER))
        assert caught.value.stable_code == refusal.stable_code
    assert central.asked == FAILURES_MAX + 2

"""A gift card from the till's JSON to the ledger and back, with a link that fails."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from central.accounts.audit import audit
from central.database.pool import Pool
from central.gift_cards import store as gift_cards
from central.gift_cards.importing import register_cards
from edge_agent.lan import policy
from tests.support.both_ends import Town, a_town
from tests.support.gift_cards import CARDS, PIN, PLAIN, SECRET, cards_file
from tests.support.programmes import TEA_AND_POINTS

ACTIVATE, BALANCE = "/v1/gift-cards/activate", "/v1/gift-cards/balance"
REDEEM, REVERSE = "/v1/gift-cards/redeem", "/v1/gift-cards/reverse"


@pytest.fixture
async def town(pool: Pool, tmp_path: Path) -> AsyncIterator[Town]:
    async with a_town(pool, tmp_path, TEA_AND_POINTS) as town:
        await register_cards(pool, town.central.pins, cards_file(tmp_path, CARDS))
        yield town


def sold(number: str = PLAIN, op: str = "sold", **more: Any) -> dict[str, Any]:
    return {
        "operation_id": op, "receipt_id": "r0", "number": number, "amount": "1000.00", **more
    }  # fmt: skip


def pays(op: str, amount: str | None, number: str = PLAIN, **more: Any) -> dict[str, Any]:
    return {
        "operation_id": op, "receipt_id": "r1", "number": number, "amount": amount, **more
    }  # fmt: skip


async def balance(town: Town, store: str = "S1") -> str:
    status, answer = await town.ask(store, BALANCE, {"number": PLAIN})
    assert status == 200, answer
    return str(answer["balance"])


async def test_a_card_is_sold_in_one_store_and_pays_in_another(town: Town) -> None:
    """Decimal texts at the till, whole kopecks in the ledger; a return is another operation."""
    status, answer = await town.ask("S1", ACTIVATE, sold("4000-0000 0000-0001"))
    assert (status, answer) == (
        200,
        {
            "amount": "1000.00",
            "balance": "1000.00",
            "currency": "RUB",
            "active": True,
            "expires_on": None,
            "whole_only": False,
        },
    )
    status, answer = await town.ask("S2", REDEEM, pays("p1", "250.5"))
    assert (status, answer["amount"], answer["balance"]) == (200, "250.50", "749.50")
    status, answer = await town.ask("S2", REDEEM, pays("p2", None))
    assert (status, answer["amount"]) == (200, "749.50")
    status, answer = await town.ask("S2", REVERSE, {"operation_id": "p1"})
    assert (status, answer["balance"]) == (200, "250.50")
    async with town.central.pool.connection() as connection:
        found = await audit(connection) | await gift_cards.audit(connection)
    assert (found["drift"], found["wrong_gift_cards"], found["gift_cards_minor"]) == (0, 0, 25_050)


async def test_refusals_keep_their_code_on_the_way_to_the_till(town: Town) -> None:
    """Each with its status; waiting says how long."""
    await town.ask("S1", ACTIVATE, sold(SECRET))
    asked: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
        (REDEEM, {**pays("x", "1"), "colour": 1}, (400, "unknown_key")),
        (REDEEM, pays("x", "-1"), (400, "bad_gift_card")),
        (REDEEM, pays("x", "1", number="1"), (400, "bad_gift_card")),
        (REDEEM, pays("x", "1", number="9" * 16), (404, "unknown_gift_card")),
        (REDEEM, pays("x", "1"), (409, "gift_card_not_sold")),
        (REDEEM, pays("x", "1", number=SECRET), (400, "pin_required")),
        (REDEEM, pays("x", "1001", number=SECRET, pin=PIN), (409, "gift_card_balance")),
        (ACTIVATE, sold(op="cheap", amount="1"), (400, "gift_card_amount")),
        (REDEEM, pays("sold", "1", number=SECRET, pin=PIN), (409, "operation_changed")),
        *[(REDEEM, pays("x", "1", number=SECRET, pin="0000"), (403, "wrong_pin"))] * 3,
        (REDEEM, pays("x", "1", number=SECRET, pin=PIN), (429, "pin_wait")),
    ]
    for path, body, expected in asked:
        async with town.tills["S1"].post(path, json=body) as response:
            answer = await response.json()
        assert (response.status, answer["code"]) == expected, answer
        assert answer["hint"]
        assert SECRET not in str(answer)
    assert 1 <= int(response.headers["Retry-After"]) <= 5


async def test_a_lost_reply_is_safe(town: Town) -> None:
    """Head office did it, the till was told nothing: a repeat moves nothing more."""
    await town.ask("S1", ACTIVATE, sold())
    town.central.lose_reply = True
    status, answer = await town.ask("S1", REDEEM, pays("p1", "300"))
    assert (status, answer["code"]) == (503, "gift_cards_offline")
    status, answer = await town.ask("S1", REDEEM, pays("p1", "300"))
    assert (status, answer["balance"]) == (200, "700.00")
    town.central.lose_reply = True
    assert (await town.ask("S1", REDEEM, pays("p2", "100")))[0] == 503
    status, answer = await town.ask("S1", REVERSE, {"operation_id": "p2"})
    assert (status, answer["balance"]) == (200, "700.00")
    status, answer = await town.ask("S1", REDEEM, pays("p2", "100"))
    assert (status, answer["code"]) == (409, "operation_reversed")
    assert await balance(town, "S2") == "700.00"


async def test_without_the_line_no_card_pays(town: Town) -> None:
    """Refused clearly, in one store alone, and after some tries without waiting."""
    await town.ask("S1", ACTIVATE, sold())
    town.central.cut.add("S1")
    for _ in range(5):
        status, answer = await town.ask("S1", REDEEM, pays("p1", "300"))
        assert (status, answer["code"]) == (503, "gift_cards_offline")
        assert "operation_id" in answer["hint"]
    assert await balance(town, "S2") == "1000.00"


async def test_two_stores_at_once_share_one_balance(town: Town) -> None:
    """Each wants all of it; one gets it."""
    await town.ask("S1", ACTIVATE, sold())
    answers = await asyncio.gather(
        *[town.ask(store, REDEEM, pays(f"p-{store}", "600")) for store in ("S1", "S2")]
    )
    assert sorted(status for status, _ in answers) == [200, 409]
    assert await balance(town) == "400.00"


async def test_no_log_of_an_agent_tells_a_card(
    town: Town, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor does anything that either agent wrote to its disk."""
    await town.ask("S1", ACTIVATE, sold(SECRET))
    await town.ask("S1", REDEEM, pays("p1", "1", number=SECRET, pin=PIN))
    await town.ask("S1", REDEEM, pays("p1", "1", number=SECRET, pin={"no": PIN}))
    await town.ask("S1", REDEEM, {"number": SECRET, SECRET: 1})
    out, err = capfd.readouterr()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "S1").rglob("*") if path.is_file())
    assert SECRET not in out + err
    assert SECRET.encode() not in kept


async def test_a_till_that_insists_neither_loses_nor_doubles(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies are lost and the line is cut at random; a till repeats, or gives up and reverses."""
    monkeypatch.setattr(policy, "OPEN_NS", 10**6)  # a breaker that nobody has to wait for
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    await town.ask("S1", ACTIVATE, sold())
    paid = 0
    for number in range(25):
        store, amount = chance.choice(("S1", "S2")), chance.randrange(1, 60)
        body = pays(f"p{number}", f"{amount}.00")
        town.central.lose_reply = chance.random() < 0.4
        answered = False
        for _ in range(chance.randrange(1, 3)):
            if chance.random() < 0.2:
                town.central.cut.add(store)
            status, answer = await town.ask(store, REDEEM, body)
            town.central.cut.clear()
            await asyncio.sleep(0.01)
            if status != 503:
                answered = True
                break
        if answered:
            assert status in (200, 409), answer
            paid += amount if status == 200 else 0
            continue
        # The customer takes another payment.
        town.central.lose_reply = chance.random() < 0.4
        for _ in range(50):
            status, answer = await town.ask(store, REVERSE, {"operation_id": f"p{number}"})
            if status == 200:
                break
            await asyncio.sleep(0.01)
        assert status == 200, answer
        status, answer = await town.ask(store, REDEEM, body)
        assert (status, answer["code"]) == (409, "operation_reversed")
    assert await balance(town, "S1") == f"{1000 - paid}.00"
    async with town.central.pool.connection() as connection:
        found = await audit(connection) | await gift_cards.audit(connection)
    assert (found["drift"], found["wrong_gift_cards"]) == (0, 0)

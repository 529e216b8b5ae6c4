"""A personal code works for its customer, once, whichever of two stores it is shown in."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from central.accounts.audit import audit
from central.coupons.issuing import Series, issue_coupons
from central.customers.store import put_customers
from central.database.pool import Pool
from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_reader
from shared.crypto.tags import card_tag
from shared.system import SystemChance, SystemClock
from shared.wire.feed import CustomerEntry
from tests.support.both_ends import Town, a_till_of, a_town
from tests.support.programmes import TEA_AND_POINTS

PROGRAMME: Final[dict[str, Any]] = {
    **TEA_AND_POINTS,
    "promotions": [
        {
            "id": "gift",
            "name": "A hundred off with a coupon of one's own",
            "group": "shelf",
            "when": {"coupon": ["OWN"]},
            "then": [{"do": "discount_receipt", "amount": "100.00"}],
        },
    ],
}
CODE: Final = "ANNA-1"
HAS_CODE: Final = "SELECT 1 FROM coupon WHERE code = ?"
HAS_CUSTOMER: Final = "SELECT 1 FROM customer WHERE customer_id = ?"


@pytest.fixture
async def town(pool: Pool, tmp_path: Path) -> AsyncIterator[Town]:
    """Anna (card 100) is at home in S1 and has the coupon ANNA-1; Boris has card 200."""
    async with a_town(pool, tmp_path, PROGRAMME) as town:
        async with pool.connection() as connection:
            anna = CustomerEntry(customer_id="anna", card_tags=[card_tag("100")])
            boris = CustomerEntry(customer_id="boris", card_tags=[card_tag("200")])
            await put_customers(connection, [(anna, "S1"), (boris, "S2")])
        await issue(town, tmp_path, CODE, "anna", "100")
        await town.until(lambda: works(town, "S1"))
        yield town


async def issue(town: Town, folder: Path, code: str, customer: str, card: str) -> None:
    path = folder / "coupons.jsonl"
    path.write_text(json.dumps({"customer_id": customer, "code": code}) + "\n")
    issued = issue_coupons(
        town.central.pool, SystemClock(), SystemChance(), Series(name="OWN"), path
    )
    async for _ in issued:
        pass
    for store in ("S1", "S2"):
        for query, name in ((HAS_CODE, code), (HAS_CUSTOMER, customer)):
            await town.until(partial(has_heard, town.folders[store], query, name))


async def has_heard(folder: Path, query: str, name: str) -> bool:
    """Whether the feed has brought it; nothing is asked for by that."""
    connection = open_reader(folder / DATABASE_FILE)
    try:
        return connection.execute(query, (name,)).get is not None
    finally:
        connection.close()


def receipt(receipt_id: str, store: str, code: str = CODE, card: str = "100") -> dict[str, Any]:
    return {
        "receipt_id": receipt_id,
        "store": store,
        "register": "R1",
        "time": "2026-11-23T12:00:00+03:00",
        "customer": {"card": card},
        "coupons": [{"code": code}],
        "lines": [{"line": 1, "sku": "tea", "qty": "3", "price": "100.00"}],
    }


async def priced(town: Town, store: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = await town.ask(store, "/v1/receipts/calculate", body)
    assert status == 200, answer
    return answer


async def notices(town: Town, store: str, body: dict[str, Any]) -> list[str]:
    return [each["code"] for each in (await priced(town, store, body))["notices"]]


async def works(town: Town, store: str, code: str = CODE) -> bool:
    return (await priced(town, store, receipt("w", store, code)))["applied"] == ["gift"]


async def sell(town: Town, store: str, body: dict[str, Any]) -> dict[str, Any]:
    """As a till does: calculate, then commit what was told."""
    told = await priced(town, store, body)
    sale = {"receipt": body, "calculation_id": told["calculation_id"]}
    path = f"/v1/receipts/{body['receipt_id']}"
    status, frozen = await town.ask(store, f"{path}/freeze", sale)
    if status == 409:
        assert frozen["code"] == "points_not_promised"
        return await sell(town, store, body)
    assert status == 200, frozen
    status, answer = await town.ask(store, f"{path}/commit", sale)
    assert status == 200, answer
    return answer


async def settled(town: Town) -> dict[str, int]:
    """What the ledger says of the coupon when both stores have told everything."""

    async def told() -> bool:
        depths = [(await town.status(store))["queue_depth"] for store in town.tills]
        return not any(depths)

    await town.until(told)
    async with town.central.pool.connection() as connection:
        cursor = await connection.execute(
            "select kind, sum(balance)::bigint as total from ledger_account"
            " where asset like 'coupon:%' group by kind having sum(balance) <> 0"
        )
        rows = await cursor.fetchall()
        found = await audit(connection)
    assert (found["drift"], found["ledger_sum_centi"], found["negative_accounts"]) == (0, 0, 0)
    return {row["kind"]: row["total"] for row in rows}


async def test_it_works_once_at_home_and_online_is_known_everywhere(town: Town) -> None:
    """Sold, it is spent in the sale's own transaction; no incident, and nothing left anywhere."""
    answer = await sell(town, "S1", receipt("r1", "S1"))
    assert answer["answer"]["applied"] == ["gift"]
    assert answer["incidents"] == []
    assert await notices(town, "S1", receipt("r2", "S1")) == ["coupon_used"]
    assert await settled(town) == {"issued": -1, "redeemed": 1}
    assert await notices(town, "S2", receipt("r3", "S2")) == ["coupon_reserved"]
    again = await sell(town, "S2", receipt("r4", "S2"))
    assert again["answer"]["applied"] == []
    assert await settled(town) == {"issued": -1, "redeemed": 1}


async def test_a_till_may_ask_how_a_code_stands(town: Town) -> None:
    """Before anything is scanned, and by the customer's card."""

    async def asked(store: str, **more: str) -> str:
        query = {"code": CODE} | more
        async with town.tills[store].get("/v1/coupons", params=query) as response:
            assert response.status == 200, await response.text()
            found: str = (await response.json())["state"]
        return found

    assert await asked("S1", card="100") == "valid"
    assert await asked("S1", card="200") == "unknown"
    assert await asked("S1") == "unknown"
    town.central.cut.add("S2")
    assert await asked("S2", card="100") == "reserved"
    await sell(town, "S1", receipt("r1", "S1"))
    assert await asked("S1", card="100") == "used"


async def test_it_is_nobody_elses(town: Town) -> None:
    """Without a card, and with another's, it is unknown, whatever the till says of it."""
    body = receipt("r1", "S1", card="200")
    assert await notices(town, "S1", body) == ["unknown_coupon"]
    body["coupons"] = [{"code": CODE, "state": "valid", "series": "OWN"}]
    assert (await priced(town, "S1", body))["applied"] == []
    del body["customer"]
    assert (await priced(town, "S1", body))["applied"] == []
    # A till may say that it does not count.
    body = receipt("r2", "S1") | {"coupons": [{"code": CODE.lower(), "state": "expired"}]}
    assert (await priced(town, "S1", body))["applied"] == []
    assert await works(town, "S1")


async def test_a_coupon_that_did_nothing_is_kept(town: Town) -> None:
    """Its promotion did not act, so the customer has it still; a return would not change that."""
    body = receipt("r1", "S1")
    body["lines"][0]["flags"] = ["no_discount"]
    answer = await sell(town, "S1", body)
    assert answer["answer"]["applied"] == []
    assert await works(town, "S1")
    assert await settled(town) == {"issued": -1, "escrow": 1}


async def test_a_visited_store_asks_for_it_and_home_gives_it_back(town: Town) -> None:
    """The store at home is online and gives it back within seconds."""
    assert await notices(town, "S2", receipt("r1", "S2")) == ["coupon_reserved"]
    await town.until(lambda: works(town, "S2"))
    assert await notices(town, "S1", receipt("r2", "S1")) == ["coupon_reserved"]
    answer = await sell(town, "S2", receipt("r1", "S2"))
    assert answer["answer"]["applied"] == ["gift"]
    assert answer["incidents"] == []
    assert await settled(town) == {"issued": -1, "redeemed": 1}


async def test_it_works_at_home_without_the_line_and_there_alone(town: Town) -> None:
    """Both stores offline: only who holds the right honours the code."""
    town.central.cut |= {"S1", "S2"}
    told = await asyncio.gather(
        *[sell(town, store, receipt(f"r-{store}", store)) for store in ("S1", "S2")]
    )
    assert [each["answer"]["applied"] for each in told] == [["gift"], []]
    town.central.cut.clear()
    assert await settled(town) == {"issued": -1, "redeemed": 1}


async def test_a_store_that_is_offline_keeps_what_it_holds(town: Town) -> None:
    """Home is cut off and cannot give it back: the visited store does not honour it."""
    town.central.cut.add("S1")
    for _ in range(3):
        assert not await works(town, "S2")
    answer = await sell(town, "S1", receipt("r1", "S1"))
    assert answer["answer"]["applied"] == ["gift"]
    town.central.cut.clear()
    assert await settled(town) == {"issued": -1, "redeemed": 1}
    assert not await works(town, "S2")


async def test_two_stores_at_once_honour_it_once(town: Town) -> None:
    """Online, at the same moment, several tills each; the right may be on its way for all of them.

    Then it is there for who comes next.
    """
    told = await asyncio.gather(
        *[
            sell(town, store, receipt(f"r{n}-{store}", store))
            for n in range(3)
            for store in ("S1", "S2")
        ]
    )
    worked = sum(each["answer"]["applied"] == ["gift"] for each in told)
    assert worked <= 1
    assert [each["incidents"] for each in told] == [[]] * 6
    if not worked:
        await town.until(lambda: works(town, "S2"))
        await sell(town, "S2", receipt("next", "S2"))
    assert await settled(town) == {"issued": -1, "redeemed": 1}


async def test_a_frozen_receipt_holds_it_and_a_cancelled_one_lets_it_go(town: Town) -> None:
    """Another receipt finds it reserved meanwhile, and works with it afterwards."""
    body = receipt("r1", "S1")
    told = await priced(town, "S1", body)
    sale = {"receipt": body, "calculation_id": told["calculation_id"]}
    assert (await town.ask("S1", "/v1/receipts/r1/freeze", sale))[0] == 200
    assert await notices(town, "S1", receipt("r2", "S1")) == ["coupon_reserved"]
    assert (await priced(town, "S1", body))["applied"] == ["gift"]
    other = {"receipt": receipt("r2", "S1"), "to_pay": "200.00"}
    assert (await town.ask("S1", "/v1/receipts/r2/freeze", other))[0] == 200
    assert (await town.ask("S1", "/v1/receipts/r1/cancel", {}))[0] == 200
    assert (await priced(town, "S1", receipt("r3", "S1")))["applied"] == ["gift"]


async def test_a_till_asks_its_hub_and_the_hub_head_office(town: Town) -> None:
    """Visited store: the hub fetches the right, promises it to the till, and records the spend."""
    async with a_till_of(town, "S2") as till:
        await town.until(lambda: works_at(town, till))
        body = receipt("r1", "S2")
        answer = await sell(town, till, body)
        assert answer["answer"]["applied"] == ["gift"]
        assert answer["incidents"] == []
        assert not await works_at(town, till)
        assert not await works(town, "S2")
        assert await settled(town) == {"issued": -1, "redeemed": 1}


async def works_at(town: Town, till: str) -> bool:
    return (await priced(town, till, receipt("w", "S2")))["applied"] == ["gift"]


async def test_only_the_return_of_everything_gives_it_back(town: Town) -> None:
    """As the refund says: a part leaves it used; with the rest it is valid again."""

    async def bring_back(return_id: str, qty: str) -> bool:
        back = {
            "sale": "r1",
            "return": [{"line": 1, "qty": qty}],
            "time": "2026-11-24T12:00:00+03:00",
        }
        status, answer = await town.ask("S1", f"/v1/returns/{return_id}/commit", back)
        assert status == 200, answer
        restored: bool = answer["refund"]["coupons_restored"]
        return restored

    await sell(town, "S1", receipt("r1", "S1"))
    assert not await bring_back("b1", "1")
    assert await notices(town, "S1", receipt("r2", "S1")) == ["coupon_used"]
    assert await settled(town) == {"issued": -1, "redeemed": 1}
    assert await bring_back("b2", "2")
    assert await bring_back("b2", "2")
    await town.until(lambda: works(town, "S1"))
    assert await settled(town) == {"issued": -1, "escrow": 1}
    await sell(town, "S1", receipt("r3", "S1"))
    assert await settled(town) == {"issued": -1, "redeemed": 1}


async def test_who_is_at_home_nowhere_is_lent_it_where_it_is_shown(
    town: Town, tmp_path: Path
) -> None:
    """Free at head office, it is here before the first answer."""
    async with town.central.pool.connection() as connection:
        clara = CustomerEntry(customer_id="clara", card_tags=[card_tag("300")])
        await put_customers(connection, [(clara, None)])
    await issue(town, tmp_path, "CLARA-1", "clara", "300")
    answer = await sell(town, "S2", receipt("r1", "S2", "CLARA-1", "300"))
    assert answer["answer"]["applied"] == ["gift"]
    assert answer["incidents"] == []
    assert await settled(town) == {"issued": -2, "escrow": 1, "redeemed": 1}


async def test_whatever_happens_each_code_works_at_most_once(town: Town, tmp_path: Path) -> None:
    """Two stores, five codes, lines cut and mended at random: no code twice, no store short."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    codes = [CODE, *(f"ANNA-{n}" for n in range(2, 6))]
    for code in codes[1:]:
        await issue(town, tmp_path, code, "anna", "100")
    worked: list[str] = []
    for number in range(30):
        store = chance.choice(("S1", "S2"))
        if chance.random() < 0.5:
            town.central.cut ^= {chance.choice(("S1", "S2"))}
        code = chance.choice(codes)
        body = receipt(f"r{number}", store, code)
        if chance.random() < 0.2:
            told = await priced(town, store, body)
            sale = {"receipt": body, "calculation_id": told["calculation_id"]}
            await town.ask(store, f"/v1/receipts/r{number}/freeze", sale)
            assert (await town.ask(store, f"/v1/receipts/r{number}/cancel", {}))[0] == 200
            continue
        answer = await sell(town, store, body)
        assert answer["incidents"] == []
        worked += [code] if answer["answer"]["applied"] else []
    assert sorted(worked) == sorted(set(worked))
    town.central.cut.clear()
    ledger = await settled(town)
    assert ledger.get("redeemed", 0) == len(worked)
    assert "store_shortage" not in ledger
    for code in set(codes) - set(worked):
        await town.until(partial(works, town, "S2", code))

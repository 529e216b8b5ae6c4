"""Goods of another shop's sale: two shops' agents, head office between them, links that are cut."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool, rows_of
from central.receipts.copying import unpacked
from edge_agent.config import CREDENTIAL_FILE
from shared.crypto.tags import card_tag
from shared.wire.facts import ReceiptReturned
from shared.wire.feed import CustomerEntry
from tests.support.both_ends import Town, a_till_of, a_town
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import TIME, till_receipt

CALCULATE = "/v1/returns/calculate"
LINES = [
    {"line": 1, "sku": "tea", "qty": "3", "price": "33.33"},
    {"line": 2, "sku": "cheese", "qty": "2", "price": "50.00", "weighed": True},
]


@pytest.fixture
async def town(pool: Pool, tmp_path: Path) -> AsyncIterator[Town]:
    """Two shops and a member whom both know."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS) as town:
        async with pool.connection() as connection:
            entry = CustomerEntry(customer_id="c1", card_tags=[card_tag("100")])
            await put_customers(connection, [(entry, None)])

        async def known(store: str) -> bool:
            async with town.tills[store].get("/v1/customers", params={"card": "100"}) as response:
                return response.status == 200

        for store in ("S1", "S2"):
            await town.until(lambda store=store: known(store))
        yield town


async def ok(town: Town, store: str, path: str, body: Any) -> dict[str, Any]:
    status, answer = await town.ask(store, path, body)
    assert status == 200, answer
    return answer


async def sell(town: Town, store: str = "S1", receipt_id: str = "r1") -> dict[str, Any]:
    """A sale that head office has heard of."""
    receipt = till_receipt(
        receipt_id, store=store.partition("-")[0], customer={"card": "100"}, lines=LINES
    )
    sale = await ok(town, store, f"/v1/receipts/{receipt_id}/commit", {"receipt": receipt})
    await until_told(town, store)
    return sale


async def until_told(town: Town, *stores: str) -> None:
    async def told() -> bool:
        return not any([(await town.status(store))["queue_depth"] for store in stores])

    await town.until(told)


def back(*lines: tuple[int, str], sale: str = "r1", **more: Any) -> dict[str, Any]:
    return {"sale": sale, "return": [{"line": n, "qty": qty} for n, qty in lines], **more}


async def give_back(town: Town, store: str, return_id: str, body: dict[str, Any]) -> Any:
    return await ok(town, store, f"/v1/returns/{return_id}/commit", {**body, "time": TIME})


async def incidents(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        rows = await rows_of(connection, "select code from receipt_incident order by code")
    return [row["code"] for row in rows]


def minor(text: str) -> int:
    return int(text.replace(".", ""))


async def test_parts_of_one_sale_come_back_in_any_shops_and_add_up(pool: Pool, town: Town) -> None:
    """Split and shuffled over two shops and a till: no kopeck and no point more or less."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    async with a_till_of(town, "S2") as till:
        for number in range(4):
            sale = await sell(town, receipt_id=f"r{number}")
            parts = [(1, "1")] * 3 + [(2, qty) for qty in ("0.5", "0.75", "0.75")]
            chance.shuffle(parts)
            money = points = 0
            for index, part in enumerate(parts):
                store = chance.choice(("S1", "S2", till))
                body = back(part, sale=f"r{number}", sale_store="S1")
                due = await ok(town, store, CALCULATE, body)
                given = await give_back(town, store, f"{number}-{index}", body)
                assert given["refund"] == due
                assert given["incidents"] == []
                money += minor(due["money"])
                points += sum(minor(each["points"]) for each in due["points_taken"])
            assert due["full"]
            assert money == minor(sale["answer"]["total"]["to_pay"])
            assert points == sum(minor(each["points"]) for each in sale["answer"]["accrued"])
        await until_told(town, "S1", "S2", till)
    assert await incidents(pool) == []
    async with pool.connection() as connection:
        assert (await audit(connection))["drift"] == 0
        rows = await rows_of(connection, "select count(*) as n from return_claim")
    assert rows[0]["n"] == 0


async def test_of_two_shops_that_take_the_same_piece_at_once_one_gets_it(
    pool: Pool, town: Town
) -> None:
    """Nobody has heard of the other's record yet: head office decides."""
    await sell(town)
    body = back((1, "3"), (2, "2"), sale_store="S1")
    answers = await asyncio.gather(
        *(give_back(town, store, f"b-{store}", body) for store in ("S1", "S2"))
    )
    money = sorted(minor(each["refund"]["money"]) for each in answers)
    assert (money[0], money[1] > 0) == (0, True)
    codes = sorted(each["code"] for answer in answers for each in answer["incidents"])
    assert codes == ["returned_too_much"] * 2
    await until_told(town, "S1", "S2")
    assert await incidents(pool) == codes
    status, problem = await town.ask("S2", CALCULATE, back((1, "1"), sale_store="S1"))
    assert (status, problem["code"]) == (400, "too_much")


async def test_repeat_gets_the_first_answer_and_takes_nothing_more(town: Town) -> None:
    """Also where the first answer was lost: the goods were set aside for that return."""
    await sell(town)
    body = back((1, "2"), sale_store="S1")
    first = await give_back(town, "S2", "b1", body)
    assert await give_back(town, "S2", "b1", body) == first
    assert await give_back(town, "S2", "b1", body) == first
    assert (await ok(town, "S1", CALCULATE, back((1, "1"))))["lines"][0]["qty"] == "1"


async def test_shops_that_cannot_ask_record_and_head_office_finds_it(
    pool: Pool, town: Town
) -> None:
    """Both were cut off: both returns are facts, and the one that came last is an incident."""
    await sell(town)
    await ok(town, "S2", CALCULATE, back((1, "3"), sale_store="S1"))  # then the line breaks
    town.central.cut |= {"S1", "S2"}
    here = await give_back(town, "S1", "b1", back((1, "3")))
    assert here["incidents"] == []
    there = await give_back(town, "S2", "b2", back((1, "3"), sale_store="S1"))
    assert there["refund"]["money"] == here["refund"]["money"]
    assert [each["code"] for each in there["incidents"]] == ["return_unconfirmed"]
    town.central.cut.clear()
    await until_told(town, "S1", "S2")
    assert await incidents(pool) == ["return_unconfirmed", "returned_too_much"]
    status, problem = await town.ask("S1", CALCULATE, back((1, "1")))
    assert (status, problem["code"]) == (400, "too_much")


async def test_whatever_is_cut_no_piece_comes_back_twice_unseen(pool: Pool, town: Town) -> None:
    """Without the records that head office names, no more came back than was sold; and the books.

    Shops ask, record, repeat and are cut off at random; every return that was made is there.
    """
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    made = 0
    for number in range(5):
        town.central.cut.clear()
        await sell(town, receipt_id=f"r{number}")
        for _ in range(6):
            town.central.cut ^= {store for store in ("S1", "S2") if chance.random() < 0.4}
            store = chance.choice(("S1", "S2"))
            part = (1, str(chance.randint(1, 3))), (2, chance.choice(("0.5", "1.25")))
            body = back(*chance.sample(part, chance.randint(1, 2)), sale=f"r{number}")
            body["sale_store"] = "S1"
            if chance.random() < 0.5:
                await town.ask(store, CALCULATE, body)
            made += 1
            first = await give_back(town, store, f"b{made}", body)
            if chance.random() < 0.3:
                assert await give_back(town, store, f"b{made}", body) == first
    town.central.cut.clear()
    await until_told(town, "S1", "S2")
    async with pool.connection() as connection:
        rows = await rows_of(
            connection,
            """select r.sale_uid, r.body, exists (
                select from receipt_incident i
                where i.record_uid = r.record_uid and i.detail like '%all shops together%'
            ) as named from receipt_return r""",
        )
        [claims] = await rows_of(connection, "select count(*) as n from return_claim")
        assert (await audit(connection))["drift"] == 0
    assert len(rows) == made
    assert claims["n"] == 0
    came: dict[tuple[bytes, int], int] = {}
    for row in rows:
        assert row["sale_uid"] is not None, "whose goods they were is known in the end"
        fact = msgspec.msgpack.decode(unpacked(row["body"]), type=ReceiptReturned)
        for line in fact.refund.lines if not row["named"] else ():
            key = bytes(row["sale_uid"]), line.line
            came[key] = came.get(key, 0) + line.quantity_milli
    assert max(milli for (_, line), milli in came.items() if line == 1) <= 3_000
    assert max(milli for (_, line), milli in came.items() if line == 2) <= 2_000


async def test_sale_of_which_nothing_is_known_is_recorded_as_told(pool: Pool, town: Town) -> None:
    """Nobody answers: nothing is promised beforehand, and a return that was made is kept."""
    await sell(town)
    town.central.cut.add("S2")
    body = back((1, "1"), sale_store="S1")
    status, problem = await town.ask("S2", CALCULATE, body)
    assert (status, problem["code"]) == (503, "sales_offline")
    given = await give_back(town, "S2", "b1", {**body, "money": "29.99"})
    assert given["refund"]["money"] == "29.99"
    assert given["refund"]["points_taken"] == []
    assert [each["code"] for each in given["incidents"]] == ["sale_unknown"]
    town.central.cut.clear()
    await until_told(town, "S2")
    # Head office knows whose goods they were, and counts them.
    due = await ok(town, "S1", CALCULATE, back((1, "2")))
    assert due["returned"] == [{"line": 1, "qty": "3"}]
    status, problem = await town.ask("S1", CALCULATE, back((1, "3")))
    assert (status, problem["code"]) == (400, "too_much")


async def test_another_shops_sale_is_shown_at_a_till(town: Town) -> None:
    """What was sold and what of it came back, also through the hub of the till's shop."""
    await sell(town)
    await give_back(town, "S2", "b1", back((1, "1"), sale_store="S1"))
    async with a_till_of(town, "S2") as till:
        asked = till, "/v1/sales/r1?store=S1"
        async with town.tills[asked[0]].get(asked[1]) as response:
            assert response.status == 200
            found = await response.json()
        assert [(line["sku"], line["qty"], line["returned"]) for line in found["lines"]] == [
            ("tea", "3", "1"),
            ("cheese", "2", "0"),
        ]
        assert (found["store"], found["confirmed"]) == ("S1", True)
        async with town.tills[till].get("/v1/sales/r9?store=S1") as response:
            assert (response.status, (await response.json())["code"]) == (404, "sale_not_here")


async def test_till_without_a_line_of_its_own_asks_through_its_hub(town: Town) -> None:
    """Goods are set aside in the till's name; without the hub's line nobody can be asked."""
    await sell(town)
    body = back((1, "2"), sale_store="S1")
    async with a_till_of(town, "S2") as till:
        credential = (town.folders[till] / CREDENTIAL_FILE).read_text()
        town.central.credentials["Bearer " + credential] = till
        town.central.cut.add(till)
        given = await give_back(town, till, "b1", body)
        assert (given["incidents"], given["refund"]["lines"][0]["qty"]) == ([], "2")
        status, problem = await town.ask("S1", CALCULATE, back((1, "2")))
        assert (status, problem["code"]) == (400, "too_much")
        town.central.cut.add("S2")
        status, problem = await town.ask(till, CALCULATE, back((1, "1"), sale_store="S3"))
        assert (status, problem["code"]) == (503, "sales_offline")
        town.central.cut.clear()
        await until_told(town, till)


async def test_two_tills_of_a_shop_may_use_one_receipt_id(town: Town) -> None:
    """Then the register tells them apart."""
    async with a_till_of(town, "S1") as till:
        for agent, register in (("S1", "R1"), (till, "R2")):
            receipt = till_receipt("r1", register=register, lines=LINES)
            await ok(town, agent, "/v1/receipts/r1/commit", {"receipt": receipt})
            await until_told(town, agent)
    body = back((1, "1"), sale_store="S1")
    status, problem = await town.ask("S2", CALCULATE, body)
    assert (status, problem["code"]) == (409, "sale_ambiguous")
    due = await ok(town, "S2", CALCULATE, {**body, "sale_register": "R2"})
    assert due["lines"][0]["qty"] == "1"

"""Goods without a receipt at the till: what is given, what bounds it, and what is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.config import DATABASE_FILE, Config, ReturnSettings
from edge_agent.database.connection import open_reader
from edge_agent.outbox.store import kept_after, streams_of
from shared.wire.facts import FactKind, ReceiptReturned
from shared.wire.stream import Record
from tests.integration.edge_agent.test_till_api import Till, a_till, ask, refused
from tests.support.shop import TIME, a_bundle, make_shop, till_receipt

PATH = "/v1/returns-without-receipt"
CALCULATE = f"{PATH}/calculate"
SENIOR = {"id": "7", "rights": ["return_without_receipt"]}
PROGRAMME = [
    {
        "id": "cards",
        "when": {"customer": {"identified": True}},
        "then": [{"do": "discount_goods", "filter": {"sku": ["tea"]}, "percent": "10"}],
    },
    {
        "id": "coupon",
        "when": {"coupon": ["FOOD"]},
        "then": [{"do": "discount_goods", "filter": {"sku": ["tea"]}, "percent": "30"}],
    },
    {"id": "earn", "then": [{"do": "accrue_points", "account": "main", "percent": "5"}]},
]


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1, groups=[{"id": "main", "resolve": "all"}], promotions=PROGRAMME)


@pytest.fixture
def shop(tmp_path: Path, bundle: bytes) -> Path:
    make_shop(tmp_path / "shop", bundle=bundle, returns=ReturnSettings(limit="1000.00"))
    return tmp_path / "shop"


@pytest.fixture
async def till(shop: Path) -> AsyncIterator[Till]:
    async with a_till(shop) as client:
        yield client


def goods(*lines: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    told = [
        {"line": number, "sku": sku, "qty": qty, "price": price}
        for number, (sku, qty, price) in enumerate(lines, start=1)
    ]
    return {"goods": told, "cashier": SENIOR, **more}


async def test_card_holders_price_is_given_and_no_points(till: Till) -> None:
    """Nothing was sold here yet, so the price with a card stands."""
    due = await ask(till, CALCULATE, goods(("tea", "2", "100.00"), ("salt", "1", "9.99")))
    assert [(each["money"], each["basis"]) for each in due["goods"]] == [
        ("180.00", "card"),
        ("9.99", "card"),
    ]
    assert due["money"] == "189.99"
    made = goods(("tea", "2", "100.00"), ("salt", "1", "9.99"), time=TIME, money="189.99")
    given = await ask(till, f"{PATH}/b1/commit", made)
    assert (given["refund"]["money"], given["incidents"], given["sale"]) == ("189.99", [], "")
    assert given["goods"] == due["goods"]
    assert not given["refund"]["points_taken"] + given["refund"]["points_returned"]


async def test_lowest_price_of_late_is_given_where_it_is_lower(till: Till) -> None:
    """Somebody paid 70.00 with a coupon; whoever brings a piece may be that buyer."""
    line = {"line": 1, "sku": "tea", "qty": "1", "price": "100.00"}
    for number, coupons in enumerate(([], [{"code": "GOOD"}], [])):
        receipt = till_receipt(f"r{number}", lines=[line], coupons=coupons)
        await ask(till, f"/v1/receipts/r{number}/commit", {"receipt": receipt})
    due = await ask(till, CALCULATE, goods(("tea", "3", "100.00")))
    assert (due["money"], due["goods"][0]["basis"]) == ("210.00", "lowest")
    other = await ask(till, CALCULATE, goods(("te", "1", "100.00")))
    assert (other["money"], other["goods"][0]["basis"]) == ("100.00", "card")


async def test_card_price_alone_where_it_is_set_so(tmp_path: Path, bundle: bytes) -> None:
    """Then no sale is looked at."""
    settings = ReturnSettings(limit="1000.00", price="card", right="senior")
    make_shop(tmp_path / "shop", bundle=bundle, returns=settings)
    assert Config.load(tmp_path / "shop").returns == settings
    async with a_till(tmp_path / "shop") as till:
        line = {"line": 1, "sku": "tea", "qty": "1", "price": "50.00"}
        receipt = till_receipt("r1", lines=[line])
        await ask(till, "/v1/receipts/r1/commit", {"receipt": receipt})
        body = goods(("tea", "1", "100.00"), cashier={"id": "7", "rights": ["senior"]})
        assert (await ask(till, CALCULATE, body))["money"] == "90.00"


async def test_right_and_limit_refuse_before_and_are_incidents_after(till: Till) -> None:
    """Goods that lie on the counter are recorded, with what was not allowed about them."""
    dear = (("tea", "12", "100.00"),)
    for cashier in (None, {"id": "8"}, {"id": "8", "rights": ["sell"]}):
        body = goods(("tea", "1", "100.00"), cashier=cashier)
        async with till.post(CALCULATE, json=body) as response:
            assert await refused(response) == (403, "no_right")
    async with till.post(CALCULATE, json=goods(*dear)) as response:
        assert await refused(response) == (400, "over_limit")
    made = goods(*dear, time=TIME, money="1000.00", cashier={"id": "8"})
    given = await ask(till, f"{PATH}/b1/commit", made)
    codes = [each["code"] for each in given["incidents"]]
    assert codes == ["no_right", "over_limit", "money_differs"]


async def test_without_a_limit_nothing_is_given(tmp_path: Path, bundle: bytes) -> None:
    """A chain that has set nothing has allowed nothing."""
    make_shop(tmp_path / "shop", bundle=bundle)
    async with (
        a_till(tmp_path / "shop") as till,
        till.post(CALCULATE, json=goods(("tea", "1", "100.00"))) as response,
    ):
        assert await refused(response) == (400, "over_limit")


async def test_repeat_gives_the_first_answer_and_the_record_says_all(
    shop: Path, till: Till
) -> None:
    """Also when prices have moved meanwhile; a change under the same id is refused."""
    body = goods(("tea", "1", "100.00"), time=TIME, register="R2")
    first = await ask(till, f"{PATH}/b1/commit", body)
    line = {"line": 1, "sku": "tea", "qty": "1", "price": "10.00"}
    receipt = till_receipt("r1", lines=[line])
    await ask(till, "/v1/receipts/r1/commit", {"receipt": receipt})
    assert await ask(till, f"{PATH}/b1/commit", body) == first
    async with till.get("/v1/returns/b1") as response:
        assert await response.json() == first
    async with till.post(f"{PATH}/b1/commit", json={**body, "register": "R3"}) as response:
        assert await refused(response) == (409, "return_changed")
    connection = open_reader(shop / DATABASE_FILE)
    try:
        records = [
            msgspec.msgpack.decode(kept.record, type=Record)
            for head in streams_of(connection)
            for kept in kept_after(connection, head.stream_id, head.pruned_seq, 10)
        ]
    finally:
        connection.close()
    [record] = [each for each in records if each.kind == FactKind.RECEIPT_RETURNED]
    fact = msgspec.msgpack.decode(record.body, type=ReceiptReturned)
    assert (fact.sale_uid, fact.sale_receipt_id, fact.customer_id) == (None, "", None)
    assert (fact.cashier_id, fact.register) == ("7", "R2")
    [line_back] = fact.goods
    assert (line_back.sku, line_back.price_minor, line_back.money_minor, line_back.basis) == (
        "tea",
        100_00,
        90_00,
        "card",
    )


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "missing_key", ""),
        (goods(), "goods", "/goods"),
        (goods(("tea", "0", "1.00")), "receipt", "/goods/0/qty"),
        (
            goods(("tea", "1", "1.00"), cashier={"id": "7", "rights": "all"}),
            "rights",
            "/cashier/rights",
        ),
        (goods(("tea", "1", "1.00"), sale="r1"), "unknown_key", "/sale"),
    ],
)
async def test_faults_are_told_with_their_place(
    till: Till, body: dict[str, Any], code: str, pointer: str
) -> None:
    async with till.post(CALCULATE, json=body) as response:
        assert response.status == 400
        problem = await response.json()
    assert (problem["code"], problem["pointer"]) == (code, pointer)


async def test_goods_are_taken_back_before_any_programme_came(tmp_path: Path) -> None:
    """At the shelf price: nobody can say better."""
    make_shop(tmp_path / "shop", bundle=None, returns=ReturnSettings(limit="1000.00"))
    async with a_till(tmp_path / "shop") as till:
        made = goods(("tea", "2", "33.33"), time=TIME)
        given = await ask(till, f"{PATH}/b1/commit", made)
    assert [(each["money"], each["basis"]) for each in given["goods"]] == [("66.66", "shelf")]

"""Goods that come back, as a till meets it: a real server and database, central out of reach."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_reader
from edge_agent.outbox.store import kept_after, streams_of
from shared.wire.facts import FactKind
from shared.wire.stream import Record
from tests.integration.edge_agent.test_till_api import Till, a_till, ask, refused
from tests.support.shop import TIME, a_bundle, make_shop, till_receipt

CALCULATE = "/v1/returns/calculate"
LINES = [
    {"line": 1, "sku": "tea", "qty": "3", "price": "33.33"},
    {"line": 2, "sku": "cheese", "qty": "2", "price": "50.00", "weighed": True},
]


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1)


@pytest.fixture
def shop(tmp_path: Path, bundle: bytes) -> Path:
    make_shop(tmp_path / "shop", bundle=bundle)
    return tmp_path / "shop"


@pytest.fixture
async def till(shop: Path) -> AsyncIterator[Till]:
    async with a_till(shop) as client:
        yield client


async def sell(till: Till, receipt_id: str = "r1") -> dict[str, Any]:
    """A member buys three teas and two kilograms of cheese."""
    receipt = till_receipt(receipt_id, customer={"card": "100"}, lines=LINES)
    return await ask(till, f"/v1/receipts/{receipt_id}/commit", {"receipt": receipt})


def a_return(*lines: tuple[int, str], sale: str = "r1", **more: Any) -> dict[str, Any]:
    return {"sale": sale, "return": [{"line": n, "qty": qty} for n, qty in lines], **more}


def minor(text: str) -> int:
    return int(text.replace(".", ""))


async def test_parts_of_a_sale_come_back_and_add_up(till: Till) -> None:
    """Any returns in any order give back what was paid, take what was earned: no kopeck more."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    for number in range(12):
        sale = await sell(till, f"r{number}")
        parts = [(1, "1")] * 3 + [(2, qty) for qty in ("0.5", "0.75", "0.75")]
        chance.shuffle(parts)
        money = points = 0
        while parts:
            size = chance.randint(1, 2)
            taken: dict[int, int] = {}
            for line, qty in parts[:size]:
                taken[line] = taken.get(line, 0) + round(float(qty) * 1000)
            parts = parts[size:]
            wanted = a_return(
                *((line, f"{milli / 1000:.3f}") for line, milli in taken.items()), sale=f"r{number}"
            )
            due = await ask(till, CALCULATE, wanted)
            made = {**wanted, "time": TIME, "money": due["money"]}
            given = await ask(till, f"/v1/returns/{number}-{len(parts)}/commit", made)
            assert given["refund"] == due
            assert given["incidents"] == []
            money += minor(due["money"])
            points += sum(minor(each["points"]) for each in due["points_taken"])
        assert due["full"]
        assert money == minor(sale["answer"]["total"]["to_pay"])
        assert points == sum(minor(each["points"]) for each in sale["answer"]["accrued"])


async def test_repeat_gives_the_first_answer_and_a_change_is_refused(till: Till) -> None:
    """A till that lost the answer asks again, and nobody is paid twice."""
    await sell(till)
    body = a_return((1, "1"), time=TIME)
    first = await ask(till, "/v1/returns/b1/commit", body)
    assert await ask(till, "/v1/returns/b1/commit", body) == first
    async with till.post("/v1/returns/b1/commit", json=a_return((1, "2"), time=TIME)) as response:
        assert await refused(response) == (409, "return_changed")
    async with till.get("/v1/returns/b1") as response:
        assert await response.json() == first
    assert (await ask(till, CALCULATE, a_return((1, "2"))))["full"] is False


async def test_more_than_was_sold_is_refused_before_and_cut_after(till: Till) -> None:
    """Asked beforehand the till hears of it; goods that are back are recorded as what was left."""
    await sell(till)
    await ask(till, "/v1/returns/b1/commit", a_return((1, "2"), time=TIME))
    async with till.post(CALCULATE, json=a_return((1, "2"))) as response:
        assert await refused(response) == (400, "too_much")
    made = a_return((1, "2"), time=TIME, money="66.66")
    given = await ask(till, "/v1/returns/b2/commit", made)
    assert given["refund"]["lines"][0]["qty"] == "1"
    assert [each["code"] for each in given["incidents"]] == ["returned_too_much", "money_differs"]
    nothing = await ask(till, "/v1/returns/b3/commit", a_return((1, "1"), time=TIME))
    assert (nothing["refund"]["lines"], nothing["refund"]["money"]) == ([], "0.00")


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "pointer"),
    [
        (CALCULATE, a_return((1, "1"), sale="r9"), 404, "sale_not_here", "/sale"),
        (CALCULATE, a_return((7, "1")), 400, "unknown_line", "/return/0/qty"),
        (CALCULATE, a_return((1, "0.5")), 400, "part_of_piece", "/return/0/qty"),
        (CALCULATE, a_return(), 400, "empty_return", "/return"),
        (CALCULATE, {"sale": "r1"}, 400, "missing_key", ""),
        ("/v1/returns/b1/commit", a_return((1, "1")), 400, "missing_key", ""),
        ("/v1/returns/b1/commit", a_return((1, "1"), time="today"), 400, "time", "/time"),
        ("/v1/returns/b1/commit", a_return(time=TIME), 400, "empty_return", "/return"),
        (
            "/v1/returns/b1/commit",
            a_return((7, "1"), time=TIME),
            400,
            "unknown_line",
            "/return/0/qty",
        ),
    ],
)
async def test_faults_are_told_with_their_place_and_change_nothing(
    till: Till, path: str, body: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    await sell(till)
    async with till.post(path, json=body) as response:
        assert await refused(response) == (status, code)
        assert (await response.json())["pointer"] == pointer
    assert (await ask(till, CALCULATE, a_return((1, "3"))))["lines"][0]["qty"] == "3"
    async with till.get("/v1/returns/b1") as response:
        assert (await refused(response))[0] == 404


async def test_return_is_a_record_and_comes_back_from_the_journal(
    tmp_path: Path, bundle: bytes
) -> None:
    """The second journal knows what was given back, so it is not given again."""
    make_shop(tmp_path / "shop", bundle=bundle, journal_folder=str(tmp_path / "usb"))
    shop = tmp_path / "shop"
    async with a_till(shop) as till:
        await sell(till)
        given = await ask(till, "/v1/returns/b1/commit", a_return((1, "2"), time=TIME))
    assert kinds(shop) == [FactKind.RECEIPT_COMMITTED, FactKind.RECEIPT_RETURNED]
    for part in ("", "-wal", "-shm"):
        (shop / f"{DATABASE_FILE}{part}").unlink(missing_ok=True)
    async with a_till(shop) as till:
        async with till.get("/v1/returns/b1") as response:
            assert await response.json() == given
        async with till.post(CALCULATE, json=a_return((1, "2"))) as response:
            assert await refused(response) == (400, "too_much")


def kinds(shop: Path) -> list[str]:
    """What waits on the lane of receipts, in order."""
    connection: apsw.Connection = open_reader(shop / DATABASE_FILE)
    try:
        return [
            msgspec.msgpack.decode(kept.record, type=Record).kind
            for head in streams_of(connection)
            for kept in kept_after(connection, head.stream_id, head.pruned_seq, 10)
        ]
    finally:
        connection.close()

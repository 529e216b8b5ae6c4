"""The agent as a till meets it: a real server, a real database, central out of reach."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.__main__ import main
from edge_agent.app import make_app
from edge_agent.config import Config
from edge_agent.wiring.ground import Machine
from shared.crypto.tags import card_tag
from shared.limits import TILL_BODY_BYTES_MAX
from shared.system import SystemChance, SystemClock
from tests.support.shop import HEADERS, a_bundle, make_shop, till_receipt

Till = TestClient[Any, Any]
CALCULATE = "/v1/receipts/calculate"


@asynccontextmanager
async def a_till(folder: Path) -> AsyncIterator[Till]:
    """A till at the agent of this folder; the agent stops with the block."""
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    async with TestClient(TestServer(app), headers=HEADERS) as client:
        yield client


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


async def ask(till: Till, path: str, body: Any) -> dict[str, Any]:
    async with till.post(path, json=body) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def refused(response: aiohttp.ClientResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    problem = await response.json()
    assert problem["status"] == response.status
    assert {"title", "detail", "pointer", "hint"} <= set(problem)
    assert "`" not in problem["title"]
    return response.status, problem["code"]


async def test_receipt_is_completed_and_priced(till: Till) -> None:
    """Goods, coupon and member are looked up; the answer names its calculation."""
    receipt = till_receipt("r1", customer={"card": "100"}, coupons=[{"code": "good"}])
    answer = await ask(till, CALCULATE, receipt)
    assert answer["total"]["to_pay"] == "175.00"
    assert answer["applied"] == ["tea", "food", "back"]
    assert answer["accrued"][0]["points"] == "5.25"
    assert answer["bundle_version"] == 1
    assert answer["calculation_id"].startswith("1-")
    assert answer["trace"] == []


async def test_trace_is_given_on_request_and_not_recorded(till: Till) -> None:
    """Asking why changes neither the price nor what is recorded."""
    receipt = till_receipt("r1", coupons=[{"code": "OLD"}])
    plain = await ask(till, CALCULATE, receipt)
    traced = await ask(till, f"{CALCULATE}?trace=1", receipt)
    assert any("expired" in entry["seen"] for entry in traced["trace"])
    assert traced["total"] == plain["total"]
    assert traced["calculation_id"] == plain["calculation_id"]
    body = {"receipt": receipt, "calculation_id": traced["calculation_id"], "to_pay": "180.00"}
    assert (await ask(till, "/v1/receipts/r1/commit", body))["answer"]["trace"] == []


async def test_hints_are_given_on_request_and_not_recorded(tmp_path: Path) -> None:
    """What goods a promotion still lacks is told at the till that asks, and changes no price."""
    fourth = {"id": "fourth", "then": [{"do": "nth", "every": 4, "filter": {"sku": ["tea"]}}]}
    make_shop(tmp_path / "shop", bundle=a_bundle(1, promotions=[fourth]))
    lines = [{"line": 1, "sku": "tea", "qty": "3", "price": "100.00"}]
    async with a_till(tmp_path / "shop") as till:
        plain = await ask(till, CALCULATE, till_receipt("r1", lines=lines))
        hinted = await ask(till, f"{CALCULATE}?hints=1", till_receipt("r1", lines=lines))
        assert plain["hints"] == []
        [hint] = hinted["hints"]
        assert (hint["promotion"], hint["missing"]) == (
            "fourth",
            {"qty": "1", "filter": {"sku": ["tea"]}},
        )
        assert hinted["total"] == plain["total"]
        assert hinted["calculation_id"] == plain["calculation_id"]
        body = {"receipt": till_receipt("r1", lines=lines), "to_pay": plain["total"]["to_pay"]}
        body["calculation_id"] = hinted["calculation_id"]
        assert (await ask(till, "/v1/receipts/r1/commit", body))["answer"]["hints"] == []


async def test_commit_records_what_the_till_was_told_once(till: Till) -> None:
    """A repeated commit is the first one; the receipt can be asked for afterwards."""
    receipt = till_receipt("r1", customer={"card": "100"})
    priced = await ask(till, CALCULATE, receipt)
    body = {
        "receipt": receipt,
        "calculation_id": priced["calculation_id"],
        "to_pay": priced["total"]["to_pay"],
    }
    first = await ask(till, "/v1/receipts/r1/commit", body)
    again = await ask(till, "/v1/receipts/r1/commit", {**body, "calculation_id": None})
    assert first == again
    assert first["incidents"] == []
    assert first["answer"]["total"] == priced["total"]
    async with till.get("/v1/receipts/r1") as response:
        assert await response.json() == {**first, "state": "committed"}


async def test_changed_repeat_is_refused(till: Till) -> None:
    """Another sale under the same id is a conflict, not a second sale."""
    await ask(till, "/v1/receipts/r1/commit", {"receipt": till_receipt("r1")})
    other = till_receipt("r1", register="R2")
    async with till.post("/v1/receipts/r1/commit", json={"receipt": other}) as response:
        assert await refused(response) == (409, "receipt_changed")


async def test_sale_survives_a_restart(shop: Path) -> None:
    """What was answered is there after a restart; a lost calculation is made again."""
    receipt = till_receipt("r1", customer={"card": "100"})
    async with a_till(shop) as till:
        priced = await ask(till, CALCULATE, receipt)
    body = {"receipt": receipt, "calculation_id": priced["calculation_id"], "to_pay": "180.00"}
    async with a_till(shop) as till:
        first = await ask(till, "/v1/receipts/r1/commit", body)
        assert first["answer"]["total"] == priced["total"]
    async with a_till(shop) as till:
        assert await ask(till, "/v1/receipts/r1/commit", body) == first
    assert main(["verify", "--folder", str(shop)]) == 0


async def test_price_difference_is_an_incident_not_a_refusal(till: Till) -> None:
    """The till took another sum: the sale stands and says so."""
    body = {"receipt": till_receipt("r1"), "calculation_id": "1-lost", "to_pay": "170.00"}
    reply = await ask(till, "/v1/receipts/r1/commit", body)
    assert [incident["code"] for incident in reply["incidents"]] == ["to_pay_differs"]


async def test_points_are_spent_within_the_lease(till: Till) -> None:
    """Of fifty points thirty may be spent here, once; the second sale finds none."""
    spend = {"account": "main", "points": "max"}
    for receipt_id, points in (("r1", "30.00"), ("r2", "0.00")):
        receipt = till_receipt(receipt_id, customer={"card": "100"}, spend=spend)
        reply = await ask(till, f"/v1/receipts/{receipt_id}/commit", {"receipt": receipt})
        assert reply["answer"]["spent"][0]["points"] == points
        assert reply["incidents"] == []


async def test_frozen_points_are_one_receipts_until_it_is_sold_or_cancelled(till: Till) -> None:
    """The second receipt finds none; a cancel frees them; a freeze is repeated freely."""
    bodies: dict[str, Any] = {}
    for receipt_id, points in (("r1", "20.00"), ("r2", "20.00"), ("r3", "10.00")):
        receipt = till_receipt(
            receipt_id, customer={"card": "100"}, spend={"account": "main", "points": points}
        )
        priced = await ask(till, CALCULATE, receipt)
        bodies[receipt_id] = {"receipt": receipt, "calculation_id": priced["calculation_id"]}
    for _ in range(2):
        frozen = await ask(till, "/v1/receipts/r1/freeze", bodies["r1"])
        assert frozen["spent"][0]["points"] == "20.00"
    async with till.post("/v1/receipts/r2/freeze", json=bodies["r2"]) as response:
        assert await refused(response) == (409, "points_not_promised")
    await ask(till, "/v1/receipts/r3/freeze", bodies["r3"])
    again = await ask(till, CALCULATE, bodies["r2"]["receipt"])
    assert again["spent"] == [] or again["spent"][0]["points"] == "0.00"
    await ask(till, "/v1/receipts/r3/cancel", None)
    sold = await ask(till, "/v1/receipts/r1/commit", bodies["r1"])
    assert sold["incidents"] == []
    async with till.post("/v1/receipts/r1/freeze", json=bodies["r1"]) as response:
        assert await refused(response) == (409, "already_committed")
    async with till.get("/v1/customers?card=100") as response:
        assert (await response.json())["spendable"] == {"main": "10.00"}


async def test_two_tills_told_the_same_points_both_sell(till: Till) -> None:
    """The second sale goes beyond the lease: recorded, with the incident."""
    bodies = []
    for receipt_id in ("r1", "r2"):
        receipt = till_receipt(
            receipt_id, customer={"card": "100"}, spend={"account": "main", "points": "max"}
        )
        priced = await ask(till, CALCULATE, receipt)
        bodies.append({"receipt": receipt, "calculation_id": priced["calculation_id"]})
    replies = [await ask(till, f"/v1/receipts/r{n}/commit", bodies[n - 1]) for n in (1, 2)]
    assert [reply["answer"]["spent"][0]["points"] for reply in replies] == ["30.00", "30.00"]
    codes = [[each["code"] for each in reply["incidents"]] for reply in replies]
    assert codes == [[], ["points_without_lease"]]


async def test_unknown_card_and_blocked_member_buy_anonymously(till: Till) -> None:
    """The sale goes on; the incident says why nothing was earned, and never the card's number."""
    for receipt_id, card, code in (
        ("r1", "999999", "unknown_card"),
        ("r2", "200", "customer_blocked"),
    ):
        receipt = till_receipt(receipt_id, customer={"card": card})
        reply = await ask(till, f"/v1/receipts/{receipt_id}/commit", {"receipt": receipt})
        assert reply["answer"]["accrued"] == []
        assert [incident["code"] for incident in reply["incidents"]] == [code]
        assert "999999" not in str(reply)
    assert reply["incidents"][0]["detail"] != card_tag("200").hex()


async def test_cancelled_receipt_cannot_be_sold(till: Till) -> None:
    """Cancel is idempotent before a sale and refused after one."""
    for _ in range(2):
        assert (await ask(till, "/v1/receipts/r1/cancel", None))["state"] == "cancelled"
    async with till.post("/v1/receipts/r1/commit", json={"receipt": till_receipt("r1")}) as one:
        assert await refused(one) == (409, "receipt_cancelled")
    await ask(till, "/v1/receipts/r2/commit", {"receipt": till_receipt("r2")})
    async with till.post("/v1/receipts/r2/cancel") as two:
        assert await refused(two) == (409, "already_committed")


async def test_names_the_shop_does_not_know_are_told_and_stop_nothing(till: Till) -> None:
    """A cashier hears of a card, an id, a coupon; the receipt is priced all the same."""
    for customer, code in (({"card": "999999"}, "unknown_card"), ({"id": "x"}, "unknown_customer")):
        coupons = [{"code": "good"}, {"code": "OLD"}, {"code": "none"}]
        answer = await ask(till, CALCULATE, till_receipt("r1", customer=customer, coupons=coupons))
        assert [(notice["code"], notice["pointer"]) for notice in answer["notices"]] == [
            (code, "/customer/card" if "card" in customer else "/customer/id"),
            ("coupon_expired", "/coupons/1"),
            ("unknown_coupon", "/coupons/2"),
        ]
    known = till_receipt("r1", customer={"card": "100"}, coupons=[{"code": "good"}])
    assert (await ask(till, CALCULATE, known))["notices"] == []


async def test_a_body_in_a_broken_encoding_is_a_bad_request(till: Till) -> None:
    """It is the sender's fault, and the connection is not used again."""
    headers = {"Content-Encoding": "gzip"}
    async with till.post(CALCULATE, data=b"zzz", headers=headers) as response:
        assert await refused(response) == (400, "bad_body")
    assert (await ask(till, CALCULATE, till_receipt("r1")))["total"]["to_pay"] == "180.00"


async def test_every_fault_of_a_receipt_is_named(till: Till) -> None:
    """The problem carries all findings, a pointer each."""
    receipt = till_receipt("r1", tim="x", lines=[{"line": 1, "sku": "tea", "qty": "-1"}])
    async with till.post(CALCULATE, json=receipt) as response:
        problem = await response.json()
        assert response.status == 400
    assert {"/tim", "/lines/0/qty", "/lines/0/price"} <= {f["pointer"] for f in problem["findings"]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "receipt"),
        (b"[]", "bad_commit"),
        (b'{"receipt": [], "more": 1}', "bad_commit"),
        (b'{"receipt": []}', "receipt"),
        (b'{"receipt": {"receipt_id": "other"}}', "receipt_id"),
        (b'{"receipt": {}, "to_pay": "1.234"}', "number"),
        (b'{"receipt": {"store": "\\ud800"}}', "json"),
        (
            b'{"receipt": {"store": "S2", "time": "2026-11-23T12:00:00Z", "lines": []}}',
            "other_store",
        ),
    ],
)
async def test_faulty_commit_is_refused_whole(till: Till, body: bytes, code: str) -> None:
    """Nothing is recorded of a body that cannot be read."""
    async with till.post("/v1/receipts/r1/commit", data=body) as response:
        assert await refused(response) == (400, code)
    async with till.get("/v1/receipts/r1") as response:
        assert await refused(response) == (404, "not_found")


async def test_only_the_tills_token_opens(till: Till) -> None:
    """Without it, or with another, nothing but health answers."""
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        async with till.get("/v1/status", headers=headers) as response:
            assert await refused(response) == (401, "unauthorized")
            assert response.headers["WWW-Authenticate"] == "Bearer"
        async with till.get("/v1/health", headers=headers) as response:
            assert response.status == 200


async def test_the_servers_own_refusals_are_problems_too(till: Till) -> None:
    """No such address, no such method, too large a body."""
    async with till.get("/nowhere") as response:
        assert await refused(response) == (404, "not_found")
    async with till.put("/v1/status") as response:
        assert await refused(response) == (405, "method_not_allowed")
        assert "GET" in response.headers["Allow"]
    async with till.post(CALCULATE, data=io.BytesIO(b" " * (TILL_BODY_BYTES_MAX + 1))) as response:
        assert await refused(response) == (413, "too_large")


async def test_request_id_of_the_caller_comes_back(till: Till) -> None:
    """A harmless id is kept, another is replaced."""
    async with till.get("/v1/health", headers={"X-Request-Id": "till-7.42"}) as response:
        assert response.headers["X-Request-Id"] == "till-7.42"
    async with till.get("/v1/health", headers={"X-Request-Id": "no good!"}) as response:
        assert response.headers["X-Request-Id"] not in ("", "no good!")


async def test_member_is_told_by_card_or_id(till: Till) -> None:
    """Points to show and points to spend here are two numbers."""
    for query in ({"card": "100"}, {"id": "c1"}):
        async with till.get("/v1/customers", params=query) as response:
            member = await response.json()
        assert member["points"] == {"main": "50.00"}
        assert member["spendable"] == {"main": "30.00"}
    async with till.get("/v1/customers", params={"id": "nobody"}) as response:
        assert await refused(response) == (404, "not_found")
    async with till.get("/v1/customers") as response:
        assert await refused(response) == (400, "bad_query")


async def test_status_tells_bundle_queue_and_link(till: Till) -> None:
    """One sale waits for a central that cannot be reached."""
    await ask(till, "/v1/receipts/r1/commit", {"receipt": till_receipt("r1")})
    async with till.get("/v1/status") as response:
        status = await response.json()
    assert (status["bundle_version"], status["queue_depth"]) == (1, 1)
    assert status["link"]["online"] is False
    assert status["rss_bytes"] > 0
    names = {component["component"] for component in status["components"]}
    rounds = {"hello", "flush", "feed", "leases", "upkeep", "scrub", "budgets", "zones"}
    parts = {"bundle", "link", "clock", "disk", "records", "witness", "streams", "tills", "members"}
    assert names == parts | rounds | {"zone"}


async def test_without_a_programme_the_till_is_asked_to_wait(tmp_path: Path) -> None:
    """A fresh agent answers 503 with a time to come back."""
    make_shop(tmp_path / "shop", bundle=None)
    async with (
        a_till(tmp_path / "shop") as till,
        till.post(CALCULATE, json=till_receipt("r1")) as response,
    ):
        assert await refused(response) == (503, "no_bundle")
        assert response.headers["Retry-After"] == "1"

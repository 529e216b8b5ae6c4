"""The description of the till API and the API itself say the same."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.app import make_app
from edge_agent.config import Config, ReturnSettings
from edge_agent.http import models
from edge_agent.http.contract import OPERATIONS, Operation
from edge_agent.http.docs import OPEN_PATHS
from edge_agent.http.openapi import openapi_document, refusals_of
from edge_agent.http.page import is_page
from edge_agent.wiring.ground import Machine
from shared.errors import AppError
from shared.system import SystemChance, SystemClock
from shared.wire import receipt_json
from shared.wire.receipt_json import decode_receipt
from tests.integration.edge_agent.test_till_api import Till, a_till
from tests.support.shop import TIME, a_bundle, make_shop

DOCUMENT = openapi_document("1")
FULL_RECEIPT: dict[str, Any] = {
    "receipt_id": "r1",
    "store": "S1",
    "register": "R1",
    "time": TIME,
    "channel": "pos",
    "online": True,
    "customer": {
        "id": "c1",
        "segments": ["s"],
        "level": "gold",
        "card_category": "k",
        "gender": "f",
        "birthday": "1990-02-28",
        "children": ["2020-01-01"],
        "registered": "2020-01-01",
        "purchases": 3,
        "last_purchase": "2026-11-01",
        "spent": {"30d": "1200.00"},
        "attributes": {"pet": "cat", "old": True, "age": 3},
        "favourites": ["tea"],
        "organisation": "o",
        "control": False,
        "points": {"main": "1.00"},
        "chips": {"cats": 1},
        "counters": {"coffee": 4},
        "points_today": {"main": "1.00"},
        "usage": {"tea": {"day": 1, "qty_day": "2", "discount_month": "150.00"}},
    },
    "coupons": [{"code": "GOOD", "series": "FOOD", "state": "valid"}],
    "payments": [{"type": "card", "bin": "220012", "amount": "5.00"}],
    "spend": {"account": "main", "points": "max"},
    "chips": {"cats": 1},
    "manual": {"lines": [1], "percent": "5", "permission": "senior"},
    "external": {"partner": {"amount": "1.00"}},
    "claims": {"tea": 1},
    "usage": {"tea": {"total": 9, "discount_total": "1.00"}},
    "lines": [
        {
            "line": 1,
            "sku": "tea",
            "qty": "2",
            "price": "89.90",
            "category": "food/tea",
            "brand": "b",
            "attrs": {"fat": "3.2"},
            "flags": [],
            "weighed": False,
            "min_price": "1.00",
            "max_discount": "30",
            "soft": {"min_price": "1.00", "max_discount": "10"},
            "prices": {"card": "79.90"},
            "base_qty": "1",
        }
    ],
}

RICH: dict[str, Any] = {
    "chips": ["cats"],
    "groups": [{"id": "main", "resolve": "all"}],
    "promotions": [
        {"id": "ten", "then": [{"do": "discount_goods", "percent": "10"}]},
        {
            "id": "pay",
            "then": [{"do": "spend_points", "account": "main", "max_percent": "10"}],
        },
        {"id": "earn", "then": [{"do": "accrue_points", "account": "main", "percent": "5"}]},
        {"id": "chips", "then": [{"do": "accrue_chips", "chips": "cats", "fixed": 2}]},
        {"id": "count", "then": [{"do": "count", "counter": "visits", "by": "receipt"}]},
        {
            "id": "tell",
            "then": [
                {"do": "issue_coupon", "series": "NEXT", "count": 1, "valid_days": 7, "text": "x"},
                {
                    "do": "message",
                    "to": "cashier",
                    "at": "end",
                    "text": "Thanks",
                    "qr": "q",
                    "image": "i",
                    "confirm": True,
                },
                {"do": "gift_info", "what": ["cup", "pen"], "qty": 1},
                {"do": "service", "code": "donate", "text": "Round up", "donate_to": "10.00"},
            ],
        },
        {
            "id": "fourth",
            "hint": "One more",
            "then": [{"do": "nth", "every": 4, "filter": {"sku": ["tea"]}}],
        },
    ],
}
RICH_RECEIPT: dict[str, Any] = {
    "time": TIME,
    "customer": {"card": "100"},
    "spend": {"account": "main", "points": "10.00"},
    "coupons": [{"code": "OLD"}],
    "lines": [{"line": 1, "sku": "tea", "qty": "3", "price": "100.07"}],
}


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1)


@pytest.fixture
async def till(tmp_path: Path, bundle: bytes) -> AsyncIterator[Till]:
    returns = ReturnSettings(limit="1000.00")
    make_shop(tmp_path / "shop", bundle=bundle, returns=returns)
    async with a_till(tmp_path / "shop") as client:
        yield client


def checked(schema: dict[str, Any], value: Any) -> None:
    """``value`` is what the schema says, and nothing that it does not name."""
    whole = strict({**schema, "components": DOCUMENT["components"]})
    jsonschema.Draft202012Validator(whole).validate(value)


def strict(schema: Any) -> Any:
    """The schema with every object closed: a test must see a key that nobody described."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if closed.get("properties") and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def answer_schema(operation: Operation, status: int) -> dict[str, Any]:
    told = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"][str(status)]
    [content] = told["content"].values()
    schema: dict[str, Any] = content["schema"]
    return schema


def address(operation: Operation) -> str:
    path = operation.path
    for each in operation.parameters:
        if each.place == "path":
            path = path.replace("{" + each.name + "}", each.example)
    query = [f"{p.name}={p.example}" for p in operation.parameters if p.place == "query"]
    return path + ("?" + "&".join(part for part in query if not part.endswith("=")))


def test_every_address_is_described_and_no_other(tmp_path: Path, bundle: bytes) -> None:
    returns = ReturnSettings(limit="1000.00")
    make_shop(tmp_path / "shop", bundle=bundle, returns=returns)
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(tmp_path / "shop", Config.load(tmp_path / "shop"), machine)
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and not is_page(route.resource.canonical)
    }
    described = {(each.method, each.path) for each in OPERATIONS}
    not_for_tills = {("GET", path) for path in {*OPEN_PATHS, "/metrics"}}
    assert served - not_for_tills == described


async def test_examples_are_answered_as_described(till: Till) -> None:
    """One after the other they are a day of a new shop; a body's example fits its structure too."""
    for operation in OPERATIONS:
        if operation.example is not None:
            told = DOCUMENT["paths"][operation.path][operation.method.lower()]["requestBody"]
            checked(told["content"]["application/json"]["schema"], operation.example)
        body = None if operation.example is None else json.dumps(operation.example)
        async with till.request(operation.method, address(operation), data=body) as response:
            answer = await response.json()
            if operation.asks_central:
                assert answer["code"] in refusals_of(operation)[503]
            else:
                assert response.status == 200, (operation.name, answer)
            checked(answer_schema(operation, response.status), answer)


async def test_a_rich_answer_is_as_described(tmp_path: Path) -> None:
    """Every part of an answer that a programme can bring about, by one programme that does it."""
    returns = ReturnSettings(limit="1000.00")
    make_shop(tmp_path / "shop", bundle=a_bundle(1, **RICH), returns=returns)
    async with a_till(tmp_path / "shop") as till:
        path = "/v1/receipts/calculate"
        async with till.post(f"{path}?trace=1&hints=1", json=RICH_RECEIPT) as response:
            answer = await response.json()
    assert response.status == 200, answer
    empty = [key for key, value in answer.items() if value == []]
    assert empty == [], "the programme brings everything about"
    checked({"$ref": "#/components/schemas/Calculated"}, answer)


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("calculate", "/v1/receipts/calculate", "{"),
        ("calculate", "/v1/receipts/calculate", '{"lines": [{}]}'),
        ("commit", "/v1/receipts/r1/commit", "{}"),
        ("calculate_return", "/v1/returns/calculate", '{"sale": "r9", "return": {"1": "1"}}'),
        ("find_receipt", "/v1/receipts/r9", None),
        ("find_customer", "/v1/customers", None),
    ],
)
async def test_refusals_are_as_described(
    till: Till, name: str, path: str, body: str | None
) -> None:
    """Status and code are among those of the call, and the problem has its structure."""
    [operation] = [each for each in OPERATIONS if each.name == name]
    async with till.request(operation.method, path, data=body) as response:
        problem = await response.json()
    assert problem["code"] in refusals_of(operation)[response.status]
    checked(answer_schema(operation, response.status), problem)


def test_no_key_is_read_that_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a receipt with everything in it asks for exactly the described keys."""
    asked: dict[str, set[str]] = {}
    finish = receipt_json._Reader.finish

    def noted(self: Any) -> None:
        asked.setdefault(shape(self.pointer), set()).update(self.seen)
        finish(self)

    monkeypatch.setattr(receipt_json._Reader, "finish", noted)
    checked({"$ref": "#/components/schemas/ReceiptTold"}, FULL_RECEIPT)
    decode_receipt(json.dumps(FULL_RECEIPT).encode())
    for where, structure in STRUCTURES.items():
        described = set(DOCUMENT["components"]["schemas"][structure.__name__]["properties"])
        # Card and proof are the agent's own; they are taken out before the language's reader.
        assert asked[where] == described - {"card", "proof"}, where


STRUCTURES: dict[str, type] = {
    "": models.ReceiptTold,
    "/lines/*": models.Line,
    "/lines/*/soft": models.SoftFloors,
    "/customer": models.CustomerTold,
    "/coupons/*": models.CouponShown,
    "/payments/*": models.PaymentPlanned,
    "/spend": models.SpendWanted,
    "/manual": models.ManualDiscount,
    "/external/partner": models.ExternalDiscount,
}


def shape(pointer: str) -> str:
    return "/".join("*" if part.isdigit() else part for part in pointer.split("/"))


@pytest.mark.parametrize("structure", sorted(STRUCTURES.values(), key=lambda each: each.__name__))
def test_an_unknown_key_is_refused_as_described(structure: type) -> None:
    [where] = [key for key, value in STRUCTURES.items() if value is structure]
    receipt = copy.deepcopy(FULL_RECEIPT)
    place: Any = receipt
    for part in where.split("/")[1:]:
        place = place[0] if part == "*" else place[part]
    place["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        checked({"$ref": "#/components/schemas/ReceiptTold"}, receipt)
    with pytest.raises(AppError):
        decode_receipt(json.dumps(receipt).encode())


async def test_description_needs_no_token_and_runs_nothing(till: Till) -> None:
    """The page has no script; what it loads is its own style."""
    for path in OPEN_PATHS:
        async with till.get(path, headers={"Authorization": ""}) as response:
            assert response.status == 200
            text = await response.text()
            if path == "/docs":
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                assert "<script" not in text
                assert all(f'id="{each.name}"' in text for each in OPERATIONS)
    async with till.get("/v1/status", headers={"Authorization": ""}) as response:
        assert response.status == 401

"""Which limited promotions a receipt may meet: those, and only those, that the engine looks at."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge_agent.limits.policy import KnownUses, Limited, fill_usage, shortages
from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.groups import Runner
from shared.engine.ready import Ready
from shared.uses import BUDGET_DISCOUNT, BUDGET_TIMES, used_of
from shared.wire.receipt import Usage
from shared.wire.receipt_json import decode_receipt

TEN = {"do": "discount_goods", "percent": "10"}
FILTERS: list[dict[str, Any]] = [
    {},
    {"sku": ["a"]},
    {"sku": ["b", "c"]},
    {"brand": ["red"]},
    {"category": ["food"]},
    {"category": ["food/tea"]},
    {"flags": ["new"]},
    {"attrs": {"size": ["big"]}},
]
WHENS: list[dict[str, Any]] = [
    {},
    {"when": {"coupon": ["SPRING"]}},
    {"when": {"customer": {"segment": ["vip"]}}},
    {"on_claim": True},
]
LIMITS: list[dict[str, Any]] = [
    {},
    {"limits": {"per_receipt": 1}},
    {"limits": {"total": {"times": 3}}},
    {"limits": {"per_customer": {"times": 1, "per": "day"}}},
]


def ready_of(promotions: list[dict[str, Any]], *, indexed: bool = True) -> Ready:
    document = {"programme": "p", "version": 1, "currency": "RUB", "timezone": "Europe/Moscow"}
    document["promotions"] = promotions
    compiled = compile_document(json.dumps(document).encode())
    assert compiled.program is not None, compiled.diagnostics
    ready = Ready(compiled.program)
    if not indexed:
        ready.index = None
    return ready


def a_receipt(chance: random.Random) -> Any:
    lines = [
        {
            "line": number,
            "sku": chance.choice("abcd"),
            "qty": "1",
            "price": "10.00",
            **({"brand": "red"} if chance.random() < 0.3 else {}),
            "category": chance.choice(["food", "food/tea/black", "home"]),
            **({"flags": ["new"]} if chance.random() < 0.3 else {}),
            **({"attrs": {"size": "big"}} if chance.random() < 0.3 else {}),
        }
        for number in range(1, chance.randint(1, 4))
    ]
    return decode_receipt(
        {
            "store": "S1",
            "time": "2026-11-23T12:00:00+03:00",
            "lines": lines or [{"line": 1, "sku": "d", "qty": "1", "price": "1.00"}],
            "customer": {"id": "c", "segments": ["vip"] if chance.random() < 0.5 else []},
            "coupons": [{"code": "x", "series": "SPRING"}] if chance.random() < 0.5 else [],
            "claims": {"p3": 1} if chance.random() < 0.5 else {},
        }
    )


@pytest.mark.parametrize("seed", range(30))
def test_offered_are_the_limited_ones_that_the_engine_looks_at(seed: int) -> None:
    """In its order; a programme without an index offers all that it limits."""
    chance = random.Random(seed)
    promotions = [
        {
            "id": f"p{number}",
            **chance.choice(WHENS),
            **chance.choice(LIMITS),
            "then": [TEN | {"filter": chance.choice(FILTERS)}],
        }
        for number in range(12)
    ]
    limited = {
        each["id"]
        for each in promotions
        if each.get("limits", {}).keys() & {"total", "per_customer"}
    }
    for indexed in (True, False):
        ready = ready_of(promotions, indexed=indexed)
        offers = Limited(ready)
        assert set(offers.limits) == limited
        for _ in range(5):
            receipt = a_receipt(chance)
            looked_at = [work.id for work in Runner(ready, receipt).works if work.id in limited]
            assert list(offers.offered(receipt)) == looked_at, f"seed {seed}"


def test_receipt_without_limited_promotions_stays_as_it_is() -> None:
    """Nothing is offered, nothing is filled in."""
    receipt = a_receipt(random.Random(1))
    assert Limited(ready_of([{"id": "p", "then": [TEN]}])).offered(receipt) == {}
    assert fill_usage(receipt, {}, KnownUses()) == receipt


def test_what_the_till_says_of_a_budget_wins_over_the_rights_here() -> None:
    """A till that knows better states it; the sale is then beyond every right, and recorded."""
    promotion = {"id": "p", "limits": {"total": {"times": 3, "discount": "9.00"}}, "then": [TEN]}
    ready = ready_of([promotion])
    lines = [{"line": 1, "sku": "a", "qty": "1", "price": "50.00"}]
    told = {"p": {"total": 0}}
    receipt = decode_receipt(
        {"store": "S1", "time": "2026-11-23T12:00:00+03:00", "lines": lines, "usage": told}
    )
    offered = Limited(ready).offered(receipt)
    known = KnownUses(rights={"p": {BUDGET_DISCOUNT: 400}})
    filled = fill_usage(receipt, offered, known)

    assert filled.usage == {"p": Usage(times={"total": 0}, discount_minor={"total": 500})}
    answer = evaluate(ready, filled)
    assert answer.total.discount_minor == 400
    used = used_of(filled, answer, offered)
    assert {(s.asset, s.amount) for s in shortages(offered, known, used)} == {
        (BUDGET_TIMES, 1),
        (BUDGET_DISCOUNT, 400),
    }
    enough = KnownUses(rights={"p": {BUDGET_TIMES: 3, BUDGET_DISCOUNT: 1_200}})
    assert shortages(offered, enough, used) == []

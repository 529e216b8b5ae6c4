"""The index leaves out only promotions that could do nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.program import Index, Program
from shared.wire.answer_json import answer_to_json
from shared.wire.receipt_json import decode_receipt
from tests.support.reference.generate import a_programme, a_receipt

PIECES: dict[str, Any] = {"do": "discount_goods", "percent": "10"}


def compiled(document: dict[str, Any]) -> Program:
    compilation = compile_document(json.dumps(document).encode())
    assert compilation.program is not None, compilation.diagnostics
    return compilation.program


def index_of(promotion: dict[str, Any], **declared: Any) -> dict[str, list[str]]:
    """The keys under which the one promotion stands, by kind."""
    document = {
        "programme": "p",
        "version": 1,
        "currency": "RUB",
        "promotions": [{"id": "a", "then": [PIECES]} | promotion],
    }
    index = compiled(document | declared).index
    assert index is not None
    found = {kind: sorted(getattr(index, kind)) for kind in Index.__struct_fields__[:-1]}
    return {kind: keys for kind, keys in found.items() if keys}


def results(*each: dict[str, Any]) -> dict[str, Any]:
    return {"then": list(each)}


def goods(**wanted: Any) -> dict[str, Any]:
    return PIECES | {"filter": wanted}


@pytest.mark.parametrize("seed", range(600))
def test_the_index_changes_no_answer(seed: int) -> None:
    """With and without the index a receipt has one answer, hints included."""
    rng = random.Random(seed)
    document = a_programme(rng)
    program = compiled(document)
    bare = msgspec.structs.replace(program, index=None)

    for _ in range(5):
        receipt = decode_receipt(json.dumps(a_receipt(rng, document)).encode())
        assert answer_to_json(evaluate(program, receipt, hints=True)) == answer_to_json(
            evaluate(bare, receipt, hints=True)
        )


@pytest.mark.parametrize(
    ("promotion", "keys"),
    [
        (results(goods(sku=["x", "y"])), {"sku": ["x", "y"]}),
        (results(goods(sku=["x"], category=["food"])), {"sku": ["x"]}),
        (results(goods(category=["food"], brand=["Acme"])), {"brand": ["Acme"]}),
        (results(goods(attrs={"season": ["SS26"]})), {"attribute": ["season=SS26"]}),
        (results(goods(flags=["excise_alcohol"])), {"flag": ["excise_alcohol"]}),
        (results(goods(attrs={"fat": {"to": "3"}})), {}),
        (results(goods(price=["1.00", None])), {}),
        (results(goods(sku=["x"]), goods(brand=["Acme"])), {"sku": ["x"], "brand": ["Acme"]}),
        (results(goods(sku=["x"]), PIECES), {}),
        ({"on_claim": True}, {"claim": ["a"]}),
        ({"when": {"coupon": ["Spring"]}}, {"coupon": ["SPRING", "Spring"]}),
        ({"when": {"customer": {"segment": ["young"]}}}, {"segment": ["young"]}),
        (
            {"when": {"all": [{"online": True}, {"coupon": ["X"]}]}} | results(goods(brand=["A"])),
            {"coupon": ["X"]},
        ),
        ({"when": {"any": [{"coupon": ["X"]}, {"online": True}]}}, {}),
        ({"when": {"not": {"coupon": ["X"]}}}, {}),
        ({"when": {"quantity": {"filter": {"sku": ["x"]}, "from": "2"}}}, {"sku": ["x"]}),
        ({"when": {"quantity": {"filter": {"sku": ["x"]}, "to": "2"}}}, {}),
        ({"when": {"any_line": {"filter": {"sku": ["x"]}}}}, {"sku": ["x"]}),
        # A receipt below the sum gets a hint, though it has nothing of the goods that win.
        ({"when": {"total": {"from": "100.00"}}} | results(goods(sku=["x"])), {}),
        (
            results(
                {
                    "do": "set",
                    "slots": [{"filter": {"sku": ["x"]}}, {"filter": {"sku": ["y"]}}],
                    "percent": "10",
                }
            ),
            {"sku": ["x", "y"]},
        ),
        (
            results({"do": "discount_goods", "by_category": {"food/dairy": "5"}}),
            {"category": ["food/dairy"]},
        ),
        (
            results(
                {"do": "issue_coupon", "series": "N", "per": {"qty": "2", "filter": {"sku": ["x"]}}}
            ),
            {"sku": ["x"]},
        ),
        (results({"do": "spend_points", "account": "main", "filter": {"sku": ["x"]}}), {}),
        (results({"do": "count", "counter": "c", "filter": {"sku": ["x"]}}), {"sku": ["x"]}),
        (results({"do": "count", "counter": "c", "reset": True, "filter": {"sku": ["x"]}}), {}),
    ],
)
def test_a_promotion_stands_under_what_it_cannot_do_without(
    promotion: dict[str, Any], keys: dict[str, list[str]]
) -> None:
    """Of its necessary conditions, the keys of the most selective one."""
    assert index_of(promotion) == keys


def test_lists_are_looked_through() -> None:
    """A product list stands for the keys of its filter."""
    keys = index_of(
        results(goods(list=["coffee", "tea"])),
        product_lists={"coffee": {"sku": ["c1"]}, "tea": {"brand": ["Lip"]}},
    )

    assert keys == {"sku": ["c1"], "brand": ["Lip"]}


def test_ordinals_follow_the_order_of_evaluation() -> None:
    """Groups one after another, inside them by priority and id."""
    document = {
        "programme": "p",
        "version": 1,
        "currency": "RUB",
        "groups": [{"id": "first"}, {"id": "second"}],
        "promotions": [
            {"id": "c", "group": "second", "then": [goods(sku=["x"])]},
            {"id": "b", "group": "first", "then": [goods(sku=["x"])]},
            {"id": "off", "group": "first", "enabled": False, "then": [goods(sku=["x"])]},
            {"id": "a", "group": "first", "priority": 200, "then": [PIECES]},
        ],
    }
    program = compiled(document)

    assert program.index == Index(sku={"x": [0, 2]}, always=[1])
    assert [each.id for group in program.groups for each in group.promotions] == ["b", "a", "c"]

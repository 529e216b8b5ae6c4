"""What the compiler refuses, and where it points."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules_compiler.pipeline import compile_document
from shared.engine.program import encode_program

Change = dict[str, Any]


def document(**changes: Any) -> dict[str, Any]:
    return {
        "programme": "p",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "promotions": [{"id": "a", "then": [{"do": "discount_goods", "percent": "10"}]}],
    } | changes


def with_promotion(**changes: Any) -> dict[str, Any]:
    promotion = {"id": "a", "then": [{"do": "discount_goods", "percent": "10"}]} | changes
    return document(promotions=[promotion])


def with_result(**result: Any) -> dict[str, Any]:
    return with_promotion(then=[result])


def found(value: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (each.code, each.pointer)
        for each in compile_document(json.dumps(value).encode()).diagnostics
    ]


REFUSED = [
    ("an unknown key", document(surprise=1), "unknown_key", "/surprise"),
    ("an unknown key of a promotion", with_promotion(prio=1), "unknown_key", "/promotions/0/prio"),
    (
        "a percent above 100",
        with_result(do="discount_goods", percent="100.01"),
        "bounds",
        "/promotions/0/then/0/percent",
    ),
    (
        "a percent with five decimals",
        with_result(do="discount_goods", percent="1.00001"),
        "decimals",
        "/promotions/0/then/0/percent",
    ),
    (
        "an exponent",
        with_result(do="discount_goods", amount_each="1e2"),
        "number",
        "/promotions/0/then/0/amount_each",
    ),
    (
        "two ways of saying how much",
        with_result(do="discount_goods", percent="1", amount="5.00"),
        "one_of",
        "/promotions/0/then/0",
    ),
    (
        "an account nobody declared",
        with_result(do="accrue_points", account="gold", percent="1"),
        "not_declared",
        "/promotions/0/then/0/account",
    ),
    (
        "a group nobody declared",
        with_promotion(group="other"),
        "not_declared",
        "/promotions/0/group",
    ),
    (
        "a product list nobody declared",
        with_result(do="discount_goods", percent="1", filter={"list": ["x"]}),
        "not_declared",
        "/promotions/0/then/0/filter/list/0",
    ),
    (
        "a store group nobody declared",
        with_promotion(when={"store": [{"group": "north"}]}),
        "not_declared",
        "/promotions/0/when/store/0/group",
    ),
    (
        "from after to",
        with_promotion(active={"from": "2026-12-01", "to": "2026-11-01"}),
        "from_after_to",
        "/promotions/0/active",
    ),
    (
        "from after to on one day",
        with_promotion(active={"from": "2026-12-01T12:00:00", "to": "2026-12-01T10:00:00"}),
        "from_after_to",
        "/promotions/0/active",
    ),
    (
        "bounds the wrong way round",
        with_promotion(when={"total": {"from": "10.00", "to": "5.00"}}),
        "from_after_to",
        "/promotions/0/when/total",
    ),
    (
        "a condition of two keys",
        with_promotion(when={"online": True, "channel": ["pos"]}),
        "condition",
        "/promotions/0/when",
    ),
    (
        "an unknown result",
        with_result(do="give_everything"),
        "unknown_result",
        "/promotions/0/then/0/do",
    ),
]


@pytest.mark.parametrize(
    ("value", "code", "pointer"),
    [each[1:] for each in REFUSED],
    ids=[each[0] for each in REFUSED],
)
def test_a_fault_is_named_with_its_place(value: dict[str, Any], code: str, pointer: str) -> None:
    """A document with one fault is refused with that one finding."""
    assert found(value) == [(code, pointer)]


def test_all_faults_are_found_at_once() -> None:
    """The author sees everything that is wrong, not the first of it."""
    value = document(
        surprise=1,
        promotions=[
            {"id": "a", "then": [{"do": "discount_goods", "percent": "101"}]},
            {"id": "a", "then": [{"do": "nth", "every": 0}]},
        ],
    )

    assert {code for code, _ in found(value)} == {"unknown_key", "bounds", "duplicate_id"}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    """Whatever bytes come, there is a finding and no program."""
    compilation = compile_document(data)

    assert compilation.program is None
    assert compilation.diagnostics


def test_the_same_document_gives_the_same_bytes() -> None:
    """Compiling is deterministic, whatever order sets have."""
    value = document(product_lists={"x": {"sku": [f"s{n}" for n in range(100)]}})
    value["promotions"][0]["then"][0]["filter"] = {"list": ["x"]}
    data = json.dumps(value).encode()

    first, second = compile_document(data).program, compile_document(data).program

    assert first is not None
    assert second is not None
    assert encode_program(first) == encode_program(second)

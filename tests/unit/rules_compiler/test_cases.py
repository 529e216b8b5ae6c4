"""Worked examples, from document through bundle bytes and loaded program to the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rules_compiler.pipeline import compile_document
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.wire.answer_json import answer_to_json
from shared.wire.receipt_json import decode_receipt

CASES_FOLDER = Path(__file__).parents[2] / "cases" / "engine"
CASES = [
    json.loads(line) for line in (CASES_FOLDER / "mechanics.jsonl").read_text("utf-8").splitlines()
]
SIGNER = Signer(bytes(32))


def answered(case: dict[str, Any], *, trace: bool = False) -> dict[str, Any]:
    """The answer by the path of production, with hints."""
    compilation = compile_document(json.dumps(case["programme"]).encode())
    assert compilation.program is not None, compilation.diagnostics
    data = write_bundle(compilation.program, SIGNER, created_at_ms=0)
    bundle = open_bundle(data, {SIGNER.key_id: SIGNER.public_key}, version_floor=0)
    receipt = decode_receipt(json.dumps(case["receipt"]).encode())
    return answer_to_json(evaluate(bundle.program, receipt, trace=trace, hints=True))


def points_by_account(accrued: list[dict[str, str]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in accrued:
        centi = int(each["points"].replace(".", ""))
        sums[each["account"]] = sums.get(each["account"], 0) + centi
    return sums


def chips_by_account(chips: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for each in chips:
        account = sums.setdefault(each["account"], {"earned": 0, "spent": 0})
        account["earned"] += each.get("earned", 0)
        account["spent"] += each.get("spent", 0)
    return sums


def differences(expected: Any, found: Any, at: str = "") -> list[str]:
    """Where ``found`` does not hold what ``expected`` states; keys it does not state are free."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            each
            for key, value in expected.items()
            for each in differences(value, found.get(key), f"{at}/{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            each
            for index, (one, other) in enumerate(zip(expected, found, strict=True))
            for each in differences(one, other, f"{at}/{index}")
        ]
    return [] if expected == found else [f"{at}: expected {expected}, found {found}"]


BY_ACCOUNT = {"accrued": points_by_account, "chips": chips_by_account}


def unequal(case: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    expected, found = dict(case["expect"]), dict(answer)
    for key, by_account in BY_ACCOUNT.items():
        if key in expected and not any("promotion" in each for each in expected[key]):
            # Such a case states what each account gets, whatever promotions it comes from.
            for side in (expected, found):
                side[key] = by_account(side[key])
    return differences(expected, found)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_worked_example_comes_out_to_the_kopeck(case: dict[str, Any]) -> None:
    """Every key that the example states is equal."""
    assert unequal(case, answered(case)) == []


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_asking_why_changes_nothing(case: dict[str, Any]) -> None:
    """The answer with a trace is the answer without one, and the trace names every promotion."""
    plain, explained = answered(case), answered(case, trace=True)

    named = {each["promotion"] for each in explained.pop("trace")}
    plain.pop("trace")
    enabled = {each["id"] for each in case["programme"]["promotions"] if each.get("enabled", True)}
    assert (explained, named) == (plain, enabled)

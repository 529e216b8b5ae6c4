"""What each pass makes of a document, as golden text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules_compiler.document import Document, read_document
from rules_compiler.passes.fold_constants import fold_constants
from rules_compiler.passes.index_candidates import index_candidates
from rules_compiler.passes.normalize_conditions import normalize_conditions
from rules_compiler.passes.order_rules import order_rules
from rules_compiler.pipeline import PASSES
from shared.engine.evaluate import evaluate
from shared.wire.answer_json import answer_to_json
from shared.wire.reading import Place, parse_json
from shared.wire.receipt_json import decode_receipt
from tests.support.documents import grown
from tests.support.golden import Case, read_cases
from tests.support.reference.generate import a_programme, a_receipt

FOLDER = Path(__file__).parents[2] / "cases" / "compiler"
CASES = {path.stem: read_cases(path) for path in sorted(FOLDER.glob("*.txt"))}


def document_of(value: dict[str, Any]) -> Document:
    findings: list[Any] = []
    document = read_document(Place(parse_json(json.dumps(value).encode()), "", findings))
    assert findings == []
    assert document is not None
    return document


def shown(value: Any) -> str:
    """A structure of the program as its author would name it: what is not said is left out."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        said = [
            f"{field.name}={shown(getattr(value, field.name))}"
            for field in fields
            if getattr(value, field.name) != field.default
            and not (
                field.default_factory is not msgspec.NODEFAULT
                and getattr(value, field.name) == field.default_factory()
            )
        ]
        return f"{type(value).__name__}({', '.join(said)})"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(shown, value))) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(k)}: {shown(v)}" for k, v in value.items()) + "}"
    return repr(value)


def conditions(document: Document) -> str:
    return "\n".join(
        f"{each.promotion.id}: {shown(each.promotion.when)}" for each in document.promotions
    )


def order(document: Document) -> str:
    return "\n".join(
        f"{group.id}: {', '.join(each.id for each in group.promotions)}"
        for group in document.program.groups
    )


def index(document: Document) -> str:
    found = order_rules(document)
    return shown(index_candidates(found).program.index)


GOLDEN: dict[str, Callable[[Document], str]] = {
    "normalize_conditions": lambda document: conditions(normalize_conditions(document)),
    "fold_constants": lambda document: conditions(fold_constants(document)),
    "order_rules": lambda document: order(order_rules(document)),
    "index_candidates": index,
}


def test_every_pass_has_its_cases() -> None:
    """A pass without a golden file is a pass nobody has looked at."""
    names = {each.__name__ for each in PASSES}

    assert names == set(GOLDEN)
    assert names == set(CASES)


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name, cases in CASES.items() for case in cases],
    ids=[f"{name}: {case.title}" for name, cases in CASES.items() for case in cases],
)
def test_a_pass_does_what_its_case_says(name: str, case: Case) -> None:
    """The golden text; GOLDEN=1 writes it anew."""
    case.check(GOLDEN[name](document_of(grown(json.loads(case.given)))))


@pytest.mark.parametrize("seed", range(200))
def test_tidying_conditions_changes_no_answer(seed: int) -> None:
    """Normalized and folded conditions mean what the written ones mean.

    Hints are left out: said once and without detours, a condition may lack goods where the one
    written only failed.
    """
    rng = random.Random(seed)
    value = a_programme(rng)
    for promotion in value["promotions"]:
        when = promotion.get("when", {"all": []})
        promotion["when"] = rng.choice(
            [
                {"all": [when, {"all": [when, {"total": {}}]}]},
                {"any": [when, {"any": [when, {"any": []}]}]},
                {"not": {"not": when}},
                {"all": [{"not": {"any": []}}, when]},
            ]
        )
    document = document_of(value)
    bare = order_rules(document).program
    tidy = order_rules(fold_constants(normalize_conditions(document))).program

    for _ in range(5):
        receipt = decode_receipt(json.dumps(a_receipt(rng, value)).encode())
        assert answer_to_json(evaluate(bare, receipt)) == answer_to_json(evaluate(tidy, receipt))

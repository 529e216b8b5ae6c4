"""Every condition, filter, result and flag in the words that marketers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from rules_compiler.describe import describe_programme, describe_promotion
from shared.wire.reading import parse_json

FOLDER = Path(__file__).parents[3] / "cases" / "describe"
LANGS: tuple[Literal["en", "ru"], ...] = ("en", "ru")
LABELS = {"When": {"en": "When: ", "ru": "Когда: "}, "Then": {"en": "Then: ", "ru": "Действие: "}}
PROGRAMME = {
    "programme": "shop",
    "version": 1,
    "currency": "RUB",
    "groups": [{"id": "main"}],
    "promotions": [{"id": "spring", "name": "Spring", "then": []}],
}
COMPETING = {**PROGRAMME, "groups": [{"id": "main"}, {"id": "best", "resolve": "best"}]}


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def described(
    promotion: dict[str, Any], lang: Literal["en", "ru"], programme: dict[str, Any] | None = None
) -> list[str]:
    """The lines; cases are written with plain spaces where the text has non-breaking ones."""
    read = parse_json(json.dumps({"programme": programme or PROGRAMME, "it": promotion}).encode())
    text = describe_promotion(read["programme"], read["it"], lang)
    return text.replace("\N{NO-BREAK SPACE}", " ").split("\n")


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["title"]) for case in load(name)]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", cases("conditions"))
def test_conditions_read_as_agreed(case: dict[str, Any], lang: Literal["en", "ru"]) -> None:
    """A condition is the line after the title."""
    lines = described({"id": "p", "when": case["when"], "then": []}, lang)

    assert lines[1] == LABELS["When"][lang] + case[lang]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", cases("filters"))
def test_filters_read_as_agreed(case: dict[str, Any], lang: Literal["en", "ru"]) -> None:
    """A filter is read within a discount."""
    result = {"do": "discount_goods", "percent": "5", "filter": case["filter"]}

    lines = described({"id": "p", "then": [result]}, lang)

    assert lines[2] == LABELS["Then"][lang] + case[lang]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", cases("results"))
def test_results_read_as_agreed(case: dict[str, Any], lang: Literal["en", "ru"]) -> None:
    """A result is the line after the condition."""
    lines = described({"id": "p", "then": [case["then"]]}, lang)

    assert lines[2] == LABELS["Then"][lang] + case[lang]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("case", cases("promotions"))
def test_promotions_read_as_agreed(case: dict[str, Any], lang: Literal["en", "ru"]) -> None:
    """Flags, limits and dates have lines of their own; what is not set has none."""
    programme = COMPETING if "group" in case["promotion"] else PROGRAMME

    assert described(case["promotion"], lang, programme) == case[lang]


@pytest.mark.parametrize("lang", LANGS)
def test_a_programme_reads_as_agreed(lang: Literal["en", "ru"]) -> None:
    """Settings first, then groups in their order, promotions by priority and id."""
    case = load("programme")
    programme = parse_json(json.dumps(case["programme"]).encode())

    text = describe_programme(programme, lang)

    assert text.replace("\N{NO-BREAK SPACE}", " ").split("\n") == case[lang]


def test_numbers_do_not_break_apart_from_their_signs() -> None:
    """A sum stays on one line: its spaces are non-breaking ones."""
    promotion = {"id": "p", "then": [{"do": "discount_receipt", "amount": "1234.50"}]}

    assert "1\N{NO-BREAK SPACE}234,50\N{NO-BREAK SPACE}₽" in describe_promotion(
        PROGRAMME, promotion, "ru"
    )
    assert "RUB\N{NO-BREAK SPACE}1,234.50" in describe_promotion(PROGRAMME, promotion, "en")
    assert "$1,234.50" in describe_promotion({**PROGRAMME, "currency": "USD"}, promotion, "en")

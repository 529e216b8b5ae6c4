"""Real programmes are described whole, and Russian text is Russian."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rules_compiler.describe import describe_programme, describe_promotion
from shared.wire.reading import parse_json

MECHANICS = Path(__file__).parents[3] / "cases" / "engine" / "mechanics.jsonl"
CASES = [parse_json(line.encode()) for line in MECHANICS.read_text("utf-8").splitlines()]
LATIN = re.compile(r"[A-Za-z]+")
QUOTED = re.compile(r"«[^»]*»")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_mechanics_are_described(case: dict[str, Any]) -> None:
    """Every promotion of every mechanic has its text in both languages."""
    programme = case["programme"]

    for promotion in programme["promotions"]:
        english = describe_promotion(programme, promotion, "en")
        russian = describe_promotion(programme, promotion, "ru")

        title = promotion.get("name") or promotion["id"]
        assert english.split("\n")[0] == title
        assert "\nThen: " in english
        # What stands in quotation marks and in the title are the programme's own words.
        ours = QUOTED.sub("", russian.split("\n", 1)[1])
        assert LATIN.findall(ours) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_programmes_are_described(case: dict[str, Any]) -> None:
    """A programme's text has the text of each of its promotions, once."""
    programme = case["programme"]

    for lang in ("en", "ru"):
        text = describe_programme(programme, lang)
        blocks = text.split("\n\n")
        for promotion in programme["promotions"]:
            title = str(promotion.get("name") or promotion["id"])
            assert sum(block.split("\n")[0] == title for block in blocks) == 1


def test_plain_json_reads_like_the_parsed() -> None:
    """A document whose numbers are Python's own has the same text."""
    lines = MECHANICS.read_text("utf-8").splitlines()

    for line, case in zip(lines, CASES, strict=True):
        plain = json.loads(line)["programme"]
        assert describe_programme(plain, "ru") == describe_programme(case["programme"], "ru")

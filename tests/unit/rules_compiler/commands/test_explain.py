"""``explain``: the receipt as tables, and the fate of every promotion in words."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.pofile import read_po

import rules_compiler.commands as package
from rules_compiler.commands import words
from rules_compiler.commands.words import NEAREST_FIRST, REASONS, RESULTS, SUBJECTS, VALUES, Words
from shared.engine.explain import Reason
from shared.engine.program import Result
from tests.unit.rules_compiler.commands.samples import DOCUMENT, RECEIPT, ROOT, Run, Write

FOLDER = Path(next(iter(package.__path__)))


def test_the_receipt_is_told_line_by_line(run: Run, document: Path, receipt: Path) -> None:
    """Sums of each line, what took how much, points, and why one did not act."""
    said = run("explain", document, receipt)

    assert said.code == 0, said.err
    for words_ in (
        "Receipt r-1: store S1",
        "Customer: c-1",
        "200.00     10.00  190.00",
        "Десятая часть (tenth)     10.00            2",
        "points earned on main",
        "another promotion has used these goods",
    ):
        assert words_ in said.out


def test_every_promotion_has_its_fate(run: Run, document: Path, receipt: Path) -> None:
    """None is left out, whether it acted or not."""
    said = run("explain", document, receipt)

    fates = said.out.partition("Why, and why not")[2]
    assert all(each["id"] in fates for each in DOCUMENT["promotions"])


def test_russian_is_russian(run: Run, document: Path, receipt: Path) -> None:
    """Headings, reasons and numbers."""
    said = run("explain", document, receipt, "--lang", "ru")

    for words_ in ("Позиции", "к оплате", "190,00", "эти товары заняла другая акция"):
        assert words_ in said.out


def test_a_bundle_explains_as_its_document(
    run: Run, document: Path, receipt: Path, tmp_path: Path
) -> None:
    """What is published can be asked as well as what is written."""
    run("compile", document, "-o", tmp_path / "b", "--new-key", tmp_path / "key")

    from_bundle = run("explain", tmp_path / "b", receipt)

    assert from_bundle.out == run("explain", document, receipt).out


def test_every_fault_of_a_receipt_is_told(run: Run, document: Path, write: Write) -> None:
    """No stack trace; each place."""
    said = run("explain", document, write("bad.json", RECEIPT | {"lines": 1, "x": 1}))

    assert said.code == 1
    assert "/lines:" in said.err
    assert "/x:" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_every_worked_case_can_be_explained(run: Run, write: Write, lang: str) -> None:
    """Whatever an answer holds, there are words for it."""
    import json

    cases = ROOT / "tests" / "cases" / "engine" / "mechanics.jsonl"
    for line in cases.read_text("utf-8").splitlines()[::4]:
        case = json.loads(line)
        said = run(
            "explain",
            write("p.json", case["programme"]),
            write("r.json", case["receipt"]),
            *("--lang", lang),
        )
        assert said.code == 0, case["id"]


def test_every_reason_and_result_has_words() -> None:
    """A new reason or result of the engine must be worded here too."""
    assert set(REASONS) == set(Reason)
    assert set(NEAREST_FIRST) == set(Reason)
    assert set(RESULTS) == {each.__struct_config__.tag for each in get_args(Result)}


def _messages() -> set[str]:
    found = {*REASONS.values(), *SUBJECTS.values(), *VALUES.values(), *RESULTS.values()}
    found |= {"full price", "discount", "net", "points", "to pay"}
    for name in ("words.py", "explain.py"):
        for node in ast.walk(ast.parse((FOLDER / name).read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
                and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) == "text"
            ):
                found.add(node.args[0].value)
    return found


def test_the_russian_catalogue_is_complete_and_without_remains() -> None:
    """Every message is translated, and nothing is translated that nobody says."""
    path = FOLDER / "locales" / "ru" / "LC_MESSAGES" / "commands.po"
    with path.open("rb") as file:
        catalogue = read_po(file, locale="ru")

    translated = {message.id for message in catalogue if message.id and message.string}

    assert translated == _messages()


def test_spans_and_opposites_are_said_as_people_say_them() -> None:
    """``2–`` is "from 2"; a condition that must not hold is told as one."""
    told = Words("en")

    assert told._value("2–") == "from 2"
    assert told._value("–5") == "up to 5"
    assert told._subject("not store") == "must not hold: store"
    assert words.SUBJECTS["store"] == "store"

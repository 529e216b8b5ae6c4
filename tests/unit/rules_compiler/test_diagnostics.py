"""Every finding that the compiler can make: its code, its place and its words, as golden text."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules_compiler.diagnostics import Severity
from rules_compiler.pipeline import Compilation, compile_document
from tests.support.documents import grown
from tests.support.golden import Case, read_cases

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "cases" / "diagnostics"
CASES = {path.stem: read_cases(path) for path in sorted(FOLDER.glob("*.txt"))}
SOURCES = [*(ROOT / "rules_compiler").glob("*.py"), *(ROOT / "rules_compiler/passes").glob("*.py")]
SOURCES.append(ROOT / "shared" / "wire" / "reading.py")
CODE_ARGUMENT = {"fail": 0, "warning": 1, "_refused": 1}


def compiled(case: Case) -> Compilation:
    """``given`` is a part of a document in JSON, or after a word a whole text as it is."""
    word, _, text = case.given.partition("\n")
    if word == "json":
        return compile_document(text.encode())
    if word == "yaml":
        return compile_document(text.encode(), "yaml")
    return compile_document(json.dumps(grown(json.loads(case.given))).encode())


def told(case: Case) -> str:
    """The findings; lines and columns only of texts that stand in the case as they are."""
    lines = []
    for each in compiled(case).diagnostics:
        text = str(each)
        if not case.given.startswith(("json\n", "yaml\n")):
            text = text.replace(f" (line {each.line}, column {each.column})", "")
        lines.append(text)
    return "\n".join(lines)


def codes_in_sources() -> Iterator[str]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            arguments = [
                *node.args[CODE_ARGUMENT.get(name, 99) :][:1],
                *(each.value for each in node.keywords if each.arg == "code" and name == "Finding"),
            ]
            for each in arguments:
                if isinstance(each, ast.Constant):
                    yield str(each.value)


@pytest.mark.parametrize(
    "case",
    [case for cases in CASES.values() for case in cases],
    ids=[f"{name}: {case.title}" for name, cases in CASES.items() for case in cases],
)
def test_a_finding_says_what_its_case_says(case: Case) -> None:
    """The golden text; GOLDEN=1 writes it anew."""
    case.check(told(case))


def test_every_code_has_a_case() -> None:
    """A finding nobody has seen is a finding nobody can understand."""
    seen = {
        each.code
        for cases in CASES.values()
        for case in cases
        for each in compiled(case).diagnostics
    }

    # One document of 64 MiB is not worth a case.
    assert set(codes_in_sources()) - seen == {"too_large"}


def test_every_code_is_in_the_documentation() -> None:
    """Whoever meets a code finds it in docs/diagnostics.md."""
    text = (ROOT / "docs" / "diagnostics.md").read_text("utf-8")

    assert [code for code in sorted(set(codes_in_sources())) if f"`{code}`" not in text] == []


def test_errors_refuse_and_warnings_do_not() -> None:
    """There is a program exactly where no finding is an error."""
    for cases in CASES.values():
        for case in cases:
            compilation = compiled(case)
            errors = [e for e in compilation.diagnostics if e.severity is Severity.ERROR]
            assert (compilation.program is None) is bool(errors), case.title

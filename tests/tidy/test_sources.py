"""The shape of the sources themselves: what a reader relies on without looking."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "rules_compiler", "edge_agent", "central", "installer")
SQL_IN_PYTHON = re.compile(
    r"^\s*(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|create\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def string_constants(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sql_lives_in_files(path: Path) -> None:
    """Statements stand in .sql files, where they can be read and tuned, never in Python."""
    tree = ast.parse(path.read_text("utf-8"))

    found = [text for text in string_constants(tree) if SQL_IN_PYTHON.match(text)]

    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pricing_and_ledger_use_no_floats(path: Path) -> None:
    """No floating-point number or true division where money and points are computed."""
    if path.relative_to(ROOT).parts[:2] not in {
        ("shared", "engine"),
        ("shared", "ledger"),
        ("rules_compiler", "passes"),
    } and path.name not in {"money.py", "quantity.py", "policy.py"}:
        return
    tree = ast.parse(path.read_text("utf-8"))

    floats = [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
    ]

    assert floats == []


def test_every_module_says_what_it_is_for() -> None:
    """A module opens with a sentence, so that a stranger knows whether to read on."""
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.read_text("utf-8").strip()
        and ast.get_docstring(ast.parse(path.read_text("utf-8"))) is None
    ]

    assert silent == []


def test_every_decision_has_its_own_number() -> None:
    """Numbers of decisions are never used twice."""
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]

    assert len(numbers) == len(set(numbers))

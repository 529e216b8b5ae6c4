"""Every word of the kit in both languages, its options, and what an agent's start brings in."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.kit import cashier, full, printed, summary
from edge_agent.kit.options import RECEIPTS_MAX, TILLS_MAX, add_kit
from edge_agent.kit.suite import CHECKS
from shared.tongues import Tongue

KIT = Path(printed.__file__).parent
SAME_IN_ALL = re.compile(r"\d{3} \w+\.")
"""A code is said as it is."""


def required_words() -> Iterator[str]:
    """What ``require`` tells beside a check's own words."""
    for file in KIT.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {
                "require",
                "MismatchError",
            }:
                last = node.args[-1]
                if len(node.args) > 1 and isinstance(last, ast.Constant):
                    yield str(last.value)


def words() -> set[str]:
    found = {text for check in CHECKS for text in (check.done, check.expected, check.hint)}
    found |= {*printed.WORDS.values(), *printed.LEVEL_WORDS.values(), *required_words()}
    for module in (printed, summary, cashier, full):
        found |= {
            value
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, str)
        }
    return found - {"application/problem+json"}


def test_every_word_has_its_russian() -> None:
    russian = Tongue("ru", "edge_agent.kit")
    found = words()
    assert len(found) > 130
    missing = {each for each in found if not russian.knows(each) and not SAME_IN_ALL.match(each)}
    assert missing == set()


def test_names_of_checks_are_their_own() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
    assert [check.level for check in CHECKS] == sorted(
        (check.level for check in CHECKS), key=["minimum", "middle", "full"].index
    )


@pytest.mark.parametrize(
    "wrong",
    [
        ("--tills", "0"),
        ("--tills", str(TILLS_MAX + 1)),
        ("--receipts", str(RECEIPTS_MAX + 1)),
        ("--receipts", "9" * 5_000),
        ("--rate", "-1"),
        ("--lines", "1.5"),
        ("--lines", "１"),
    ],
)
def test_load_is_bounded(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_kit(parser.add_subparsers())
    common = ["simulate", "--url", "http://a", "--token-file", "f", "--tills", "1"]
    with pytest.raises(SystemExit):
        parser.parse_args([*common, "--receipts", "1", *wrong])
    assert "a whole number from" in capsys.readouterr().err


def test_an_agent_does_not_carry_the_kit() -> None:
    """Its checks and languages are brought in by its commands alone."""
    code = (
        "import sys, edge_agent.__main__\n"
        "print(sorted(m for m in sys.modules if m.startswith(('edge_agent.kit.', 'babel'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['edge_agent.kit.level', 'edge_agent.kit.options']"

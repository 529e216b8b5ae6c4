"""docs/certification.md tells of every check and every option, in the kit's own words."""

from __future__ import annotations

import argparse

from edge_agent.kit import suite
from edge_agent.kit.level import Level
from edge_agent.kit.options import add_kit
from tests.docs.examples import DOCS

PAGE = (DOCS / "certification.md").read_text("utf-8")


def test_tables_are_the_checks() -> None:
    """In their order, under the heading of their level, and no row more."""
    for level in Level:
        section = PAGE.split(f"### {level.value.capitalize()}:")[1].split("\n#")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert rows == [
            f"| `{check.name}` | {check.done} | {check.expected} |"
            for check in suite.CHECKS
            if check.level is level
        ]


def test_every_option_and_outcome_is_told() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    add_kit(commands)
    options = {
        option
        for command in commands.choices.values()
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    assert {option for option in options if f"`{option}" not in PAGE} == set()
    assert {each for each in suite.Outcome if f"`{each.value}`" not in PAGE} == set()

"""Every command by its name."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Final, Protocol

from rules_compiler.commands import (
    backtest,
    check,
    compile_bundle,
    describe,
    diff,
    explain,
    inspect_bundle,
    price,
    refund,
)
from rules_compiler.commands.machine import Machine


class Command(Protocol):
    """What a command's module has."""

    SUMMARY: str
    EXAMPLES: str

    def arguments(self, parser: ArgumentParser) -> None:
        """Fill the command's parser."""
        ...

    def run(self, options: Namespace, machine: Machine) -> int:
        """Do it; the exit code."""
        ...


COMMANDS: Final[Mapping[str, Command]] = {
    "check": check,
    "compile": compile_bundle,
    "describe": describe,
    "price": price,
    "refund": refund,
    "explain": explain,
    "backtest": backtest,
    "diff": diff,
    "inspect": inspect_bundle,
}

"""The options of ``kopilka-edge certify`` and ``simulate``, with their bounds.

Read at every start of the agent's command, so nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.commands import Commands
from edge_agent.kit.level import Level

KIT_COMMANDS: Final = ("certify", "simulate")
TILLS_MAX: Final = 200
"""The largest hypermarkets have a hundred; an agent keeps 256 connections, for others as well."""
RECEIPTS_MAX: Final = 1_000_000
"""Of one till; a till rings a few hundred on a busy day."""
RATE_MAX: Final = 10_000
"""Receipts a second; a chain of a thousand shops has a few hundred."""
LINES_MAX: Final = 100


def add_kit(commands: Commands) -> None:
    """Add the two commands."""
    certify = commands.add_parser("certify", help="check a till's integration, level by level")
    simulate = commands.add_parser("simulate", help="play a shop with many tills, for load")
    for command in (certify, simulate):
        command.add_argument("--url", required=True, help="http://HOST:PORT of the agent")
        command.add_argument(
            "--token-file", type=Path, required=True, help="till.token of the agent's folder"
        )
        command.add_argument("--lang", choices=["en", "ru"], default="en", help="of the words")
        command.add_argument("--report", type=Path, help="a JSON file to write; replaced if there")
    _add_certify(certify)
    _add_simulate(simulate)


def _add_certify(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--level", choices=[level.value for level in Level], default=Level.FULL.value
    )
    command.add_argument("--register", default="KIT", help="the register that sells; %(default)s")
    command.add_argument("--sku", default="kit-1", help="an article; %(default)s")
    command.add_argument("--price", default="100.00", help="its shelf price; %(default)s")
    command.add_argument("--card", help="a member of the test shop with points to spend")
    command.add_argument("--coupon", help="a code that is valid in the test shop")
    command.add_argument("--phone", help="a number that becomes a member's in the test shop")
    command.add_argument("--gift-card", help="a sold gift card with at least 10.00 on it")
    command.add_argument("--pin", help="the gift card's PIN, if it has one")
    command.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="CHECK",
        help="leave a check out; the report says so; again for more",
    )


def _add_simulate(command: argparse.ArgumentParser) -> None:
    for name, low, high, default, purpose in (
        ("--tills", 1, TILLS_MAX, None, "how many sell at once"),
        ("--receipts", 1, RECEIPTS_MAX, None, "how many each of them sells"),
        ("--rate", 0, RATE_MAX, 0, "receipts a second of all tills; 0: as fast as they can"),
        ("--lines", 1, LINES_MAX, 10, "the most scans of a receipt"),
    ):
        command.add_argument(
            name,
            type=_whole(low, high),
            required=default is None,
            default=default,
            help=f"{purpose}; {low} to {high}",
        )
    command.add_argument("--sku", action="append", help="an article; again for more")
    command.add_argument("--card", action="append", help="a member; again for more")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:12]) <= high):
            raise argparse.ArgumentTypeError(f"a whole number from {low} to {high}")
        return int(text)

    return read

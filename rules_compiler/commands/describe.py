"""``describe``: a programme, or one promotion, in plain words."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from difflib import get_close_matches
from pathlib import Path

from rules_compiler.commands.documents import load
from rules_compiler.commands.machine import OK, Machine
from rules_compiler.commands.screen import output
from rules_compiler.describe import describe_programme, describe_promotion
from shared.errors import NotFoundError

SUMMARY = "tell a document, or one promotion, in plain words"
EXAMPLES = """\
  kopilka-rules describe autumn.yaml --lang ru
  kopilka-rules describe autumn.yaml --lang en coffee-2-plus-1"""


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("file", type=Path, help="a programme: JSON, or YAML by its ending")
    parser.add_argument("id", nargs="?", help="only this promotion")
    parser.add_argument("--lang", choices=("en", "ru"), default="en", help="default: en")


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    del machine
    document = load(options.file, bundles=False).document
    assert document is not None, "bundles are not loaded here"
    if options.id is None:
        output().line(describe_programme(document, options.lang))
        return OK
    promotions = {str(each["id"]): each for each in document["promotions"]}
    if options.id not in promotions:
        near = get_close_matches(options.id, promotions, n=1)
        raise NotFoundError(
            f"{options.file} has no promotion {options.id!r}",
            hint=f"Did you mean {near[0]!r}?" if near else "Without an id all are described.",
        )
    output().line(describe_promotion(document, promotions[options.id], options.lang))
    return OK

"""``refund``: what goes back for goods that are returned."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from rules_compiler.commands.machine import Machine
from rules_compiler.commands.stream import answer_stream
from rules_compiler.refunding import refund_line

SUMMARY = "refund returned goods: JSON lines on stdin, one refund a line on stdout"
EXAMPLES = """\
  kopilka-rules refund < returns.jsonl > refunds.jsonl

A line is {"answer": …, "returned": …, "return": …}: the stored answer of the sale, what came back
before, what comes back now. One that is refused is answered by {"error": …} and the next goes on.

exit code: 0 every line was answered or refused, 3 our own code broke on one (see stderr)"""


def arguments(parser: ArgumentParser) -> None:
    """No options."""
    del parser


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    del options, machine
    return answer_stream(sys.stdin.buffer, sys.stdout.buffer, refund_line)

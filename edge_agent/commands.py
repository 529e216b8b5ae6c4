"""What rooms that have commands of their own add them to."""

from __future__ import annotations

import argparse
from typing import Protocol


class Commands(Protocol):
    """What ``ArgumentParser.add_subparsers`` gives."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002 - argparse's own word
        """One command more."""
        ...

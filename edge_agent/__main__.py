"""The command ``kopilka-edge``: today it checks a shop's database for what never may happen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_agent.database.connection import open_reader
from edge_agent.outbox.store import verify_chain
from shared.errors import AppError, NotFoundError
from shared.wire.stream import Lane


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 when not, with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="kopilka-edge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", help="compute the chain of receipts again")
    verify.add_argument("--folder", type=Path, required=True, help="the agent's folder")
    options = parser.parse_args(arguments)
    try:
        print(f"chain whole: {_verify(options.folder)} records")
    except AppError as error:
        print(f"kopilka-edge: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return 1
    return 0


def _verify(folder: Path) -> int:
    path = folder / "edge.sqlite"
    if not path.is_file():
        raise NotFoundError("there is no edge.sqlite in this folder", hint="Check --folder.")
    connection = open_reader(path)
    try:
        return verify_chain(connection, int(Lane.RECEIPTS))
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())

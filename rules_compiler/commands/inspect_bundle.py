"""``inspect``: what a bundle says of itself and what is in it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from rules_compiler.commands.bundle_file import OpenedFile, open_file
from rules_compiler.commands.machine import OK, Machine
from rules_compiler.commands.screen import Column, Screen, Table, output
from shared.bundle.golden import prove_golden
from shared.bundle.trust import VerifiedBundle
from shared.engine.program import ENGINE_VERSION, Index, Program

SUMMARY = "show what a bundle says of itself and what is in it"
EXAMPLES = """\
  kopilka-rules inspect autumn.bundle
  kopilka-rules inspect autumn.bundle --trusted signing.key.pub

Without --trusted the signature is not checked, and the output says so."""

_TOLD_APART: Final = frozenset({"programme", "version", "created_at_ms", "payload_sha256"})


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--trusted", type=Path, metavar="KEYFILE", help="32 raw bytes of a key")


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    del machine
    opened = open_file(options.bundle, options.trusted)
    screen = output()
    _header(screen, options.bundle, opened)
    program = opened.bundle.program
    screen.table(_groups(program))
    screen.table(_results(program))
    screen.table(_index(program.index))
    return _golden(screen, opened.bundle)


def _golden(screen: Screen, bundle: VerifiedBundle) -> int:
    """Golden receipts are priced here, as a shop would before it lets the bundle in."""
    if not bundle.golden:
        screen.line("golden receipts none")
        return OK
    prove_golden(bundle)
    screen.line(f"golden receipts {len(bundle.golden)}, all come out here as at head office")
    return OK


def _header(screen: Screen, path: Path, opened: OpenedFile) -> None:
    header = opened.bundle.header
    verdict = "verified" if opened.verified else "unverified (give --trusted KEYFILE to check it)"
    created = datetime.fromtimestamp(header.created_at_ms // 1000, UTC)
    screen.line(f"{path}: {header.programme} version {header.version}")
    screen.line(f"signed by       {opened.key_id}, {verdict}")
    screen.line(f"created at      {created.isoformat()}")
    screen.line(f"this engine     {ENGINE_VERSION}")
    screen.line(f"file bytes      {opened.file_bytes}")
    screen.line(f"file sha256     {opened.bundle.sha256.hex()}")
    screen.line(f"payload sha256  {header.payload_sha256.hex()}")
    stated: dict[str, Any] = msgspec.structs.asdict(header)
    for name, value in stated.items():
        if name not in _TOLD_APART:
            told = f"{len(value)}" if isinstance(value, list | dict | bytes) else value
            screen.line(f"{name.replace('_', ' '):<15} {told}")
    screen.line()


def _groups(program: Program) -> Table:
    return Table(
        title="Groups, in their order",
        columns=[
            Column("group"),
            Column("resolve"),
            Column("promotions", right=True),
            Column("first"),
            Column("last"),
        ],
        rows=[
            [
                group.id,
                group.resolve.value,
                str(len(group.promotions)),
                group.promotions[0].id if group.promotions else "",
                group.promotions[-1].id if group.promotions else "",
            ]
            for group in program.groups
        ],
    )


def _results(program: Program) -> Table:
    counts = Counter(
        str(result.__struct_config__.tag)
        for group in program.groups
        for promotion in group.promotions
        for result in promotion.results
    )
    return Table(
        title="Results",
        columns=[Column("do"), Column("count", right=True)],
        rows=[[kind, str(count)] for kind, count in counts.most_common()],
    )


def _index(index: Index | None) -> Table:
    table = Table(
        title="Index: by what a receipt reaches its promotions",
        columns=[Column("by"), Column("keys", right=True), Column("promotions", right=True)],
    )
    parts: dict[str, Any] = {} if index is None else msgspec.structs.asdict(index)
    for name, part in parts.items():
        if isinstance(part, dict) and part:
            reached = {ordinal for ordinals in part.values() for ordinal in ordinals}
            table.rows.append([name, str(len(part)), str(len(reached))])
        elif isinstance(part, list):
            table.rows.append([name, "", str(len(part))])
    return table

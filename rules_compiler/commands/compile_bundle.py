"""``compile``: a signed bundle of a document."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime
from pathlib import Path

import msgspec

from rules_compiler.commands.bundle_file import KEY_BYTES, read_key
from rules_compiler.commands.documents import load
from rules_compiler.commands.machine import OK, Machine
from rules_compiler.commands.receipts import read_batches
from rules_compiler.commands.screen import output
from shared import limits
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.errors import InputError
from shared.ids import Chance
from shared.wire.receipt import Receipt
from shared.wire.receipt_json import ReceiptError, decode_receipt

SUMMARY = "write a signed bundle"
EXAMPLES = """\
  kopilka-rules compile autumn.yaml -o autumn.bundle --key signing.key
  kopilka-rules compile autumn.yaml -o autumn.bundle --new-key signing.key

A key is 32 raw bytes of Ed25519. --new-key makes one that only you can read, and beside it the
public half (signing.key.pub), by which others check the signature."""


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("file", type=Path, help="a programme: JSON, or YAML by its ending")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the bundle to write")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key", type=Path, help="the signing key: 32 raw bytes")
    keys.add_argument("--new-key", type=Path, help="make a signing key, and sign by it")
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="RECEIPTS",
        help="receipts (JSON lines) that every shop prices before it lets the bundle in",
    )
    parser.add_argument(
        "--created-at",
        type=_instant,
        metavar="TIME",
        help="the time that the bundle states (ISO with offset): the same bytes each time",
    )


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    if options.key is None and options.new_key is None:
        raise InputError(
            "a bundle is signed, and no key was given",
            code="no_key",
            hint="Give --key FILE, or let one be made with --new-key FILE.",
        )
    program = load(options.file, bundles=False).program
    golden = [] if options.golden is None else _golden(options.golden)
    screen = output()
    if options.key is not None:
        signer = Signer(read_key(options.key))
    else:
        signer = _new_key(options.new_key, machine.chance)
        screen.line(f"{options.new_key}: a new signing key; keep it secret, and a copy of it safe")
        screen.line(f"{_public(options.new_key)}: its public half")
    created_at_ms = (
        machine.clock.now_ms() if options.created_at is None else int(options.created_at)
    )
    data = write_bundle(program, signer, created_at_ms=created_at_ms, golden=golden)
    _replace(options.output, data)
    count = sum(len(group.promotions) for group in program.groups)
    screen.line(
        f"{options.output}: {program.programme} version {program.version}, {count} promotions, "
        f"{len(golden)} golden receipts, {len(data)} bytes, signed by {signer.key_id}"
    )
    return OK


def _golden(path: Path) -> list[Receipt]:
    """The receipts of this file, of nobody in particular: they travel to every shop."""
    found: list[Receipt] = []
    for batch in read_batches([path], lambda _done: None):
        for number, line in zip(batch.line_numbers, batch.lines, strict=True):
            try:
                receipt = decode_receipt(line)
            except ReceiptError as error:
                place = f"{path}:{number}: {error.pointer or '/'}"
                raise InputError(f"{place}: {error.message}", hint=error.hint) from error
            if receipt.customer is not None:
                nobody = msgspec.structs.replace(receipt.customer, id=None)
                receipt = msgspec.structs.replace(receipt, customer=nobody)
            found.append(receipt)
        if len(found) > limits.BUNDLE_GOLDEN_MAX:
            raise InputError(f"a bundle has at most {limits.BUNDLE_GOLDEN_MAX} golden receipts")
    return found


def _instant(text: str) -> int:
    """Milliseconds of an ISO time with an offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is not a time such as 2026-11-23T12:00:00+03:00")
    return int(at.timestamp()) * 1000


def _public(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def _new_key(path: Path, chance: Chance) -> Signer:
    """A key that never was, in files that never were: no key is ever overwritten."""
    signer = Signer(chance.token_bytes(KEY_BYTES))
    for file, data, mode in (
        (path, signer.private_bytes(), 0o600),
        (_public(path), signer.public_key, 0o644),
    ):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as key:
            key.write(data)
    return signer


def _replace(path: Path, data: bytes) -> None:
    """Write the file whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)

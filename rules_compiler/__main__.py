"""``kopilka-rules``: check, compile and try programme documents."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from rules_compiler.pipeline import compile_document
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.engine.program import Program
from shared.errors import AppError
from shared.system import SystemChance, SystemClock
from shared.wire.answer import answer_to_json
from shared.wire.receipt_json import decode_receipt


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 for a refused document, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="kopilka-rules", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say what is wrong with a document")
    check.add_argument("file", type=Path)
    build = commands.add_parser("compile", help="write a signed bundle")
    build.add_argument("file", type=Path)
    build.add_argument("-o", "--output", type=Path, required=True)
    build.add_argument("--key", type=Path, required=True, help="32 raw bytes of an Ed25519 key")
    price = commands.add_parser(
        "price", help='read {"programme": …, "receipt": …} lines, write one answer a line'
    )
    price.add_argument("--trace", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.command == "check":
            return _check(options.file)
        if options.command == "compile":
            return _compile(options.file, options.output, options.key)
        return _price(sys.stdin.buffer, trace=options.trace)
    except BrokenPipeError:
        # The reader has seen enough (a pager, head); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except AppError as error:
        print(error.message, file=sys.stderr)
        return 1


def _load(path: Path) -> Program | None:
    compilation = compile_document(path.read_bytes())
    for diagnostic in compilation.diagnostics:
        print(f"{path}: {diagnostic}", file=sys.stderr)
    return compilation.program


def _check(path: Path) -> int:
    program = _load(path)
    if program is None:
        return 1
    count = sum(len(group.promotions) for group in program.groups)
    print(f"{path}: {program.programme} version {program.version}, {count} promotions")
    return 0


def _compile(path: Path, output: Path, key: Path) -> int:
    program = _load(path)
    if program is None:
        return 1
    signer = Signer(key.read_bytes())
    output.write_bytes(write_bundle(program, signer, created_at_ms=SystemClock().now_ms()))
    print(f"{output}: {output.stat().st_size} bytes, signed by {signer.key_id}")
    return 0


def _price(lines: Iterable[bytes], *, trace: bool) -> int:
    """The very path of production: document, bundle bytes, loaded program, engine."""
    signer = Signer(SystemChance().token_bytes(32))
    for line in lines:
        if line.strip():
            print(json.dumps(_price_one(line, signer, trace=trace), ensure_ascii=False), flush=True)
    return 0


def _price_one(line: bytes, signer: Signer, *, trace: bool) -> dict[str, Any]:
    try:
        asked = json.loads(line, parse_float=str)
        if not isinstance(asked, dict) or not {"programme", "receipt"} <= asked.keys():
            return _refusal("input", 'a line is {"programme": …, "receipt": …}')
        compilation = compile_document(_part(line, "programme"))
        if compilation.program is None:
            first = compilation.diagnostics[0]
            return {
                "error": {
                    "code": first.code,
                    "detail": first.message,
                    "pointer": first.pointer,
                    "findings": [
                        {"code": each.code, "detail": each.message, "pointer": each.pointer}
                        for each in compilation.diagnostics
                    ],
                }
            }
        bundle = open_bundle(
            write_bundle(compilation.program, signer, created_at_ms=0),
            {signer.key_id: signer.public_key},
            version_floor=0,
        )
        receipt = decode_receipt(_part(line, "receipt"))
        return answer_to_json(evaluate(bundle.program, receipt, trace=trace))
    except AppError as error:
        return _refusal(error.stable_code, error.message, error.pointer)
    except (ValueError, RecursionError):
        return _refusal("not_json", "the line is not JSON")


def _refusal(code: str, detail: str, pointer: str | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "detail": detail, "pointer": pointer}}


def _part(line: bytes, key: str) -> bytes:
    """One member of the line's object as it was written, so that numbers keep their text."""
    parts: dict[str, msgspec.Raw] = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    return bytes(parts[key])


if __name__ == "__main__":
    sys.exit(main())

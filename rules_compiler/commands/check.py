"""``check``: every finding in a document, or that there is none."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from rules_compiler.commands.documents import compile_file, show_findings
from rules_compiler.commands.machine import OK, REFUSED, Machine
from rules_compiler.commands.screen import output
from rules_compiler.diagnostics import Diagnostic, Severity
from rules_compiler.pipeline import Compilation

SUMMARY = "say what is wrong with a document"
EXAMPLES = """\
  kopilka-rules check autumn.yaml
  kopilka-rules check autumn.json --json

exit code: 0 nothing refuses the document (there may be warnings), 1 it has errors"""


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("file", type=Path, help="a programme: JSON, or YAML by its ending")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    del machine
    compilation = compile_file(options.file)
    if options.json:
        # A writer of tools reads it, whatever alphabet its terminal has.
        output().line(json.dumps(_told(options.file, compilation), indent=2))
    else:
        _show(options.file, compilation)
    return REFUSED if compilation.program is None else OK


def _count(compilation: Compilation, severity: Severity) -> int:
    return sum(each.severity is severity for each in compilation.diagnostics)


def _promotions(compilation: Compilation) -> int:
    program = compilation.program
    return 0 if program is None else sum(len(group.promotions) for group in program.groups)


def _show(path: Path, compilation: Compilation) -> None:
    screen = output()
    show_findings(screen, path, compilation.diagnostics)
    errors, warnings = (_count(compilation, each) for each in (Severity.ERROR, Severity.WARNING))
    program = compilation.program
    if program is None:
        screen.line(f"{path}: refused, {_many(errors, 'error')}, {_many(warnings, 'warning')}")
        return
    screen.line(
        f"{path}: {program.programme} version {program.version}, "
        f"{_many(_promotions(compilation), 'promotion')}, {_many(warnings, 'warning')}",
        style="green",
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _told(path: Path, compilation: Compilation) -> dict[str, Any]:
    program = compilation.program
    return {
        "file": str(path),
        "ok": program is not None,
        "programme": None if program is None else program.programme,
        "version": None if program is None else program.version,
        "promotions": _promotions(compilation),
        "errors": _count(compilation, Severity.ERROR),
        "warnings": _count(compilation, Severity.WARNING),
        "findings": [_finding(each) for each in compilation.diagnostics],
    }


def _finding(each: Diagnostic) -> dict[str, Any]:
    return {
        "severity": each.severity.value,
        "code": each.code,
        "pointer": each.pointer,
        "line": each.line,
        "column": each.column,
        "detail": each.message,
        "found": each.found,
        "expected": each.expected,
        "hint": each.hint,
    }

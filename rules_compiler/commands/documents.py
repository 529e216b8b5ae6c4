"""Programmes from files: JSON or YAML by the file's ending, or a bundle by its first bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rules_compiler.commands.bundle_file import is_bundle, open_file
from rules_compiler.commands.screen import Screen, complaints
from rules_compiler.diagnostics import Diagnostic, Severity
from rules_compiler.pipeline import DOCUMENT_BYTES_MAX, Compilation, Syntax, compile_document
from rules_compiler.yaml_reading import parse_yaml
from shared.engine.program import Program
from shared.errors import InputError
from shared.wire.reading import parse_json

_YAML_ENDINGS: Final = frozenset({".yaml", ".yml"})


class RefusedError(InputError):
    """The document was refused; ``diagnostics`` tell every place."""

    code = "refused"

    def __init__(self, path: Path, diagnostics: list[Diagnostic]) -> None:
        super().__init__(f"{path} was refused")
        self.path = path
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A programme ready for use; ``document`` None where it came as a bundle."""

    program: Program
    document: Mapping[str, Any] | None


def syntax_of(path: Path) -> Syntax:
    """How the file is written, by its ending."""
    return "yaml" if path.suffix.lower() in _YAML_ENDINGS else "json"


def read_document_file(path: Path) -> bytes:
    """The bytes of a document, at most one more than may be compiled."""
    with path.open("rb") as file:
        return file.read(DOCUMENT_BYTES_MAX + 1)


def compile_file(path: Path) -> Compilation:
    """The document of this file, compiled."""
    return compile_document(read_document_file(path), syntax_of(path))


def load(path: Path, *, bundles: bool = True) -> Loaded:
    """The programme of this file; warnings are shown on stderr.

    Raises:
        RefusedError: the document has errors.
        AppError: the bundle is none.
        OSError: the file cannot be read.
    """
    data = read_document_file(path)
    if is_bundle(data):
        if not bundles:
            raise InputError(
                f"{path} is a bundle; a document is needed",
                hint="Give the JSON or YAML document that the bundle was compiled from.",
            )
        return Loaded(program=open_file(path).bundle.program, document=None)
    syntax = syntax_of(path)
    compilation = compile_document(data, syntax)
    if compilation.program is None:
        raise RefusedError(path, compilation.diagnostics)
    show_findings(complaints(), path, compilation.diagnostics)
    document = parse_yaml(data) if syntax == "yaml" else parse_json(data)
    return Loaded(program=compilation.program, document=document)


def show_findings(screen: Screen, path: Path, diagnostics: list[Diagnostic]) -> None:
    """Every finding: what, where, what was found and what is expected, and what to do."""
    for each in diagnostics:
        place = "" if each.line is None else f":{each.line}:{each.column}"
        is_error = each.severity is Severity.ERROR
        screen.line(
            f"{path}{place}: {each.severity} {each.code} at {each.pointer or '/'}",
            style="bold red" if is_error else "yellow",
        )
        if each.found is not None and each.expected is not None:
            screen.line(f"    found     {each.found}")
            screen.line(f"    expected  {each.expected}")
        else:
            screen.line(f"    {each.message}")
        if each.hint:
            screen.line(f"    hint      {each.hint}")

"""Compile: from the bytes of a document to a program, or to everything that is wrong with it.

Reading resolves names and checks types, and tells every fault with its place. A document without
faults is looked through for what its author can hardly mean (``CHECKS``, which only warn), then
passes turn it into the program (``PASSES``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from rules_compiler.diagnostics import HINTS, Diagnostic, Severity
from rules_compiler.document import Document, read_document
from rules_compiler.passes.check_competitions import check_competitions
from rules_compiler.passes.check_conditions import check_conditions
from rules_compiler.passes.check_empty_lists import check_empty_lists
from rules_compiler.passes.check_filters import check_filters
from rules_compiler.passes.check_floors import check_floors
from rules_compiler.passes.check_gains import check_gains
from rules_compiler.passes.check_ladders import check_ladders
from rules_compiler.passes.check_limits import check_limits
from rules_compiler.passes.check_prices import check_prices
from rules_compiler.passes.check_references import check_references
from rules_compiler.passes.check_shadowing import check_shadowing
from rules_compiler.passes.check_strangers import check_strangers
from rules_compiler.passes.check_times import check_times
from rules_compiler.passes.fold_constants import fold_constants
from rules_compiler.passes.index_candidates import index_candidates
from rules_compiler.passes.normalize_conditions import normalize_conditions
from rules_compiler.passes.order_rules import order_rules
from rules_compiler.positions import Position, json_positions
from rules_compiler.yaml_reading import parse_yaml, yaml_positions
from shared.engine.program import Program
from shared.wire.problem import Finding
from shared.wire.reading import FormatError, Place, parse_json

DOCUMENT_BYTES_MAX: Final = 64 * 2**20
"""100,000 promotions at some 600 bytes of JSON."""
WARNINGS_MAX: Final = 1_000
"""More than anybody reads; a document of many thousand promotions could have tens of thousands."""

Syntax = Literal["json", "yaml"]

CHECKS: Final[tuple[Callable[[Document], Iterable[Diagnostic]], ...]] = (
    check_times,
    check_empty_lists,
    check_conditions,
    check_references,
    check_strangers,
    check_filters,
    check_limits,
    check_gains,
    check_floors,
    check_prices,
    check_competitions,
    check_ladders,
    check_shadowing,
)
PASSES: Final[tuple[Callable[[Document], Document], ...]] = (
    normalize_conditions,
    fold_constants,
    order_rules,
    index_candidates,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """The program, or None when there is an error among the findings."""

    program: Program | None
    diagnostics: list[Diagnostic]


def compile_document(data: bytes, syntax: Syntax = "json") -> Compilation:
    """Compile a programme document. The same document always gives the same program."""
    try:
        document, findings = _read(data, syntax)
    except FormatError as error:
        broken = [_error(finding) for finding in error.findings]
        if error.line is not None:
            broken = [replace(each, line=error.line, column=error.column) for each in broken]
            return Compilation(program=None, diagnostics=broken)
        return Compilation(program=None, diagnostics=_placed(broken, data, syntax))
    if document is None or findings:
        return Compilation(
            program=None, diagnostics=_placed([_error(each) for each in findings], data, syntax)
        )
    warnings = [warning for check in CHECKS for warning in check(document)][:WARNINGS_MAX]
    for each_pass in PASSES:
        document = each_pass(document)
    return Compilation(program=document.program, diagnostics=_placed(warnings, data, syntax))


def _read(data: bytes, syntax: Syntax) -> tuple[Document | None, list[Finding]]:
    if len(data) > DOCUMENT_BYTES_MAX:
        detail = f"the document has {len(data)} bytes, at most {DOCUMENT_BYTES_MAX} are read"
        return None, [Finding(code="too_large", detail=detail, pointer="")]
    findings: list[Finding] = []
    value: Any = parse_yaml(data) if syntax == "yaml" else parse_json(data)
    return read_document(Place(value, "", findings)), findings


def _error(finding: Finding) -> Diagnostic:
    return Diagnostic(
        code=finding.code,
        severity=Severity.ERROR,
        pointer=finding.pointer or "",
        message=finding.detail,
        hint=finding.hint or HINTS.get(finding.code),
        found=finding.found,
        expected=finding.expected,
    )


def _placed(diagnostics: list[Diagnostic], data: bytes, syntax: Syntax) -> list[Diagnostic]:
    """The same findings with their lines and columns, where the text can be read again."""
    if not diagnostics:
        return []
    pointers = {each.pointer for each in diagnostics}
    places: dict[str, Position] = {}
    try:
        if syntax == "yaml":
            places = yaml_positions(data, pointers)
        else:
            places = json_positions(data.decode("utf-8-sig"), pointers)
    except (FormatError, ValueError, StopIteration, IndexError, RecursionError):
        return diagnostics
    placed = [
        replace(each, line=place.line, column=place.column)
        if (place := places.get(each.pointer)) is not None
        else each
        for each in diagnostics
    ]
    return sorted(placed, key=lambda each: (each.line or 0, each.column or 0))

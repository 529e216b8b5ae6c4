"""Compile: from the bytes of a document to a program, or to everything that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rules_compiler.diagnostics import Diagnostic, Severity
from rules_compiler.document import read_document
from rules_compiler.passes.index_candidates import index_candidates
from rules_compiler.passes.order_rules import order_rules
from shared.engine.program import Program
from shared.wire.problem import Finding
from shared.wire.reading import FormatError, Place, parse_json

DOCUMENT_BYTES_MAX: Final = 64 * 2**20
"""100,000 promotions at some 600 bytes of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """The program, or None when there is an error among the findings."""

    program: Program | None
    diagnostics: list[Diagnostic]


def compile_document(data: bytes) -> Compilation:
    """Compile a programme document (JSON). The same bytes always give the same program."""
    findings: list[Finding] = []
    program = None
    if len(data) > DOCUMENT_BYTES_MAX:
        detail = f"the document has {len(data)} bytes, at most {DOCUMENT_BYTES_MAX} are read"
        findings.append(Finding(code="too_large", detail=detail, pointer=""))
    else:
        try:
            document = read_document(Place(parse_json(data), "", findings))
            program = None if document is None else index_candidates(order_rules(document))
        except FormatError as error:
            findings.extend(error.findings)
    return Compilation(
        program=None if findings else program,
        diagnostics=[
            Diagnostic(
                code=finding.code,
                severity=Severity.ERROR,
                pointer=finding.pointer or "",
                message=finding.detail,
                hint=finding.hint,
                found=finding.found,
                expected=finding.expected,
            )
            for finding in findings
        ],
    )

"""Fuzz the reading of documents, guided by coverage. Run by hand.

    .venv/bin/pip install atheris
    .venv/bin/python tests/fuzz/fuzz_document.py -max_total_time=600

The first byte says whether the rest is YAML. What is found belongs into tests/unit/rules_compiler.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["rules_compiler", "shared"]):
    from rules_compiler.diagnostics import Severity
    from rules_compiler.pipeline import compile_document
    from shared.engine.program import decode_program, encode_program


def compile_any(data: bytes) -> None:
    """Findings or a program that survives its own encoding; never an exception."""
    compilation = compile_document(data[1:], "yaml" if data[:1] == b"y" else "json")
    errors = [each for each in compilation.diagnostics if each.severity is Severity.ERROR]
    assert (compilation.program is None) is bool(errors)
    for each in compilation.diagnostics:
        str(each).encode()
    if compilation.program is not None:
        assert decode_program(encode_program(compilation.program)) == compilation.program


if __name__ == "__main__":
    atheris.Setup(sys.argv, compile_any)
    atheris.Fuzz()

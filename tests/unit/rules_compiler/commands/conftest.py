"""Documents and receipts as files, and the command as a function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rules_compiler.__main__ import main
from tests.unit.rules_compiler.commands.samples import DOCUMENT, RECEIPT, Outcome, Run, Write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process."""

    def call(*arguments: object) -> Outcome:
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return call


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file of JSON, of JSON lines where it is a list, of bytes or of text."""

    def save(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, "utf-8")
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(each) + "\n" for each in content), "utf-8")
        else:
            path.write_text(json.dumps(content), "utf-8")
        return path

    return save


@pytest.fixture
def document(write: Write) -> Path:
    return write("shop.json", DOCUMENT)


@pytest.fixture
def receipt(write: Write) -> Path:
    return write("receipt.json", RECEIPT)

"""``check``: every finding is told, with its place; the exit code tells errors from warnings."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.rules_compiler.commands.samples import DOCUMENT, Run, Write


def test_a_sound_document_is_summed_up(run: Run, document: Path) -> None:
    """Nothing wrong: one line and exit code 0."""
    said = run("check", document)

    assert (said.code, said.err) == (0, "")
    assert "shop version 7, 4 promotions" in said.out


def test_every_error_is_shown_with_place_and_halves(run: Run, write: Write) -> None:
    """Errors: pointer, line, what was found and expected, and a hint where there is one."""
    broken = DOCUMENT | {"acounts": [], "version": "x"}

    said = run("check", write("broken.json", json.dumps(broken, indent=1)))

    assert said.code == 1
    assert "error unknown_key at /acounts" in said.out
    assert "hint      Did you mean 'accounts'?" in said.out
    assert "error number at /version" in said.out
    assert "broken.json:3:" in said.out
    assert "refused, 2 errors" in said.out


def test_yaml_is_known_by_its_ending(run: Run, write: Write) -> None:
    """A YAML document is read as YAML, and its findings have lines."""
    path = write("shop.yaml", "programme: shop\nversion: 1\ncurrency: RUB\npromotions: 5\n")

    said = run("check", path)

    assert said.code == 1
    assert f"{path}:4:13: error type at /promotions" in said.out


def test_json_says_all_of_it(run: Run, write: Write) -> None:
    """``--json`` is one object with every finding."""
    said = run("check", "--json", write("broken.json", DOCUMENT | {"version": "x"}))

    told = json.loads(said.out)
    assert (said.code, told["ok"], told["errors"]) == (1, False, 1)
    assert told["findings"][0]["pointer"] == "/version"
    assert {"severity", "code", "line", "column", "found", "expected", "hint", "detail"} <= set(
        told["findings"][0]
    )


def test_a_missing_file_is_told_kindly(run: Run, tmp_path: Path) -> None:
    """No stack trace, exit code 2, and what to look at."""
    said = run("check", tmp_path / "none.json")

    assert said.code == 2
    assert "none.json: No such file or directory." in said.err
    assert "Check the name" in said.err
    assert "Traceback" not in said.err


def test_a_folder_is_no_document(run: Run, tmp_path: Path) -> None:
    """A folder in place of a file is wrong usage too."""
    said = run("check", tmp_path)

    assert said.code == 2
    assert "Traceback" not in said.err


def test_names_cannot_steer_the_terminal(run: Run, write: Write) -> None:
    """Control characters of a document are not written out."""
    said = run("check", write("evil.json", DOCUMENT | {"programme": "a\x1b[2Jb"}))

    assert "\x1b" not in said.out

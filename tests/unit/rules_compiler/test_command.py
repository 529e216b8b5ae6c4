"""``kopilka-rules`` as a whole: help, wrong usage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rules_compiler.__main__ import main
from rules_compiler.commands.registry import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--help`` ends well and shows how it is called."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"kopilka-rules {name} " in said.partition("examples:")[2]


def test_wrong_usage_is_told_and_is_2() -> None:
    """An unknown command, as a process."""
    done = subprocess.run(
        [sys.executable, "-m", "rules_compiler", "prise"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "invalid choice: 'prise'" in done.stderr
    assert "Traceback" not in done.stderr

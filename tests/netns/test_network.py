"""Shops on a failing network keep selling, and head office's books come out right."""

from __future__ import annotations

import subprocess

import pytest

from tests.netns.network import world_command

SCENARIOS = ("partitions", "narrow_and_lossy", "central_killed", "one_wallet", "liars")
PATIENCE_S = 420


@pytest.mark.processes
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_books_are_right_after(scenario: str) -> None:
    """See the scenario of this name."""
    done = subprocess.run(
        world_command("tests.netns.scenarios", scenario),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0

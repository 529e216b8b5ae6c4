"""Tills find their hub by its announcement, and nobody else."""

from __future__ import annotations

import subprocess

import pytest

from tests.netns.network import world_command

PATIENCE_S = 180


@pytest.mark.processes
def test_till_finds_its_hub_past_a_rogue_and_follows_it() -> None:
    """See ``tests.netns.discovery``."""
    done = subprocess.run(
        world_command("tests.netns.discovery"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0
    assert "hub.impostor" in done.stdout, "the till says that somebody else answered"

"""Ctrl-C at any moment of the start: no trace on the screen, no process left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

INTERRUPTED = {130, -signal.SIGINT}


def catches_sigint(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def wait_for_main(pid: int) -> None:
    """Python catches SIGINT from early on; the first thing the demo does is to stop that."""
    until = time.monotonic() + 30
    while not catches_sigint(pid) and time.monotonic() < until:
        time.sleep(0.001)
    while catches_sigint(pid) and time.monotonic() < until:
        time.sleep(0.001)


@pytest.mark.processes
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.3, 0.4])
def test_ctrl_c_shows_no_trace(tmp_path: Path, after_s: float) -> None:
    """However early Ctrl-C comes, the screen shows words or nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "installer.demo", "--exit"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[4]), "LANG": "C.UTF-8"},
    ) as demo:
        wait_for_main(demo.pid)
        time.sleep(after_s)
        demo.send_signal(signal.SIGINT)
        output, _ = demo.communicate(timeout=60)

    assert "Traceback" not in output
    assert demo.returncode in INTERRUPTED

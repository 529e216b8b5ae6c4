"""Children end, whatever they do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from installer.demo.processes import Children, DemoError

PARENT = """
import os, sys, time
from pathlib import Path
from installer.demo.processes import Children
children = Children(Path(sys.argv[1]))
children.start("sleeper", os.path.basename(sys.executable), "-c", "import time; time.sleep(600)")
print(children.pid("sleeper"), flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_running(pid)


def start_sleeper(children: Children, code: str) -> int:
    children.start("sleeper", Path(sys.executable).name, "-c", code)
    return children.pid("sleeper")


def test_stop_all_ends_programs(tmp_path: Path) -> None:
    """After stop_all nothing that was started runs."""
    children = Children(tmp_path)
    pid = start_sleeper(children, "import time; time.sleep(600)")

    children.stop_all()

    assert not is_running(pid)


def test_group_of_a_child_ends_with_it(tmp_path: Path) -> None:
    """What a child started itself does not outlive it."""
    children = Children(tmp_path)
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    start_sleeper(children, code)
    until = time.monotonic() + 10
    while not children.output("sleeper").endswith("\n") and time.monotonic() < until:
        time.sleep(0.02)
    grandchild = int(children.output("sleeper"))

    children.stop_all()

    assert wait_gone(grandchild)


def test_children_of_a_killed_demo_end_too(tmp_path: Path) -> None:
    """Even SIGKILL of the demo leaves no child: the kernel ends them."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    assert wait_gone(pid)


async def test_failed_command_says_its_last_words(tmp_path: Path) -> None:
    """A command that fails is reported with what it said, not with a trace."""
    children = Children(tmp_path)

    with pytest.raises(DemoError, match="no such store"):
        await children.run(
            "fails", Path(sys.executable).name, "-c", "import sys; sys.exit('no such store')"
        )


async def test_ready_line_is_awaited(tmp_path: Path) -> None:
    """A program is ready when it says so, and not before the line is whole."""
    children = Children(tmp_path)
    start_sleeper(children, "import time; print('ready http://x', flush=True); time.sleep(600)")

    try:
        assert await children.ready("sleeper") == "http://x"
    finally:
        children.stop_all()

"""Child programs that never outlive the demo.

Each runs in a process group of its own; the kernel ends it when the demo dies (PR_SET_PDEATHSIG);
and ``stop_all`` ends whole groups, first politely. A child is noted in the same step in which it is
started, so that there is no moment at which Ctrl-C could miss it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from shared.errors import UnavailableError

PDEATHSIG: Final = 1
STOP_GRACE_S: Final = 10.0
POLL_S: Final = 0.02
_LIBC = ctypes.CDLL(None, use_errno=True)


class DemoError(UnavailableError):
    """A program of the demo did not do what it was asked."""

    code = "demo"


class Children:
    """The programs the demo has started; logs go to ``folder``/``<name>.{out,err}``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._count = 0

    def start(self, name: str, program: str, *arguments: str, stdin: bytes = b"") -> None:
        """Start a console script of this environment under a name that is not running."""
        assert name not in self._running
        path = Path(sys.executable).with_name(program)
        if not path.exists():
            raise DemoError(f"{program} is not installed beside this Python.", hint="make setup")
        out, err = self._folder / f"{name}.out", self._folder / f"{name}.err"
        with out.open("wb") as stdout, err.open("ab") as stderr:
            child = subprocess.Popen(
                [str(path), *arguments],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the demo forks from one thread
            )
        self._running[name] = child
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(stdin)

    async def run(
        self, name: str, program: str, *arguments: str, stdin: bytes = b"", fail: bool = True
    ) -> tuple[int, str]:
        """Run a command to its end: exit code and standard output.

        Raises:
            DemoError: it failed, and ``fail`` is set; with the last words it said.
        """
        self._count += 1
        name = f"{self._count:02d}-{name}"
        self.start(name, program, *arguments, stdin=stdin)
        child = self._running[name]
        while child.poll() is None:  # noqa: ASYNC110 - a pid has no event to wait for
            await asyncio.sleep(POLL_S)
        del self._running[name]
        if child.returncode and fail:
            raise DemoError(
                f"{program} {arguments[0] if arguments else ''} ended with {child.returncode}: "
                f"{self.last_words(name)}",
                hint=f"See {self._folder.name}/{name}.err",
            )
        return child.returncode, self.output(name)

    async def ready(self, name: str, *, timeout_s: float = 60.0) -> str:
        """Wait for the line ``ready …`` of a program; gives what follows the word.

        Raises:
            DemoError: the program ended, or said nothing in time.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in self.output(name).splitlines(keepends=True):
                if line.startswith("ready ") and line.endswith("\n"):
                    return line.removeprefix("ready ").strip()
            if self._running[name].poll() is not None:
                raise DemoError(f"{name} ended at its start: {self.last_words(name)}")
            await asyncio.sleep(POLL_S)
        raise DemoError(f"{name} did not get ready in {timeout_s:.0f} s.")

    def pid(self, name: str) -> int:
        """The process id of a running program."""
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL a program and its group, as a power cut would, and forget it."""
        child = self._running.pop(name)
        _signal_group(child, signal.SIGKILL)
        child.wait()

    def output(self, name: str) -> str:
        """What a program has written to its standard output so far."""
        return (self._folder / f"{name}.out").read_text("utf-8", errors="replace")

    def last_words(self, name: str) -> str:
        """The last two non-empty lines a program said: its error and the hint."""
        for suffix in ("err", "out"):
            text = (self._folder / f"{name}.{suffix}").read_text("utf-8", errors="replace")
            lines = [line for line in text.splitlines() if line.strip()]
            if any(line.startswith("Traceback ") for line in lines):
                return lines[-1][:300]  # a trace is for the log, not for the screen
            if lines:
                return " ".join(line.strip() for line in lines[-2:])[:400]
        return "it said nothing"

    def stop(self, name: str) -> None:
        """End one program, politely first."""
        child = self._running.pop(name)
        _signal_group(child, signal.SIGTERM)
        _wait_or_kill([child])

    def stop_all(self) -> None:
        """End every program, the youngest first, and what a killed one may have left behind."""
        children = list(reversed(self._running.values()))
        for child in children:
            _signal_group(child, signal.SIGTERM)
        _wait_or_kill(children)
        self._running.clear()


def stop_leftover_servers(folder: Path) -> None:
    """End a PostgreSQL whose supervisor was killed before it could: its pid file is still there."""
    for pid_file in folder.rglob("postmaster.pid"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGINT)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")
    return 0


def _die_with_parent() -> None:
    _LIBC.prctl(PDEATHSIG, signal.SIGTERM)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _wait_or_kill(children: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + STOP_GRACE_S
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, until - time.monotonic()))
    for child in children:
        # The leader may be gone while others of its group are not.
        _signal_group(child, signal.SIGKILL)
        child.wait()

"""Central as several processes: who starts them, starts one again that died, and ends them all.

Taking records in is Python and PostgreSQL in turn, so one process uses one core of them. With more,
each serves the agents' port with a listener of its own, and the kernel deals connections out. What
must run once, the pages and the timers, is a process apart: neither a slow page nor a storm keeps
the other. The parent serves nobody. It is small, and a child that dies (also by ``kill -9``) is
started again while the others go on; when the parent dies, its children end.
"""

from __future__ import annotations

import asyncio
import ctypes
import enum
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shared.errors import UnavailableError
from shared.logs import get_logger

PROCESSES_MAX: Final = 32
"""Of the uplink; each may open twenty connections to the database."""
START_S_MAX: Final = 60.0
"""Until every child has said that it is ready, the first time."""
STOP_S_MAX: Final = 10.0
"""For open requests; what is still there is killed, and loses nothing that was acknowledged."""
RESTART_S_MIN: Final = 0.2
RESTART_S_MAX: Final = 10.0
HEALTHY_S: Final = 60.0
"""A child that lived for so long is started again at once."""
READY: Final = b"ready "
_PR_SET_PDEATHSIG: Final = 1
_LOG = get_logger(__name__)


class Part(enum.StrEnum):
    """What one process does."""

    WHOLE = "whole"
    """Everything: there is only this one."""
    OFFICE = "office"
    """The pages, the timers and the auditor: one process."""
    UPLINK = "uplink"
    """The agents: as many processes as are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to be kept running; it prints a line that begins with ``ready``."""

    name: str
    command: Sequence[str]


def reserve(host: str, port: int) -> socket.socket:
    """A socket that keeps an address for several listeners, and listens not; 0: any free port.

    Raises:
        OSError: somebody else has the address.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:  # refused where others share a port, too
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        address = probe.getsockname()
    kept = socket.socket(family, kind, protocol)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind(address)
    return kept


def end_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies, however it dies.

    Raises:
        UnavailableError: it is dead already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        raise UnavailableError("the process that started this one has ended")


async def keep_running(children: Sequence[Child], *, ready: Callable[[], None]) -> int:
    """Run the children until SIGTERM or SIGINT; ``ready`` is called once all of them are.

    Returns:
        0 when it was told to stop; 1 when a child ended before it was ready for the first time.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    keepers = [_Keeper(child, stop) for child in children]
    tasks = [asyncio.create_task(each.run(), name=f"keep {each.name}") for each in keepers]
    told = asyncio.create_task(stop.wait(), name="stop")
    all_ready = asyncio.create_task(_all_ready(keepers), name="ready")
    await asyncio.wait(
        {told, all_ready, *tasks}, timeout=START_S_MAX, return_when=asyncio.FIRST_COMPLETED
    )
    began_well = all_ready.done() or told.done()
    if all_ready.done():
        ready()
        await stop.wait()
    elif not told.done():
        _LOG.error("processes.not_started", seconds_max=START_S_MAX)
    all_ready.cancel()
    stop.set()
    await asyncio.gather(told, *tasks)
    return 0 if began_well else 1


async def _all_ready(keepers: Sequence[_Keeper]) -> bool:
    for each in keepers:
        await each.was_ready.wait()
    return True


class _Keeper:
    """Keeps one child running."""

    def __init__(self, child: Child, stop: asyncio.Event) -> None:
        self.name = child.name
        self.was_ready = asyncio.Event()
        self._command = child.command
        self._stop = stop
        self._restart_s = RESTART_S_MIN

    async def run(self) -> None:
        """Until it is told to stop, or the child ends before it was ever ready."""
        now_s = asyncio.get_running_loop().time
        while not self._stop.is_set():
            began_s = now_s()
            code = await self._once()
            if self._stop.is_set():
                return
            _LOG.error("process.died", process=self.name, exit_code=code)
            if not self.was_ready.is_set():
                return
            if now_s() - began_s > HEALTHY_S:
                self._restart_s = RESTART_S_MIN
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._restart_s)
            self._restart_s = min(2 * self._restart_s, RESTART_S_MAX)

    async def _once(self) -> int:
        """Start the child and wait for its end, which comes soon when it is told to stop."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None, "it was asked for"
        listening = asyncio.create_task(self._listen(process.stdout, process.pid))
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                process.terminate()
                await asyncio.wait({ending}, timeout=STOP_S_MAX)
            if not ending.done():
                _LOG.error("process.killed", process=self.name, seconds_max=STOP_S_MAX)
                process.kill()
            return await ending
        finally:
            stopping.cancel()
            await listening

    async def _listen(self, output: asyncio.StreamReader, pid: int) -> None:
        while line := await output.readline():
            if line.startswith(READY):
                _LOG.info("process.ready", process=self.name, pid=pid)
                self.was_ready.set()

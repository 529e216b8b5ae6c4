"""A running process whose system calls fail, or kill it, as ``strace`` makes them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

DISK_CALLS: Final = "write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink"
_ATTACH_S: Final = 30


@asynccontextmanager
async def faulty(
    process: asyncio.subprocess.Process, calls: str, fault: str
) -> AsyncIterator[None]:
    """Inside the block these calls of the process fail: ``error=EIO:when=3``, ``signal=KILL:...``.

    ``when`` counts the calls of each thread by itself; in this agent one thread writes records.
    """
    if shutil.which("strace") is None:
        pytest.fail("there is no strace here; installer/setup.sh --tests installs it")
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-o", "/dev/null", "-p", str(process.pid)),
        *("-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_ATTACH_S):
            while not _all_traced(process.pid):
                if tracer.returncode is not None:
                    assert tracer.stderr is not None
                    said = (await tracer.stderr.read()).decode()
                    if "not permitted" in said:
                        pytest.skip("this system lets nobody trace another process")
                    pytest.fail(said)
                await asyncio.sleep(0.01)
        yield
    finally:
        with suppress(ProcessLookupError):
            tracer.terminate()
        await tracer.wait()


def _all_traced(pid: int) -> bool:
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    return all("TracerPid:\t0\n" not in (each / "status").read_text("ascii") for each in threads)

"""The edge agent as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

START_TIMEOUT_S: Final = 60


@asynccontextmanager
async def an_agent(
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    said: Path | None = None,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running agent and its address; whatever happens, it is gone after the block.

    ``environment``: more of it; ``before``: the command that runs the command; ``said``: the file
    for what it says, if not one in the folder.
    """
    said = folder / "agent.err" if said is None else said
    with said.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *before,
            *(sys.executable, "-m", "edge_agent", "run", "--folder", str(folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("ready "), said.read_text("utf-8")[-2000:]
        yield process, line.removeprefix("ready ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

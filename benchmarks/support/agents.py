"""Programs to be measured, as processes: the agent, and a handler that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.measuring import environment

_STOP_S: Final = 20
_EMPTY: Final = Path(__file__).with_name("empty_handler.py")
_HEAD_OFFICE: Final = Path(__file__).with_name("head_office.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a program answers."""

    address: str
    pid: int


@contextmanager
def agent(folder: Path, *, compiled: bool = True) -> Iterator[Running]:
    """The agent of a folder, by default with the compiled engine, as it is delivered."""
    program = Path(sys.executable).with_name("kopilka-edge")
    with _started(str(program), "run", "--folder", str(folder), compiled=compiled) as running:
        yield running


@contextmanager
def empty_handler() -> Iterator[Running]:
    """A server of aiohttp that reads JSON and answers JSON, and does nothing."""
    with _started(sys.executable, str(_EMPTY), compiled=False) as running:
        yield running


@contextmanager
def head_office() -> Iterator[Running]:
    """Somebody who takes every record."""
    with _started(sys.executable, str(_HEAD_OFFICE), compiled=False) as running:
        yield running


def _environment(*, compiled: bool) -> dict[str, str]:
    """Also with this folder's neighbours, and without the folder one stands in."""
    given = environment(compiled=compiled)
    path = os.pathsep.join([given["PYTHONPATH"], str(Path(__file__).parents[1])])
    return given | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


@contextmanager
def _started(*command: str, compiled: bool) -> Iterator[Running]:
    child = subprocess.Popen(
        command,
        env=_environment(compiled=compiled),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        said = next((line for line in child.stdout if line.startswith("ready ")), None)
        assert said is not None, "it ended at its start"
        yield Running(address=said.removeprefix("ready ").strip(), pid=child.pid)
    finally:
        child.terminate()
        child.wait(_STOP_S)

"""The agent as a process that systemd watches: ready, alive, silent when it hangs, stopping."""

from __future__ import annotations

import asyncio
import configparser
import os
import shlex
import signal
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from edge_agent.config import DATABASE_FILE
from edge_agent.watchdog import Probe, Systemd, watch
from shared.errors import UnavailableError
from tests.support.agent_process import an_agent
from tests.support.shop import a_bundle, make_shop

ROOT = Path(__file__).parents[2]
LIMIT_S = 1.5
PATIENCE_S = 30.0


class Ear:
    """systemd's end of the socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(path)

    async def hear(self) -> str:
        """The next word."""
        async with asyncio.timeout(PATIENCE_S):
            return (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode()

    def forget(self) -> int:
        """What was said and nobody heard; how many words."""
        count = 0
        try:
            while self._socket.recv(4096):
                count += 1
        except BlockingIOError:
            return count
        return count

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ear, str]]:
    name = f"kopilka-{os.getpid()}-{request.param}"
    told = str(tmp_path / "notify") if request.param == "file" else f"@{name}"
    found = Ear(told if request.param == "file" else f"\0{name}")
    yield found, told
    found.close()


@pytest.mark.processes
async def test_silence_tells_of_an_agent_that_hangs(tmp_path: Path, ear: tuple[Ear, str]) -> None:
    """It pings while it answers, not while it is stopped or its writer cannot go on."""
    systemd, told = ear
    shop = tmp_path / "shop"
    make_shop(shop, bundle=a_bundle(1))
    environment = {"NOTIFY_SOCKET": told, "WATCHDOG_USEC": str(int(LIMIT_S * 1_000_000))}
    async with an_agent(shop, environment=environment) as (process, _):
        assert [await systemd.hear() for _ in range(4)] == ["READY=1", *["WATCHDOG=1"] * 3]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LIMIT_S)
        systemd.forget()
        await asyncio.sleep(LIMIT_S)
        assert systemd.forget() == 0
        process.send_signal(signal.SIGCONT)
        assert await systemd.hear() == "WATCHDOG=1"
        blocking = apsw.Connection(str(shop / DATABASE_FILE))
        blocking.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(LIMIT_S)
        systemd.forget()
        await asyncio.sleep(LIMIT_S)
        assert systemd.forget() == 0
        blocking.close()
        assert await systemd.hear() == "WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        while (said := await systemd.hear()) == "WATCHDOG=1":
            pass
        assert said == "STOPPING=1"
        assert await process.wait() == 0


async def test_refusal_is_an_answer_and_a_fault_is_none(tmp_path: Path) -> None:
    """A full disk must not lead from one start to the next."""
    path = str(tmp_path / "notify")
    ear = Ear(path)
    systemd = Systemd({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000"}, os.getpid())

    async def refuses() -> None:
        raise UnavailableError("the disk is full")

    async def breaks() -> None:
        raise ZeroDivisionError

    for probe, answers in ((refuses, True), (breaks, False), (asyncio.Event().wait, False)):
        ear.forget()
        watching = asyncio.create_task(watch(systemd, Probe(probe)))
        await asyncio.sleep(0.3)
        watching.cancel()
        assert (ear.forget() > 0) is answers
    ear.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": "/nowhere"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
async def test_whoever_was_started_otherwise_tells_nobody(environment: dict[str, str]) -> None:
    systemd = Systemd(environment, os.getpid())
    assert systemd.limit_s is None
    systemd.say("READY=1")
    await watch(systemd, Probe(asyncio.Event().wait))


@pytest.mark.parametrize("unit", ["kopilka-edge", "kopilka-central"])
def test_units_start_what_is_installed(unit: str) -> None:
    """By the names of the commands, as its own user, again when it ended, and with few rights."""
    read = configparser.RawConfigParser(strict=False, delimiters=("=",))
    read.optionxform = str  # type: ignore[assignment,method-assign] # names are as they are
    read.read(ROOT / "systemd" / f"{unit}.service", "utf-8")
    service = read["Service"]
    command = shlex.split(service["ExecStart"])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert Path(command[0]).name == unit in scripts
    assert command[1:3] == ["run", "--folder"]
    assert command[3] == f"/var/lib/{service['StateDirectory']}"
    assert service["Restart"] == "always"
    assert service["User"] not in ("", "root")
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""

"""A folder's agent as a process: one at a time, from its first address to the last signal."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from edge_agent.app import make_app
from edge_agent.config import TILL_TOKEN_FILE, Config, read_secret, write_private
from edge_agent.database.disk import Disk
from edge_agent.watchdog import PROBE, Systemd, watch
from edge_agent.wiring.ground import Machine
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.listening import PatientSite, connections_of_a_shop, patiently
from shared.logs import get_logger

ADDRESS_FILE: Final = "listening"
"""Where the running agent answers; the port may be another at every start."""
LOCK_FILE: Final = "lock"
STOP_GRACE_S: Final = 5.0
"""How long open requests may take to finish when the agent is told to stop."""
STATUS_TIMEOUT_S: Final = 10.0
_LOG = get_logger(__name__)


async def serve(
    folder: Path, config: Config, machine: Machine, announce: Callable[[str], None]
) -> None:
    """Serve tills until SIGTERM or SIGINT; ``announce`` gets the address when it answers.

    Raises:
        ConflictError: another agent runs in this folder.
        UnavailableError: the address cannot be listened at; ``disk_failed``: the agent has to be
            started anew, which systemd does.
        AppError: a file of the folder is missing, damaged or of another release.
    """
    with folder_lock(folder):
        await _serve(folder, config, machine, announce)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep a folder for one program; the system takes the lock back however the program ends.

    Raises:
        ConflictError: another agent runs in this folder.
        NotFoundError: there is no such folder.
    """
    try:
        descriptor = _open_lock(folder)
    except OSError as error:
        raise NotFoundError("this folder cannot be used", hint="Check --folder.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConflictError(
            "another agent runs in this folder",
            hint="Stop it first, or name another folder; two would use the same numbers.",
            code="folder_in_use",
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _open_lock(folder: Path) -> int:
    """The lock's file; on a disk that is read-only it can be locked as well, if it is there."""
    try:
        return os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    try:
        return os.open(folder / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(folder, os.O_RDONLY)


async def ask_status(folder: Path) -> Any:
    """What the running agent of a folder answers to GET /v1/status. Raises as ``ask_agent``."""
    return await ask_agent(folder, "/v1/status")


async def ask_agent(folder: Path, path: str) -> Any:
    """What the running agent of a folder answers: JSON, or a text.

    Raises:
        UnavailableError: no agent answers.
    """
    headers = {"Authorization": f"Bearer {read_secret(folder / TILL_TOKEN_FILE)}"}
    timeout = aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S)
    try:
        address = (folder / ADDRESS_FILE).read_text("utf-8")
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(f"{address}{path}") as response,
        ):
            response.raise_for_status()
            is_json = response.content_type == "application/json"
            return await (response.json() if is_json else response.text())
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        raise UnavailableError("the agent does not answer", hint="Is it running?") from error


def _tell_address(folder: Path, disk: Disk, address: str) -> None:
    """Write down where the agent answers; a shop sells without it, so a full disk is no end."""
    if disk.fault is not None:
        return
    try:
        write_private(folder / ADDRESS_FILE, address.encode())
    except UnavailableError as error:
        _LOG.warning("address.not_written", detail=error.message)


async def _serve(
    folder: Path, config: Config, machine: Machine, announce: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    failed = asyncio.Event()

    def fail() -> None:
        failed.set()
        stop.set()

    def fail_soon() -> None:
        loop.call_soon_threadsafe(fail)

    disk = Disk(
        folder,
        on_failure=fail_soon,
        ends_read_only=config.spare_folder is not None,
    )
    app = make_app(folder, config, machine, disk)
    runner = patiently(app, stop_grace_s=STOP_GRACE_S)
    systemd, watching = Systemd(os.environ, os.getpid()), None
    try:
        await runner.setup()
        # The programme is most of what lives in this process, and lives long: the collector need
        # not walk over it again and again while tills wait.
        gc.freeze()
        try:
            most = connections_of_a_shop()
            site = PatientSite(runner, config.listen_host, config.listen_port, connections_max=most)
            await site.start()
        except OSError as error:
            raise UnavailableError(
                f"{config.listen_host}:{config.listen_port} cannot be listened at",
                hint="Is the port taken? See listen_port in edge.toml.",
            ) from error
        host, port = runner.addresses[0][:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _tell_address(folder, disk, address)
        announce(address)
        systemd.say("READY=1")
        watching = asyncio.create_task(watch(systemd, app[PROBE]))
        await stop.wait()
        systemd.say("STOPPING=1")
    finally:
        if watching is not None:
            watching.cancel()
        await runner.cleanup()
    if failed.is_set() and disk.fault is not None:
        raise disk.refusal(disk.fault)

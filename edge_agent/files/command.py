"""``kopilka-edge export`` and ``import``: a stick, and the running agent, which does the work."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp

from edge_agent.commands import Commands
from shared.errors import InputError, UnavailableError
from shared.limits import SYNC_FILE_BYTES_MAX
from shared.sticks import check_stick, open_on_stick, write_on_stick
from shared.sync_file import SyncReader, answer_path
from shared.wire.files import FilePurpose

FILES_COMMANDS: Final = ("export", "import")
_PIECE_BYTES: Final = 2**18
_SAY_EVERY_S: Final = 2.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=3_600)
_JSON: Final = {"Accept": "application/json"}
Tell = Callable[[str], None]


def add_files_commands(commands: Commands) -> None:
    """Add both commands."""
    export = commands.add_parser(
        "export", help="write what waits for head office into a file, to be carried there"
    )
    export.add_argument("target", type=Path, help="a folder, such as a stick's, or a new file")
    take = commands.add_parser(
        "import", help="take head office's answer in; a hub also brings another agent's file there"
    )
    take.add_argument("file", type=Path)
    take.add_argument("--answer", type=Path, help="of another agent's file: where its answer goes")
    for command in (export, take):
        command.add_argument("--folder", type=Path, required=True, help="the agent's folder")


async def run(
    options: argparse.Namespace, *, address: str, cookies: dict[str, str], tell: Tell
) -> str:
    """Do what was asked; what to print of it. ``tell``: progress, for people.

    Raises:
        AppError: the stick or the file is not good, or the agent refused it; ``cookies`` are those
            of a visit of the agent's page at ``address``.
    """
    async with aiohttp.ClientSession(timeout=_TIMEOUT, cookies=cookies, headers=_JSON) as session:
        agent = _Agent(session, address)
        if options.command == "export":
            return await _export(agent, options.target)
        with open_on_stick(options.file, SYNC_FILE_BYTES_MAX) as file:
            purpose = SyncReader(file).header.purpose
            file.seek(0)
            async with agent.watched(tell):
                if purpose is FilePurpose.ANSWER:
                    return await _import(agent, file)
                return await _forward(agent, file, options)


class _Agent:
    """The agent's page as a program sees it."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._files = f"{address}/page/files"

    @asynccontextmanager
    async def post(self, what: str, data: Any = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for something; a refusal is raised as the agent said it."""
        try:
            async with self._session.post(f"{self._files}/{what}", data=data) as response:
                if response.status != HTTPStatus.OK:
                    await _raise_refusal(response)
                yield response
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise UnavailableError("the agent does not answer", hint="Is it running?") from error

    @asynccontextmanager
    async def watched(self, tell: Tell) -> AsyncIterator[None]:
        """Tell how far it is, while something is done."""
        watching = asyncio.create_task(self._watch(tell))
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self, tell: Tell) -> None:
        while True:
            await asyncio.sleep(_SAY_EVERY_S)
            async with self._session.get(self._files) as response:
                doing = (await response.json())["state"]["doing"]
            if doing is not None and doing["total"]:
                tell(f"{doing['done']} of {doing['total']}")


async def _export(agent: _Agent, target: Path) -> str:
    async with agent.post("export") as response:
        told = json.loads(response.headers["Kopilka-File"])
        disposition = response.content_disposition
        name = (disposition.filename if disposition is not None else None) or "kopilka.sync"
        is_folder = await asyncio.to_thread(target.is_dir)
        path = target / Path(name).name if is_folder else target
        pieces = [piece async for piece in response.content.iter_chunked(_PIECE_BYTES)]
        expected = response.content_length
    size_bytes = sum(map(len, pieces))
    if size_bytes != expected:
        raise UnavailableError("the agent stopped in the middle of the file")
    await asyncio.to_thread(write_on_stick, path, pieces)
    left = f"; {told['left_out']} more go with the next file" if told["left_out"] else ""
    return (
        f"{path.name}: {told['records']} records, {size_bytes} bytes{left}\n"
        "written and flushed; unmount the stick before it is pulled"
    )


async def _import(agent: _Agent, file: BinaryIO) -> str:
    async with agent.post("import", file) as response:
        imported = (await response.json())["imported"]
    news = "" if imported["complete"] else "; some news are asked for again by the next file"
    version = imported["bundle_version"]
    programme = "" if version is None else f", programme {version} is in force"
    return f"taken in: {imported['confirmed']} parts confirmed{programme}{news}"


async def _forward(agent: _Agent, file: BinaryIO, options: argparse.Namespace) -> str:
    path = options.answer or answer_path(options.file)
    # Before head office takes anything: its answer must have a place.
    await asyncio.to_thread(check_stick, path)
    async with agent.post("forward", file) as response:
        pieces = [piece async for piece in response.content.iter_chunked(_PIECE_BYTES)]
    size_bytes = await asyncio.to_thread(write_on_stick, path, pieces)
    return f"head office has it; its answer is in {path.name}, {size_bytes} bytes"


async def _raise_refusal(response: aiohttp.ClientResponse) -> None:
    if response.content_type != "application/json":
        raise UnavailableError(f"the agent answered {response.status}")
    refused = (await response.json())["refused"]
    raise InputError(refused["message"], code=refused["code"], hint=refused["hint"])

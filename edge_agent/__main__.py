"""The command ``kopilka-edge``: make a folder an agent, run it, ask it, check it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Final, TextIO, cast
from urllib.parse import urlsplit

from edge_agent.config import DATABASE_FILE, TILL_TOKEN_FILE, Config, read_secret
from edge_agent.database.backup import back_up
from edge_agent.database.connection import open_reader
from edge_agent.files import command as files
from edge_agent.kit.options import KIT_COMMANDS, add_kit
from edge_agent.page.entry import COOKIE, entry_code, visit_cookie
from edge_agent.serving import ADDRESS_FILE, ask_agent, ask_status, folder_lock, serve
from edge_agent.support.bundle import pack
from edge_agent.support.collecting import Asked, collect
from edge_agent.tills import command as tills
from edge_agent.uplink.enrol import EnrolOrder, enrol
from edge_agent.wiring.ground import Machine, agent_version
from edge_agent.witness.proof import prove, prove_database
from shared.errors import AppError, InputError, NotFoundError, UnavailableError
from shared.log_tail import LOG_FILE, LogTail
from shared.logs import configure_logs
from shared.sticks import write_on_stick
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 when not, with the reason on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options) or 0
    except AppError as error:
        print(f"kopilka-edge: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kopilka-edge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("enrol", "make this folder an agent of central"),
        ("run", "price and record receipts until told to stop"),
        ("status", "ask a running agent how it is"),
        ("page", "print a link to the agent's own page; it is good for some minutes"),
        ("verify", "prove that the records agree: file, indexes, chains, sums, other media"),
        ("support-bundle", "make an archive for who is to help: state, log, proofs; no people"),
        ("backup", "copy the database while the agent works, and prove the copy"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("--folder", type=Path, required=True, help="the agent's folder")
        if name == "enrol":
            _add_enrol(command)
        if name in {"backup", "support-bundle"}:
            command.add_argument("file", type=Path, help="where to; it must not be there yet")
    tills.add_till_command(commands)
    files.add_files_commands(commands)
    add_kit(commands)
    return parser


def _add_enrol(command: argparse.ArgumentParser) -> None:
    command.add_argument("--central", required=True, help="https://HOST:PORT of the uplink")
    command.add_argument("--token", required=True, help="what `kopilka-central enrol-token` gave")
    command.add_argument("--ca", type=Path, help="certificate of central's own authority")
    command.add_argument(
        "--kind", choices=[kind.value for kind in EdgeKind], default=EdgeKind.HUB.value
    )
    command.add_argument(
        "--listen", default="127.0.0.1:8470", help="HOST:PORT for tills; port 0: any free one"
    )
    command.add_argument(
        "--again", action="store_true", help="a new place for this agent; it keeps its records"
    )


def _enrol(options: argparse.Namespace) -> None:
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError("--listen is HOST:PORT", code="bad_argument")
    order = EnrolOrder(
        folder=options.folder,
        central_url=options.central,
        token=options.token,
        kind=EdgeKind(options.kind),
        listen_host=host.strip("[]"),
        listen_port=int(port),
        ca_file=options.ca,
        agent_version=agent_version(),
        again=options.again,
    )
    # A running agent must not find itself another one.
    with folder_lock(options.folder) if options.again else nullcontext():
        config = asyncio.run(enrol(order, SystemChance()))
    print(f"enrolled as agent {config.edge_id} of store {config.store_id}")


def _run(options: argparse.Namespace) -> None:
    tail = LogTail(options.folder / LOG_FILE, sys.stderr)
    configure_logs(stream=cast("TextIO", tail))
    config = Config.load(options.folder)
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    asyncio.run(
        serve(options.folder, config, machine, lambda url: print(f"ready {url}", flush=True))
    )


def _status(options: argparse.Namespace) -> None:
    Config.load(options.folder)
    print(json.dumps(asyncio.run(ask_status(options.folder)), indent=1, ensure_ascii=False))


def _page(options: argparse.Namespace) -> None:
    config = Config.load(options.folder)
    code = entry_code(read_secret(options.folder / TILL_TOKEN_FILE), SystemClock().now_ms())
    print(f"{_address(options.folder, config)}/page/enter?code={code}")


def _address(folder: Path, config: Config) -> str:
    """Where a browser on this machine reaches the agent: as it last said, else as it is set."""
    host, port = config.listen_host, config.listen_port
    with suppress(OSError, ValueError):
        said = urlsplit((folder / ADDRESS_FILE).read_text("utf-8").strip())
        if said.hostname and said.port:
            host, port = said.hostname, said.port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not listened at
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _files(options: argparse.Namespace) -> None:
    """Export and import: the running agent does it, as for whoever looks at its page."""
    Config.load(options.folder)
    token = read_secret(options.folder / TILL_TOKEN_FILE)
    try:
        address = (options.folder / ADDRESS_FILE).read_text("utf-8")
    except OSError as error:
        raise UnavailableError("the agent does not answer", hint="Is it running?") from error
    told = files.run(
        options,
        address=address,
        cookies={COOKIE: visit_cookie(token, SystemClock().now_ms())},
        tell=lambda text: print(text, file=sys.stderr),
    )
    print(asyncio.run(told))


def _verify(options: argparse.Namespace) -> None:
    database = _database(options.folder)
    config = Config.load(options.folder)
    proof = prove(
        database,
        witness=options.folder / config.witness_file,
        journal=None if config.journal_folder is None else options.folder / config.journal_folder,
        edge_id=config.edge_id,
    )
    for lane, count in proof.records.items():
        print(f"lane {lane.name.lower()}: chain whole, {count} records")
    print(f"file, indexes, sums and references agree; {proof.sales} sales have their records")
    for name, known in (("witness", proof.witness), ("journal", proof.journal)):
        print(f"{name}: " + ("none" if known is None else f"agrees on {known} chains"))


def _support(options: argparse.Namespace) -> None:
    """Whatever the state: the agent may be down, its database damaged, its settings wrong."""
    if not options.folder.is_dir():
        raise NotFoundError("there is no such folder", hint="Check --folder.")
    parts = collect(
        options.folder,
        _asked(options.folder),
        version=agent_version(),
        now_ms=SystemClock().now_ms(),
    )
    data = pack(parts, options.folder)
    write_on_stick(options.file, [data])
    print(f"{options.file.name}: {len(data)} bytes; nothing about people is in it")


def _asked(folder: Path) -> Asked:
    def answer(path: str) -> Any:
        try:
            return asyncio.run(ask_agent(folder, path))
        except (AppError, ValueError):  # nobody, or somebody else at that address
            return None

    return Asked(status=answer("/v1/status"), metrics=answer("/metrics"))


def _backup(options: argparse.Namespace) -> None:
    def whole(copy: Path) -> None:
        connection = open_reader(copy)
        try:
            prove_database(connection)
        finally:
            connection.close()

    size_bytes = back_up(_database(options.folder), options.file, whole)
    print(f"{options.file.name}: {size_bytes} bytes, proven")


def _till(options: argparse.Namespace) -> None:
    for line in tills.run(options, SystemClock(), SystemChance()):
        print(line)


def _kit(options: argparse.Namespace) -> int:
    """The test kit, which is brought in only here: no agent needs its checks and texts."""
    command = importlib.import_module("edge_agent.kit.command")
    return int(command.run(options, SystemClock(), SystemChance()))


def _database(folder: Path) -> Path:
    path = folder / DATABASE_FILE
    if not path.is_file():
        raise NotFoundError("there is no edge.sqlite in this folder", hint="Check --folder.")
    return path


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int | None]]] = {
    "enrol": _enrol,
    "run": _run,
    "status": _status,
    "page": _page,
    "verify": _verify,
    "backup": _backup,
    "support-bundle": _support,
    tills.TILL_COMMAND: _till,
    **dict.fromkeys(files.FILES_COMMANDS, _files),
    **dict.fromkeys(KIT_COMMANDS, _kit),
}

if __name__ == "__main__":
    sys.exit(main())

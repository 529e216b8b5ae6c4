"""The command ``kopilka-central``."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, date
from pathlib import Path
from typing import Final, TextIO
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from central import config as files
from central.accounts import service as ledger
from central.accounts.audit import clear_drift
from central.app import Central, import_files, open_central, open_pins, serve, verify
from central.config import CentralConfig, config_text, load_config, write_private
from central.coupons.issuing import Series, issue_coupons
from central.customers.store import known_customers
from central.database.embedded import EmbeddedPostgres
from central.database.migrate import migrate
from central.database.owner import running
from central.database.pool import Connection, open_pool
from central.database.retry import in_transaction
from central.feed import store as feed
from central.fleet.channels import issue_channel, revoke_channel
from central.fleet.store import put_store
from central.gift_cards.importing import register_cards
from central.limits import budgets
from central.processes import (
    PROCESSES_MAX,
    Child,
    Part,
    end_with_parent,
    keep_running,
    reserve,
)
from central.staff.service import StaffService
from central.uplink.certificates import make_certificates
from central.uplink.files import Files
from central.uplink.ingest import Ingest
from shared.errors import AppError, ConflictError, InputError, NotFoundError
from shared.limits import SYNC_FILE_BYTES_MAX
from shared.logs import configure_logs
from shared.sticks import open_on_stick, write_on_stick
from shared.sync_file import answer_path
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.facts import Incident
from shared.wire.feed import StoreEntry
from shared.wire.problem import Finding
from shared.wire.receipt_json import scaled_integer

_STORE_ID: Final = re.compile(r"[\w.-]{1,64}")
_STORE_NAME_CHARS_MAX: Final = 200
_CURRENCY: Final = re.compile("[A-Z]{3}")
_PORT_MAX: Final = 65535
POINTS_CENTI_MAX: Final = 10**12


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 when it did what it says, 1 when it could not."""
    options = _parser().parse_args(argv)
    if options.command != "run":
        # The pool's own warnings would tell a second time, and less clearly, what is told below.
        logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    configure_logs(level="INFO" if options.command == "run" else "WARNING")
    try:
        return int(options.call(options))
    except AppError as error:
        print(f"{error.stable_code}: {error.message}", file=sys.stderr)
        for finding in getattr(error, "findings", []):
            _tell(finding, sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return 1
    except psycopg.Error as error:
        print(f"database: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return 1
    except OSError as error:  # a file that is not there or may not be read; a port that is taken
        print(f"os_error: {error}", file=sys.stderr)
        return 1


def _tell(finding: Finding, where: TextIO) -> None:
    hint = f" {finding.hint}" if finding.hint else ""
    print(f"  {finding.pointer or '/'}: {finding.code}: {finding.detail}.{hint}", file=where)


def _init(options: argparse.Namespace) -> int:
    folder: Path = options.folder
    web_host, web_port = _address(options.web)
    uplink_host, uplink_port = _address(options.uplink)
    if (folder / files.CONFIG_FILE).exists():
        raise ConflictError(f"{folder} is set up already")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    server = EmbeddedPostgres(folder)
    embedded = options.database is None
    if embedded:
        server.wipe()
    config = CentralConfig(
        database_url=server.conninfo() if embedded else options.database,
        embedded=embedded,
        web_host=web_host,
        web_port=web_port,
        uplink_host=uplink_host,
        uplink_port=uplink_port,
        uplink_insecure=options.insecure_uplink,
    )
    key = base64.b64encode(SystemChance().token_bytes(32))
    write_private(folder / files.SIGNING_KEY_FILE, key)
    hosts = sorted({"127.0.0.1", "localhost", uplink_host} - {"0.0.0.0", "::"})  # noqa: S104
    made = make_certificates(hosts, now_ms=SystemClock().now_ms())
    write_private(folder / files.CA_FILE, made.ca)
    write_private(folder / files.CA_KEY_FILE, made.ca_key)
    write_private(folder / files.SERVER_CERTIFICATE_FILE, made.server)
    write_private(folder / files.SERVER_KEY_FILE, made.server_key)
    with running(folder) if embedded else nullcontext():
        asyncio.run(_migrate_all(config))
    write_private(folder / files.CONFIG_FILE, config_text(config).encode())
    print(f"set up {folder}")
    return 0


def _migrate(options: argparse.Namespace) -> int:
    config = load_config(options.folder)
    with running(options.folder) if config.embedded else nullcontext():
        names = asyncio.run(_migrate_all(config))
    print(f"applied {len(names)}: {' '.join(names)}")
    return 0


async def _migrate_all(config: CentralConfig) -> list[str]:
    async with open_pool(config.database_url) as pool, pool.connection() as connection:
        return await migrate(connection)


def _run(options: argparse.Namespace) -> int:
    config = load_config(options.folder)
    if options.part is not None:
        end_with_parent(options.parent)
        web_port, uplink_port = options.ports
        config = msgspec.structs.replace(config, web_port=web_port, uplink_port=uplink_port)
        asyncio.run(serve(options.folder, config, Part(options.part)))
        return 0
    processes = config.processes if options.processes is None else options.processes
    if not 1 <= processes <= PROCESSES_MAX:
        raise InputError(f"processes are 1 to {PROCESSES_MAX}")
    with running(options.folder, shares=True) if config.embedded else nullcontext():
        asyncio.run(_migrate_all(config))
        if processes > 1:
            return _run_parts(options.folder, config, processes)
        asyncio.run(serve(options.folder, config))
    return 0


def _run_parts(folder: Path, config: CentralConfig, processes: int) -> int:
    """Pages and timers in one process, the agents in several; both ports are kept for them."""
    for key in (files.gift_cards_key, files.members_key):
        key(folder, SystemChance())  # made once, before several would make it
    with (
        reserve(config.web_host, config.web_port) as web,
        reserve(config.uplink_host, config.uplink_port) as uplink,
    ):
        ports = [str(each.getsockname()[1]) for each in (web, uplink)]

        def child(name: str, part: Part) -> Child:
            command = [sys.executable, "-P", "-m", "central", "run", "--folder", str(folder)]
            command += ["--part", part, "--parent", str(os.getpid()), "--ports", *ports]
            return Child(name=name, command=command)

        children = [child("office", Part.OFFICE)]
        children += [child(f"uplink {n}", Part.UPLINK) for n in range(1, processes + 1)]
        scheme = "http" if config.uplink_insecure else "https"
        line = (
            f"ready web http://{config.web_host}:{ports[0]}"
            f" uplink {scheme}://{config.uplink_host}:{ports[1]}"
        )
        return asyncio.run(keep_running(children, ready=lambda: print(line, flush=True)))


def _with(
    work: Callable[[Central, argparse.Namespace], Awaitable[int]],
) -> Callable[[argparse.Namespace], int]:
    async def run(options: argparse.Namespace, config: CentralConfig) -> int:
        async with open_central(options.folder, config) as central:
            return await work(central, options)

    def call(options: argparse.Namespace) -> int:
        config = load_config(options.folder)
        with running(options.folder) if config.embedded else nullcontext():
            return asyncio.run(run(options, config))

    return call


async def _publish(central: Central, options: argparse.Namespace) -> int:
    done = await central.publishing.publish(options.file.read_bytes(), by="command")
    print(f"published {done.programme} version {done.version}, {done.size_bytes} bytes")
    for warning in done.warnings:
        _tell(warning, sys.stdout)
    return 0


async def _enrol_token(central: Central, options: argparse.Namespace) -> int:
    print(await central.enrolment.issue_token(options.store, EdgeKind(options.kind)))
    return 0


def store_entry(store_id: str, name: str, *, timezone: str, currency: str) -> StoreEntry:
    """A store as the shops will be told of it.

    Raises:
        InputError: one of these is not what it should be.
    """
    if not _STORE_ID.fullmatch(store_id):
        raise InputError(
            "a store's id is 1 to 64 letters, digits, dots, dashes and underscores",
            hint="What people read is its name.",
        )
    if not name.isprintable() or not 0 < len(name) <= _STORE_NAME_CHARS_MAX:
        raise InputError(f"a store's name is 1 to {_STORE_NAME_CHARS_MAX} printable characters")
    if not _CURRENCY.fullmatch(currency):
        raise InputError("a currency is three capital letters", hint="For example RUB.")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise InputError(
            f"there is no time zone {timezone!r}", hint="For example Europe/Moscow."
        ) from error
    return StoreEntry(store_id=store_id, name=name, timezone=timezone, currency=currency)


async def _store_add(central: Central, options: argparse.Namespace) -> int:
    entry = msgspec.structs.replace(
        store_entry(options.id, options.name, timezone=options.timezone, currency=options.currency),
        strict_limits=options.strict_limits,
        unproven_points_max_centi=options.unproven_points,
    )
    async with central.pool.connection() as connection:
        await put_store(connection, entry)
    return 0


async def _user_add(central: Central, options: argparse.Namespace) -> int:
    staff = StaffService(pool=central.pool, clock=central.clock, chance=central.chance)
    try:
        await staff.add_member(options.login, sys.stdin.readline().rstrip("\n"), options.role)
    finally:
        staff.close()
    return 0


async def _import(central: Central, options: argparse.Namespace) -> int:
    counts = await import_files(
        central, customers=options.customers, products=options.products, coupons=options.coupons
    )
    print(" ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


async def _coupons(central: Central, options: argparse.Namespace) -> int:
    series = Series(name=options.series, valid_from=options.valid_from, valid_to=options.valid_to)
    issued = issue_coupons(central.pool, central.clock, central.chance, series, options.file)
    async for coupons in issued:
        for coupon in coupons:
            told = {"customer_id": coupon.customer_id, "code": coupon.code}
            print(json.dumps(told, ensure_ascii=False), flush=True)
    return 0


async def _member_code(central: Central, options: argparse.Namespace) -> int:
    async with central.pool.connection() as connection:
        if not await known_customers(connection, [options.customer]):
            raise NotFoundError(f"there is no member {options.customer}")
    print(central.secret.member_code(options.customer, central.clock.now_ms()))
    return 0


async def _gift_cards(central: Central, options: argparse.Namespace) -> int:
    async with open_pins(options.folder) as pins:
        print(f"gift cards {await register_cards(central.pool, pins, options.file)}")
    return 0


async def _verify(central: Central, options: argparse.Namespace) -> int:
    found = await verify(central)
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(f"{key:20} {json.dumps(value)}" for key, value in found.items()))
    return 0 if found["ok"] else 1


async def _feed(central: Central, options: argparse.Namespace) -> int:
    async with central.pool.connection() as connection:
        found = await feed.report(connection)
    if options.restart:
        async with central.pool.connection() as connection:
            await feed.begin_generation(connection, found["generation"])
        print("every agent compares all that it has with a snapshot at its next contact")
    else:
        print(msgspec.json.encode(found).decode())
    return 0


async def _leases(central: Central, _options: argparse.Namespace) -> int:
    async with central.pool.connection() as connection:
        rows = await ledger.undecided(connection)
    for row in rows:
        state = "waiting" if row["closing"] else row["state"]
        print(
            f"{row['lease_id']} {row['owner']} {row['asset']} {row['rest']} {state}"
            f" store {row['store_id']} edge {row['edge_id']}"
            f" until {row['spend_until'].astimezone(UTC):%Y-%m-%dT%H:%MZ}"
        )
    return 0


async def _budgets(central: Central, _options: argparse.Namespace) -> int:
    async with central.pool.connection() as connection:
        rows = await budgets.report(connection)
    for row in rows:
        print(msgspec.json.encode(row).decode())
    return 0


async def _write_off(central: Central, options: argparse.Namespace) -> int:
    async def work(connection: Connection) -> list[Incident]:
        return await ledger.write_off(connection, options.lease, now_ms=central.clock.now_ms())

    incidents = await in_transaction(central.pool, work)
    print("\n".join(incident.detail for incident in incidents) or "it had ended already")
    return 0


async def _channel(central: Central, options: argparse.Namespace) -> int:
    async with central.pool.connection() as connection:
        if options.revoke:
            await revoke_channel(connection, options.id)
            print("its token is worth nothing from now on")
            return 0
        if options.store is None:
            raise InputError("a channel sells for a store", hint="Say --store.")
        print(await issue_channel(connection, options.id, options.store, central.chance))
    return 0


async def _sync_file(central: Central, options: argparse.Namespace) -> int:
    answer: Path = options.answer or answer_path(options.file)
    if await asyncio.to_thread(answer.exists):
        raise ConflictError(f"{answer.name} is there already", code="file_exists")
    ingest = Ingest(central.pool, central.clock)
    taken = Files(central.pool, central.clock, central.chance, central.signer, ingest)

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {total} batches", end="", file=sys.stderr)

    with (
        open_on_stick(options.file, SYNC_FILE_BYTES_MAX) as question,
        tempfile.TemporaryFile() as made,
    ):
        done = await taken.answer(question, made, progress)
        made.seek(0)
        write_on_stick(answer, iter(lambda: made.read(2**18), b""))
    print(
        f"store {done.store_id}, agent {done.edge_id}: {done.records} records taken in,"
        f" {done.refused} batches refused; the answer is in {answer.name}, {done.size_bytes} bytes"
    )
    return 0


async def _drift_cleared(central: Central, _options: argparse.Namespace) -> int:
    count = await in_transaction(central.pool, clear_drift)
    print(f"cleared {count}")
    return 0


def _centi(text: str) -> int:
    found = scaled_integer(text, 2)
    if found is None or not 0 <= found <= POINTS_CENTI_MAX:
        raise argparse.ArgumentTypeError("points with at most two decimals")
    return found


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _PORT_MAX:
        raise InputError(f"{text!r} is no address", hint="HOST:PORT, for example 127.0.0.1:8080.")
    return host, int(port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kopilka-central", description="Kopilka's head office")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        name: str, text: str, call: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("--folder", type=Path, required=True, help="central's own folder")
        made.set_defaults(call=call)
        return made

    init = command("init", "set a folder and a database up", _init)
    where = init.add_mutually_exclusive_group()
    where.add_argument("--database", help="a PostgreSQL URL")
    where.add_argument("--embedded", action="store_true", help="run PostgreSQL itself (default)")
    init.add_argument("--web", default="127.0.0.1:8080", help="HOST:PORT of the pages")
    init.add_argument("--uplink", default="127.0.0.1:8443", help="HOST:PORT for the agents")
    init.add_argument("--insecure-uplink", action="store_true", help="no TLS for the agents")
    command("migrate", "bring the database to the present schema", _migrate)
    serving = command("run", "serve the pages and the agents", _run)
    serving.add_argument(
        "--processes",
        type=int,
        help="how many serve the agents, for example one for each core (default: of central.toml)",
    )
    serving.add_argument("--part", choices=[part.value for part in Part], help=argparse.SUPPRESS)
    serving.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    serving.add_argument("--ports", type=int, nargs=2, help=argparse.SUPPRESS)
    publish = command("publish", "put a programme document in force", _with(_publish))
    publish.add_argument("file", type=Path)
    token = command("enrol-token", "a one-time token for an agent", _with(_enrol_token))
    token.add_argument("--store", required=True)
    token.add_argument("--kind", choices=[kind.value for kind in EdgeKind], default="hub")
    store = command("store-add", "add or change a store", _with(_store_add))
    store.add_argument("id")
    store.add_argument("name")
    store.add_argument("--timezone", default="Europe/Moscow")
    store.add_argument("--currency", default="RUB")
    store.add_argument(
        "--strict-limits",
        action="store_true",
        help="without a line to head office, give no promotion that is limited for each customer",
    )
    store.add_argument(
        "--unproven-points",
        type=_centi,
        help="points that a receipt may take at most when its customer showed only a card or a "
        "phone, and no code of the app (default: no bound)",
    )
    user = command("user-add", "add a person (password on standard input)", _with(_user_add))
    user.add_argument("login")
    user.add_argument("--role", default="admin")
    load = command("import", "take JSON lines in", _with(_import))
    for kind in ("customers", "products", "coupons"):
        load.add_argument(f"--{kind}", type=Path)
    own = command("coupons", "issue personal coupons and tell their codes", _with(_coupons))
    own.add_argument("verb", choices=["issue"])
    own.add_argument("file", type=Path, help="JSON lines: customer_id and, if it is to be, code")
    own.add_argument("--series", required=True)
    for day in ("--valid-from", "--valid-to"):
        own.add_argument(day, type=date.fromisoformat, help="a day, inclusive")
    code = command("member-code", "what a member's app shows now", _with(_member_code))
    code.add_argument("customer")
    gifts = command("gift-cards", "register gift cards of a printer's file", _with(_gift_cards))
    gifts.add_argument("verb", choices=["import"])
    gifts.add_argument("file", type=Path)
    carried = command(
        "import-file", "take in a file that an agent had carried, and answer", _with(_sync_file)
    )
    carried.add_argument("file", type=Path)
    carried.add_argument("answer", type=Path, nargs="?", help="where to; else beside the file")
    news = command("feed", "how far the agents are in the feed, as JSON", _with(_feed))
    news.add_argument(
        "--restart",
        action="store_true",
        help="after the database was restored from a copy: make all agents begin anew",
    )
    command("leases", "leases on which a person may have to decide", _with(_leases))
    command(
        "budgets", "what is used and left of promotions' budgets, as JSON lines", _with(_budgets)
    )
    write_off = command("write-off", "give back what a silent lease has left", _with(_write_off))
    write_off.add_argument("lease")
    channel = command("channel", "a token for who sells without an agent", _with(_channel))
    channel.add_argument("id")
    channel.add_argument("--store", help="whose sales these are; a token before is void")
    channel.add_argument("--revoke", action="store_true", help="no token is good any more")
    command("drift-cleared", "the auditor's differences were looked into", _with(_drift_cleared))
    check = command("verify", "prove that the books agree", _with(_verify))
    check.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

"""The only place that wires: which room gets what, in which order they open and close."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from edge_agent.bundles.service import BundleService
from edge_agent.checkout.knowledge import look_up
from edge_agent.checkout.replay import REPLAYS as SALE_REPLAYS
from edge_agent.checkout.service import Checkout
from edge_agent.config import (
    BUNDLES_FOLDER,
    DATABASE_FILE,
    DEVICE_KEY_FILE,
    TILL_TOKEN_FILE,
    Config,
    read_secret,
    write_private,
)
from edge_agent.database.disk import Disk
from edge_agent.database.migrate import forget_copies
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.discovery.policy import Places
from edge_agent.discovery.service import Discovery
from edge_agent.gift_cards.service import GiftCards
from edge_agent.http.docs import DocsApi
from edge_agent.http.gift_cards import GiftCardsApi
from edge_agent.http.metrics import Metrics
from edge_agent.http.page import PageApi
from edge_agent.http.returns import ReturnsApi
from edge_agent.http.routes import TillApi
from edge_agent.http.shop import ShopApi
from edge_agent.http.status import StatusReport
from edge_agent.lan.service import ShopNetwork
from edge_agent.leases.till import lapse_parts
from edge_agent.returns.replay import REPLAYS as RETURN_REPLAYS
from edge_agent.returns.service import Returns
from edge_agent.serial.service import SerialPorts
from edge_agent.serial.services import Services
from edge_agent.supervisor import Supervisor
from edge_agent.uplink.budgets import BudgetAsks
from edge_agent.uplink.coupon_loans import CouponLoans
from edge_agent.uplink.dates import Dates, KeptTime
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.loops import Identity, Uplink
from edge_agent.uplink.plan import backoff_bounds_s
from edge_agent.uplink.through_hub import TillTransport
from edge_agent.uplink.transport import Transport
from edge_agent.uplink.visits import Expected, Visits
from edge_agent.uplink.wipe import forget_people
from edge_agent.witness.scrub import Scrub
from edge_agent.witness.start import Media, Opened, open_media
from edge_agent.witness.upkeep import Upkeep
from shared.clock import BootClock
from shared.crypto.signing import Signer
from shared.errors import ConflictError, CorruptionError, NotFoundError, UnavailableError
from shared.ids import Chance
from shared.listening import PatientSite, patiently
from shared.status import Status
from shared.wire.enrol import TrustedKey

ADDRESS_FILE: Final = "listening"
"""Where the running agent answers; the port may be another at every start."""
ADDRESSES_FILE: Final = "central.addresses"
"""Where central has answered, for days without a name server."""
LOCK_FILE: Final = "lock"
STOP_GRACE_S: Final = 5.0
"""How long open requests may take to finish when the agent is told to stop."""
STATUS_TIMEOUT_S: Final = 10.0
_REPLAYS: Final = {**SALE_REPLAYS, **RETURN_REPLAYS}
"""What makes the business rows of each kind of fact again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Time and chance, as the root hands them down."""

    clock: BootClock
    chance: Chance


def make_app(
    folder: Path, config: Config, machine: Machine, disk: Disk | None = None
) -> web.Application:
    """The agent of a folder, ready to be served; what it opened closes with the application.

    ``disk`` tells when the process must end; without it nobody is told.

    Raises:
        AppError: a file of the folder is missing, damaged or of another release.
    """
    clock, chance = machine.clock, machine.chance
    token = read_secret(folder / TILL_TOKEN_FILE)
    (folder / BUNDLES_FOLDER).mkdir(mode=0o700, exist_ok=True)
    trusted = _trusted_keys(folder / config.trusted_keys_file)
    bundles = BundleService(folder / BUNDLES_FOLDER, trusted)
    opened = open_media(
        _media(folder, config), _REPLAYS, clock=clock, chance=chance, lapse=lapse_parts
    )
    guard = opened.guard
    disk = Disk(folder) if disk is None else disk
    disk.hold_reserve()
    writer = Writer(folder / DATABASE_FILE, guard, disk)
    reader = Reader(folder / DATABASE_FILE)
    link = LinkState(clock)

    async def bring(owner: str) -> Mapping[str, int]:
        return await visits.bring(owner)

    def noted_money() -> None:
        uplink.note_flush()

    def want_more(promotion: str, asset: str, amount: int) -> None:
        budgets.want_more(promotion, asset, amount)

    discovery = Discovery(
        edge_id=config.edge_id,
        listen=config.lan_listen if config.announce_hub else None,
        hub_url=config.hub_url,
        finds=config.find_hub,
    )
    network = _network(
        folder, config, machine, writer, opened, bring, want_more, noted_money, discovery.places
    )
    dates = Dates(
        KeptTime(
            wall_now_ms=clock.now_ms,
            trusted_now_ms=opened.clock.trusted_now_ms,
            hear=opened.clock.note_central,
            keys=trusted,
            chance=chance,
        )
    )
    transport = _transport(folder, config, network, dates)
    visits = Visits(
        central=transport,
        reader=reader,
        writer=writer,
        is_online=lambda: link.online,
        standing=network.desk.standing,
        clock=clock,
    )
    expected = Expected(network.desk.elsewhere, clock)
    coupons = CouponLoans(
        central=transport, writer=writer, is_online=lambda: link.online, clock=clock
    )
    network.bring_coupons_by(coupons.bring)
    budgets = BudgetAsks(
        central=transport, writer=writer, is_online=lambda: link.online, clock=clock
    )
    checkout = Checkout(
        database=folder / DATABASE_FILE,
        writer=writer,
        bundles=bundles,
        look_up=expected.watching(look_up),
        desk=network.desk,
        store_id=config.store_id,
        clock=clock,
        chance=chance,
    )
    identity = Identity(
        edge_id=config.edge_id,
        agent_version=agent_version(),
        started_at_ms=clock.now_ms(),
        hello_interval_s=config.hello_interval_s,
        flush_interval_s=config.flush_interval_s,
        feed_wait_s=config.feed_wait_s,
    )
    supervisor = Supervisor(clock, _full_jitter(config, link, chance))

    def statuses() -> list[Status]:
        return report.statuses()

    def noted_sale() -> None:
        uplink.note_flush()
        network.note_sold()

    uplink = Uplink(
        identity,
        central=transport,
        writer=writer,
        reader=reader,
        bundles=bundles,
        link=link,
        clock=clock,
        chance=chance,
        statuses=statuses,
        witness=guard.heads,
        hear_time=opened.clock.note_central,
        wipe=lambda: _wipe(folder, config, writer),
        on_contact=lambda: asyncio.to_thread(forget_copies, folder / DATABASE_FILE),
    )
    upkeep = Upkeep(writer=writer, guard=guard, clock=opened.clock, disk=disk)
    report = StatusReport(
        identity=identity,
        store_id=config.store_id,
        bundles=bundles,
        link=link,
        supervisor=supervisor,
        queue=uplink.queue,
        clock=clock,
        more=lambda: [
            disk.status(),
            *guard.statuses(),
            opened.clock.status(),
            uplink.stream_status(),
            *network.status(),
            *ports.status(),
        ],
    )
    for name, one_round in (
        ("hello", uplink.hello_round),
        ("flush", uplink.flush_round),
        ("feed", disk.when_roomy(uplink.feed_round)),
        ("bundle", disk.when_roomy(uplink.bundle_round)),
        ("upkeep", upkeep.round),
        ("scrub", Scrub(folder / DATABASE_FILE, disk).round),
        ("budgets", budgets.round),
        *network.rounds(transport),
        *discovery.rounds(lambda: network.port),
    ):
        supervisor.add(name, one_round)
    api = TillApi(
        checkout=checkout,
        reader=reader,
        desk=network.desk,
        report=report.collect,
        on_commit=noted_sale,
    )
    returns = Returns(
        writer=writer, reader=reader, store_id=config.store_id, clock=clock, chance=chance
    )
    gift_cards = GiftCards(central=transport, clock=clock)
    ports = SerialPorts(
        config.serial,
        Services(
            checkout=checkout,
            returns=returns,
            gift_cards=gift_cards,
            reader=reader,
            desk=network.desk,
            clock=clock,
            store_id=config.store_id,
            agent_version=identity.agent_version,
            report=report.collect,
            on_sale=noted_sale,
            on_return=uplink.note_flush,
        ),
    )
    for name, one_round in ports.rounds():
        supervisor.add(name, one_round)
    page = PageApi(
        lambda site: site(
            token=token, reader=reader, bundles=bundles, report=report.collect, clock=clock
        )
    )
    metrics = Metrics(report.collect, clock)
    app = api.application(
        token=token,
        chance=chance,
        more=[
            *ReturnsApi(returns, on_commit=uplink.note_flush).routes(),
            *GiftCardsApi(gift_cards).routes(),
            *ShopApi(
                checkout=checkout, reader=reader, store_id=config.store_id, clock=clock
            ).routes(),
            *DocsApi(agent_version()).routes(),
            *metrics.routes(),
            *page.routes(),
        ],
        around=[metrics.watching()],
    )

    async def loops(_app: web.Application) -> AsyncIterator[None]:
        await transport.open()
        await network.open()
        expected.open()
        supervisor.start()
        yield
        await expected.close()
        await visits.close()
        await supervisor.stop()
        await ports.close()
        await discovery.close()
        await network.close()
        await transport.close()

    # What is entered first is left last: the writer outlives everybody who may still write.
    app.cleanup_ctx.extend(
        [
            _closing(guard.close),
            _closing(writer.close),
            _closing(reader.close),
            _closing(checkout.close),
            loops,
        ]
    )
    return app


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
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
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


async def ask_status(folder: Path) -> Any:
    """What the running agent of a folder answers to GET /v1/status.

    Raises:
        UnavailableError: no agent answers.
    """
    headers = {"Authorization": f"Bearer {read_secret(folder / TILL_TOKEN_FILE)}"}
    timeout = aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S)
    try:
        address = (folder / ADDRESS_FILE).read_text("utf-8")
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(f"{address}/v1/status") as response,
        ):
            response.raise_for_status()
            return await response.json()
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        raise UnavailableError("the agent does not answer", hint="Is it running?") from error


def agent_version() -> str:
    """The release of this program."""
    return metadata.version("kopilka")


def _network(
    folder: Path,
    config: Config,
    machine: Machine,
    writer: Writer,
    opened: Opened,
    bring: Callable[[str], Awaitable[Mapping[str, int]]],
    want_more: Callable[[str, str, int], None],
    on_recorded: Callable[[], None],
    places: Places | None,
) -> ShopNetwork:
    signer = None
    if places is not None or config.lan_listen is not None:
        signer = Signer(_device_key(folder))
    return ShopNetwork(
        edge_id=config.edge_id,
        signer=signer,
        writer=writer,
        trusted_now_ms=opened.clock.trusted_now_ms,
        may_spend=lambda: opened.guard.may_spend,
        bring=bring,
        want_more=want_more,
        on_recorded=on_recorded,
        clock=machine.clock,
        chance=machine.chance,
        places=places,
        listen=config.lan_listen,
    )


def _transport(folder: Path, config: Config, network: ShopNetwork, dates: Dates) -> Transport:
    credential = read_secret(folder / config.credential_file)
    ca_file = None if config.ca_file is None else folder / config.ca_file
    if network.path is None:
        return Transport(
            config.central_url,
            credential=credential,
            ca_file=ca_file,
            dates=dates,
            addresses=folder / ADDRESSES_FILE,
        )
    return TillTransport(
        config.central_url,
        path=network.path,
        credential=credential,
        ca_file=ca_file,
        dates=dates,
        addresses=folder / ADDRESSES_FILE,
    )


def _device_key(folder: Path) -> bytes:
    try:
        return (folder / DEVICE_KEY_FILE).read_bytes()
    except OSError as error:
        raise CorruptionError(
            f"{DEVICE_KEY_FILE} cannot be read", hint="Enrol this agent again."
        ) from error


async def _serve(
    folder: Path, config: Config, machine: Machine, announce: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def stop_soon() -> None:
        loop.call_soon_threadsafe(stop.set)

    disk = Disk(folder, on_failure=stop_soon)
    runner = patiently(make_app(folder, config, machine, disk), stop_grace_s=STOP_GRACE_S)
    try:
        await runner.setup()
        # The programme is most of what lives in this process, and lives long: the collector need
        # not walk over it again and again while tills wait.
        gc.freeze()
        try:
            await PatientSite(runner, config.listen_host, config.listen_port).start()
        except OSError as error:
            raise UnavailableError(
                f"{config.listen_host}:{config.listen_port} cannot be listened at",
                hint="Is the port taken? See listen_port in edge.toml.",
            ) from error
        host, port = runner.addresses[0][:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        write_private(folder / ADDRESS_FILE, address.encode())
        announce(address)
        await stop.wait()
    finally:
        await runner.cleanup()
    if disk.fault is not None:
        raise disk.refusal(disk.fault)


def _media(folder: Path, config: Config) -> Media:
    return Media(
        database=folder / DATABASE_FILE,
        witness=folder / config.witness_file,
        journal=None if config.journal_folder is None else folder / config.journal_folder,
        edge_id=config.edge_id,
    )


async def _wipe(folder: Path, config: Config, writer: Writer) -> None:
    """Central has revoked this agent: what it could do harm with goes, its records stay."""
    await writer.run(forget_people)
    for name in (config.credential_file, DEVICE_KEY_FILE):
        await asyncio.to_thread((folder / name).unlink, missing_ok=True)


def _full_jitter(config: Config, link: LinkState, chance: Chance) -> Callable[[int], float]:
    def wait_s(failures: int) -> float:
        low_s, high_s = backoff_bounds_s(
            failures,
            min_s=config.backoff_min_s,
            max_s=config.backoff_max_s,
            outage_s=link.outage_s(),
            reconnect_window_s=config.reconnect_window_s,
        )
        return chance.uniform(low_s, high_s)

    return wait_s


def _closing(close: Callable[[], None]) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_app: web.Application) -> AsyncIterator[None]:
        yield
        close()

    return context


def _trusted_keys(path: Path) -> dict[str, bytes]:
    try:
        keys = msgspec.json.decode(read_secret(path), type=list[TrustedKey])
    except msgspec.DecodeError as error:
        raise CorruptionError(f"{path.name} is damaged", hint="Enrol this agent again.") from error
    return {key.key_id: key.public_key for key in keys}

"""The line to the hub and to central, and who asks them for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from edge_agent.config import DEVICE_KEY_FILE, Config, read_secret
from edge_agent.database.migrate import forget_copies
from edge_agent.database.writer import Writer
from edge_agent.discovery.policy import Places
from edge_agent.discovery.service import Discovery
from edge_agent.lan.service import ShopNetwork
from edge_agent.members.keys import KEYS_FILE
from edge_agent.supervisor import Round
from edge_agent.uplink.budgets import BudgetAsks
from edge_agent.uplink.coupon_loans import CouponLoans
from edge_agent.uplink.dates import Dates, KeptTime
from edge_agent.uplink.loops import Identity, Uplink
from edge_agent.uplink.sales import SalesLine
from edge_agent.uplink.through_hub import TillTransport
from edge_agent.uplink.transport import Transport
from edge_agent.uplink.visits import Expected, Visits
from edge_agent.uplink.wipe import forget_people
from edge_agent.wiring.ground import Ground, agent_version
from shared.clock import BootClock
from shared.crypto.signing import Signer
from shared.errors import CorruptionError
from shared.status import Status

ADDRESSES_FILE: Final = "central.addresses"
"""Where central has answered, for days without a name server."""


class Line:
    """The talk with the hub and with central, and who asks them for more.

    The rooms here call each other, so some are reached through ``self`` after all are built.
    """

    def __init__(self, ground: Ground, statuses: Callable[[], list[Status]]) -> None:
        config, clock = ground.config, ground.clock
        self._disk = ground.disk
        self.identity = _identity(config, clock)
        self.discovery = Discovery(
            edge_id=config.edge_id,
            listen=config.lan_listen if config.announce_hub else None,
            hub_url=config.hub_url,
            finds=config.find_hub,
        )
        self.network = self._network(ground, self.discovery.places)
        self.transport = _transport(ground, self.network)
        self.visits = Visits(
            central=self.transport,
            reader=ground.reader,
            writer=ground.writer,
            is_online=lambda: ground.link.online,
            standing=self.network.desk.standing,
            clock=clock,
        )
        self.expected = Expected(self.network.desk.elsewhere, clock)
        coupons = CouponLoans(
            central=self.transport,
            writer=ground.writer,
            is_online=lambda: ground.link.online,
            clock=clock,
        )
        self.network.bring_coupons_by(coupons.bring)
        self.budgets = BudgetAsks(
            central=self.transport,
            writer=ground.writer,
            is_online=lambda: ground.link.online,
            clock=clock,
        )
        self.sales = SalesLine(
            central=self.transport, clock=clock, through_hub=self.network.find_sale_through_hub
        )
        self.network.carry_questions_by(self.sales.find)
        self.uplink = self._uplink(ground, statuses)

    def rounds(self) -> list[tuple[str, Round]]:
        """The loops that talk."""
        return [
            ("hello", self.uplink.hello_round),
            ("flush", self.uplink.flush_round),
            ("feed", self._disk.when_roomy(self.uplink.feed_round)),
            ("bundle", self._disk.when_roomy(self.uplink.bundle_round)),
            ("budgets", self.budgets.round),
            *self.network.rounds(self.transport),
            *self.discovery.rounds(lambda: self.network.port),
        ]

    def statuses(self) -> list[Status]:
        """How the streams and the shop's network are."""
        return [self.uplink.stream_status(), *self.network.status()]

    def note_sale(self) -> None:
        """A sale was recorded; must not wait."""
        self.uplink.note_flush()
        self.network.note_sold()

    async def open(self) -> None:
        """Be ready to talk and to be asked; call inside the event loop."""
        await self.transport.open()
        await self.network.open()
        self.expected.open()

    async def close_asks(self) -> None:
        """End what waits for central's word, before the loops end."""
        await self.expected.close()
        await self.visits.close()

    async def close(self) -> None:
        """Stop listening and talking, after the loops have ended."""
        await self.discovery.close()
        await self.network.close()
        await self.transport.close()

    async def _bring(self, owner: str) -> Mapping[str, int]:
        return await self.visits.bring(owner)

    def _want_more(self, promotion: str, asset: str, amount: int) -> None:
        self.budgets.want_more(promotion, asset, amount)

    def _note_money(self) -> None:
        self.uplink.note_flush()

    def _network(self, ground: Ground, places: Places | None) -> ShopNetwork:
        config = ground.config
        signer = None
        if places is not None or config.lan_listen is not None:
            signer = Signer(_device_key(ground.folder))
        return ShopNetwork(
            edge_id=config.edge_id,
            signer=signer,
            writer=ground.writer,
            trusted_now_ms=ground.trusted_clock.trusted_now_ms,
            may_spend=lambda: ground.guard.may_spend,
            bring=self._bring,
            want_more=self._want_more,
            on_recorded=self._note_money,
            is_roomy=lambda: not ground.disk.short,
            clock=ground.clock,
            chance=ground.chance,
            places=places,
            listen=config.lan_listen,
        )

    def _uplink(self, ground: Ground, statuses: Callable[[], list[Status]]) -> Uplink:
        database = ground.database
        return Uplink(
            self.identity,
            central=self.transport,
            writer=ground.writer,
            reader=ground.reader,
            bundles=ground.bundles,
            link=ground.link,
            clock=ground.clock,
            chance=ground.chance,
            statuses=statuses,
            witness=ground.guard.heads,
            hear_time=ground.trusted_clock.note_central,
            wipe=lambda: _wipe(ground.folder, ground.config, ground.writer),
            on_contact=lambda: asyncio.to_thread(forget_copies, database),
        )


def _identity(config: Config, clock: BootClock) -> Identity:
    return Identity(
        edge_id=config.edge_id,
        agent_version=agent_version(),
        started_at_ms=clock.now_ms(),
        hello_interval_s=config.hello_interval_s,
        flush_interval_s=config.flush_interval_s,
        feed_wait_s=config.feed_wait_s,
    )


def _transport(ground: Ground, network: ShopNetwork) -> Transport:
    folder, config = ground.folder, ground.config
    dates = Dates(
        KeptTime(
            wall_now_ms=ground.clock.now_ms,
            trusted_now_ms=ground.trusted_clock.trusted_now_ms,
            hear=ground.trusted_clock.note_central,
            keys=ground.trusted,
            chance=ground.chance,
        )
    )
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


async def _wipe(folder: Path, config: Config, writer: Writer) -> None:
    """Central has revoked this agent: what it could do harm with goes, its records stay."""
    await writer.run(forget_people)
    for name in (config.credential_file, DEVICE_KEY_FILE, KEYS_FILE):
        await asyncio.to_thread((folder / name).unlink, missing_ok=True)

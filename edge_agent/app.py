"""The only place that wires: which room gets what, in which order they open and close.

The ground is laid first, then the line to the hub and to central (``wiring``), then what tills are
served by. A new room is built beside its neighbours, and names its rounds and statuses there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from edge_agent.checkout.knowledge import look_up
from edge_agent.checkout.proof import Proofs
from edge_agent.checkout.service import Checkout
from edge_agent.checkout.zones import ZoneWatch
from edge_agent.config import TILL_TOKEN_FILE, Config, read_secret
from edge_agent.database.disk import Disk
from edge_agent.gift_cards.service import GiftCards
from edge_agent.http.docs import DocsApi
from edge_agent.http.gift_cards import GiftCardsApi
from edge_agent.http.members import MembersApi
from edge_agent.http.metrics import Metrics
from edge_agent.http.returns import ReturnsApi
from edge_agent.http.routes import TillApi
from edge_agent.http.shop import ShopApi
from edge_agent.http.status import StatusReport
from edge_agent.returns.desk import SalesDesk
from edge_agent.returns.service import Returns
from edge_agent.returns.without_receipt import WithoutReceipt
from edge_agent.serial.service import SerialPorts
from edge_agent.serial.services import Services
from edge_agent.supervisor import Supervisor
from edge_agent.tills.service import Tills
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.plan import backoff_bounds_s
from edge_agent.watchdog import PROBE, Probe
from edge_agent.wiring.ground import Ground, Machine, agent_version, lay_ground
from edge_agent.wiring.line import Line
from edge_agent.wiring.members import make_members
from edge_agent.wiring.page import make_page
from shared.ids import Chance
from shared.status import Status
from shared.wire.answer import Answer

_PROBED: Final = (
    b'{"time": "2026-01-01T12:00:00+00:00",'
    b' "lines": [{"line": 1, "sku": "probe", "qty": "1", "price": "1.00"}]}'
)
"""The receipt by which it is seen that prices are told; nothing of it is recorded."""


def make_app(
    folder: Path, config: Config, machine: Machine, disk: Disk | None = None
) -> web.Application:
    """The agent of a folder, ready to be served; what it opened closes with the application.

    ``disk`` tells when the process must end; without it nobody is told.

    Raises:
        AppError: a file of the folder is missing, damaged or of another release.
    """
    token = read_secret(folder / TILL_TOKEN_FILE)
    tills = Tills(folder, common_token=token, common_sells=config.common_token, clock=machine.clock)
    ground = lay_ground(folder, config, machine, Disk(folder) if disk is None else disk)
    supervisor = Supervisor(ground.clock, _full_jitter(config, ground.link, ground.chance))

    def statuses() -> list[Status]:
        return report.statuses()

    line = Line(ground, statuses=statuses)
    counter = _Counter(ground, line)
    report = StatusReport(
        identity=line.identity,
        store_id=config.store_id,
        bundles=ground.bundles,
        link=ground.link,
        supervisor=supervisor,
        queue=line.uplink.queue,
        clock=ground.clock,
        more=lambda: [
            *ground.statuses(),
            *line.statuses(),
            *ports.status(),
            tills.status(),
            counter.zones.status(),
            counter.members.status(),
        ],
    )
    supervisor.add("members", counter.members.round)
    ports = SerialPorts(config.serial, _services(ground, line, counter, report))
    talks = [("hello", line.uplink.report_round)] if ground.keeps_still else line.rounds()
    for name, one_round in (*talks, *ground.rounds(), *ports.rounds()):
        supervisor.add(name, one_round)
    supervisor.add("zones", counter.zones.round)
    app = _listener(ground, line, counter, report, tills, token)
    app[PROBE] = Probe(partial(_probe, ground, counter))

    async def loops(_app: web.Application) -> AsyncIterator[None]:
        await line.open()
        supervisor.start()
        yield
        await line.close_asks()
        await supervisor.stop()
        await ports.close()
        await line.close()

    # What is entered first is left last: the writer outlives everybody who may still write.
    app.cleanup_ctx.extend(
        [
            _closing(ground.guard.close),
            _closing(ground.writer.close),
            _closing(ground.reader.close),
            _closing(counter.checkout.close),
            loops,
        ]
    )
    return app


async def _probe(ground: Ground, counter: _Counter) -> None:
    """A receipt is priced and the writer has a turn: what a till would wait for."""
    await ground.writer.run(lambda _: None)
    if ground.bundles.active is not None:
        await counter.checkout.calculate(_PROBED, trace=False)


class _Counter:
    """What tills are served by, over HTTP and on serial lines alike."""

    def __init__(self, ground: Ground, line: Line) -> None:
        store_id, clock, chance = ground.config.store_id, ground.shop_clock, ground.chance
        # The same after a restart, and nobody else's: receipts stay open through one.
        self.proofs = Proofs(read_secret(ground.folder / TILL_TOKEN_FILE))
        self.checkout = Checkout(
            database=ground.database,
            disk=ground.disk,
            writer=ground.writer,
            bundles=ground.bundles,
            look_up=line.expected.watching(look_up),
            proofs=self.proofs,
            desk=line.network.desk,
            store_id=store_id,
            clock=clock,
            chance=chance,
        )
        self.zones = ZoneWatch(ground.reader, store_id)
        self.returns = Returns(
            writer=ground.writer,
            reader=ground.reader,
            store_id=store_id,
            clock=clock,
            chance=chance,
            desk=SalesDesk(line.sales, edge_id=ground.config.edge_id, store_id=store_id),
        )
        self.without_receipt = WithoutReceipt(
            settings=ground.config.returns,
            price=self._price,
            writer=ground.writer,
            reader=ground.reader,
            store_id=store_id,
            clock=clock,
            chance=chance,
        )
        self.gift_cards = GiftCards(central=line.transport, clock=clock)
        self.members = make_members(ground, line)

    async def _price(self, receipt: bytes) -> Answer:
        return (await self.checkout.calculate(receipt, trace=False)).answer


def _services(ground: Ground, line: Line, counter: _Counter, report: StatusReport) -> Services:
    return Services(
        checkout=counter.checkout,
        returns=counter.returns,
        without_receipt=counter.without_receipt,
        gift_cards=counter.gift_cards,
        members=counter.members,
        proofs=counter.proofs,
        reader=ground.reader,
        desk=line.network.desk,
        clock=ground.shop_clock,
        store_id=ground.config.store_id,
        agent_version=line.identity.agent_version,
        report=report.collect,
        on_sale=line.note_sale,
        on_return=line.uplink.note_flush,
    )


def _listener(
    ground: Ground,
    line: Line,
    counter: _Counter,
    report: StatusReport,
    tills: Tills,
    token: str,
) -> web.Application:
    """Every address that HTTP tills and people of the shop reach."""
    reader, clock = ground.reader, ground.shop_clock
    metrics = Metrics(report.collect, ground.clock)
    shop = ShopApi(
        checkout=counter.checkout, reader=reader, store_id=ground.config.store_id, clock=clock
    )
    page = make_page(ground, line, report, metrics, tills, token)
    till = TillApi(
        checkout=counter.checkout,
        reader=reader,
        desk=line.network.desk,
        report=report.collect,
        on_commit=line.note_sale,
    )
    return till.application(
        tills=tills,
        chance=ground.chance,
        more=[
            *ReturnsApi(
                counter.returns, counter.without_receipt, on_commit=line.uplink.note_flush
            ).routes(),
            *GiftCardsApi(counter.gift_cards).routes(),
            *MembersApi(
                counter.members,
                till,
                counter.proofs,
                reader=reader,
                store_id=ground.config.store_id,
                clock=clock,
            ).routes(),
            *shop.routes(),
            *DocsApi(agent_version()).routes(),
            *metrics.routes(),
            *page.routes(),
        ],
        around=[metrics.watching()],
    )


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

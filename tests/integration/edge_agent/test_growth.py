"""An agent that sells for years is no larger than one that sold for some months."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
from msgspec.structs import replace

from edge_agent.checkout.replay import REPLAYS
from edge_agent.checkout.store import Sale, commit_sale, forget_receipts, recorded_sale
from edge_agent.clock.trusted import TrustedClock
from edge_agent.database.connection import open_writer
from edge_agent.database.disk import Disk
from edge_agent.database.writer import Writer
from edge_agent.leases.policy import Standing
from edge_agent.outbox.store import acknowledge, head_of, start_stream, verify_chain
from edge_agent.returns.store import Made, commit_return, forget_returns
from edge_agent.witness.guard import Guard
from edge_agent.witness.start import Media, open_media
from edge_agent.witness.upkeep import Upkeep
from shared.limits import ACKED_RECORD_KEEP_DAYS, SALE_KEEP_DAYS
from shared.wire.answer import AnswerLine, Part
from shared.wire.enrol import LaneStart
from shared.wire.receipt import Receipt
from shared.wire.return_json import ReturnRequest
from shared.wire.stream import Lane
from tests.support.clocks import FakeClock
from tests.support.shop_facts import an_answer
from tests.support.shop_network import SeededChance

EDGE_ID = 7
SALES_A_DAY = 12
DAY_MS = 24 * 3_600_000
PAGES_OF_CHANCE = 1.02
LINE = AnswerLine(
    line=1,
    list_minor=100,
    discount_minor=0,
    net_minor=100,
    points_spent_minor=0,
    to_pay_minor=100,
    applied=[],
    parts=[Part(quantity_milli=1000, to_pay_minor=100)],
)


@dataclass(kw_only=True)
class Shop:
    """The writing half of an agent; ``sold``: how many receipts it ever sold.

    ``ahead_ms``: by how much the clock is wrong by which tills' words are dated.
    """

    path: Path
    clock: FakeClock
    writer: Writer
    upkeep: Upkeep
    guard: Guard
    upkeep_clock: TrustedClock
    sold: int = 0
    ahead_ms: int = 0

    async def day(self, *, acked: bool) -> None:
        """Sell; central takes it, or does not; in the night what is old goes."""
        first, self.sold = self.sold, self.sold + SALES_A_DAY
        await asyncio.gather(
            *(self.writer.run(lambda c, n=n: self._sell(c, n)) for n in range(first, self.sold))
        )
        await self.writer.run(lambda c: self._take_back(c, first))
        if acked:
            await self.writer.run(_acknowledge_all)
        self.clock.advance_ms(DAY_MS)
        await self.upkeep.tidy()

    def size(self) -> dict[str, int]:
        """Pages in use, rows, and bytes of the files beside the database."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        found = {
            "pages": _number(connection, "PRAGMA page_count"),
            "sales": _number(connection, "SELECT count(*) FROM receipt"),
            "returns": _number(connection, "SELECT count(*) FROM goods_return"),
            "records": _number(connection, "SELECT count(*) FROM outbox"),
        }
        connection.close()
        for path in sorted(self.path.parent.rglob("*")):
            if path.is_file() and path.name.startswith("witness"):
                found[path.name] = path.stat().st_size
        return found

    def _sell(self, connection: apsw.Connection, number: int) -> None:
        now_ms = self.clock.now_ms() + self.ahead_ms
        name = f"r{number:08d}"
        sale = Sale(
            receipt=Receipt(
                receipt_id=name, store="S1", time="2026-11-23T12:00:00+03:00", lines=[]
            ),
            answer=replace(an_answer(name), lines=[LINE]),
            bundle_version=1,
            business_date="2026-11-23",
            body_sha256=bytes(32),
            record_uid=number.to_bytes(16, "big"),
            to_pay_told_minor=None,
            now_ms=now_ms,
        )
        commit_sale(connection, sale, Standing(edge_id=EDGE_ID, epoch=1, now_ms=now_ms))

    def _take_back(self, connection: apsw.Connection, number: int) -> None:
        wanted = ReturnRequest(
            sale_id=f"r{number:08d}", wanted_milli={1: 1000}, time="2026-11-24T12:00:00+03:00"
        )
        made = Made(
            return_id=f"back-{number:08d}",
            request=wanted,
            store_id="S1",
            body_sha256=bytes(32),
            record_uid=(number + 2**64).to_bytes(16, "big"),
            now_ms=self.clock.now_ms() + self.ahead_ms,
        )
        commit_return(connection, made)


@asynccontextmanager
async def a_shop(folder: Path) -> AsyncIterator[Shop]:
    path = folder / "edge.sqlite"
    connection = open_writer(path)
    for lane in Lane:
        start_stream(connection, EDGE_ID, LaneStart(lane=lane, epoch=1, nonce=b"n" * 16))
    connection.close()
    clock = FakeClock()
    media = Media(database=path, witness=folder / "witness", journal=None, edge_id=EDGE_ID)
    opened = open_media(media, REPLAYS, clock=clock, chance=SeededChance(1))
    disk = Disk(folder)
    writer = Writer(path, opened.guard, disk)
    upkeep = Upkeep(
        writer=writer,
        guard=opened.guard,
        clock=opened.clock,
        disk=disk,
        forgets=(forget_receipts, forget_returns),
    )
    try:
        yield Shop(
            path=path,
            clock=clock,
            writer=writer,
            upkeep=upkeep,
            guard=opened.guard,
            upkeep_clock=opened.clock,
        )
    finally:
        writer.close()
        opened.guard.close()


async def test_twice_the_sales_take_the_same_room(tmp_path: Path) -> None:
    """Once the oldest sales go, as much goes each day as comes: pages, rows and other media."""
    async with a_shop(tmp_path) as shop:
        for _ in range(SALE_KEEP_DAYS + 20):
            await shop.day(acked=True)
        once = shop.size()
        for _ in range(SALE_KEEP_DAYS + 20):
            await shop.day(acked=True)
        twice = shop.size()
        pages, now_pages = once.pop("pages"), twice.pop("pages")
        assert once == twice
        assert now_pages <= pages * PAGES_OF_CHANCE
        assert twice["sales"] <= (SALE_KEEP_DAYS + 1) * SALES_A_DAY
        # A return goes after its sale went.
        assert twice["returns"] <= SALE_KEEP_DAYS + 2
        assert twice["records"] <= (ACKED_RECORD_KEEP_DAYS + 1) * (SALES_A_DAY + 1)


async def test_what_head_office_lacks_stays_however_old(tmp_path: Path) -> None:
    """A shop without a line forgets no sale; when head office has them, the old ones go."""
    async with a_shop(tmp_path) as shop:
        for _ in range(SALE_KEEP_DAYS + 5):
            await shop.day(acked=False)
        size = shop.size()
        days = SALE_KEEP_DAYS + 5
        assert (size["sales"], size["returns"]) == (shop.sold, days)
        assert size["records"] == shop.sold + days
        await shop.day(acked=True)
        assert shop.size()["sales"] < shop.sold
        reader = apsw.Connection(str(shop.path), flags=apsw.SQLITE_OPEN_READONLY)
        assert recorded_sale(reader, "r00000000") is None
        assert recorded_sale(reader, f"r{shop.sold - 1:08d}") is not None
        verify_chain(reader, int(Lane.RECEIPTS))
        reader.close()


async def test_sale_under_a_clock_that_is_ahead_is_dated_a_day_ahead(tmp_path: Path) -> None:
    """One day of a machine's clock in 2046 keeps nothing longer than other days."""
    async with a_shop(tmp_path) as shop:
        await shop.writer.run(shop.guard.put_time_down)
        right_ms = shop.clock.wall_ms
        shop.ahead_ms = 20 * 365 * DAY_MS
        await shop.day(acked=True)
        shop.ahead_ms = 0
        reader = apsw.Connection(str(shop.path), flags=apsw.SQLITE_OPEN_READONLY)
        for query in (
            "SELECT max(recorded_at_ms) FROM receipt",
            "SELECT max(recorded_at_ms) FROM goods_return",
            "SELECT max(recorded_at_ms) FROM outbox",
        ):
            latest_ms = _number(reader, query)
            assert right_ms <= latest_ms <= right_ms + 2 * DAY_MS, query
        reader.close()


async def test_rows_dated_ahead_by_an_older_release_do_not_keep_the_rest(tmp_path: Path) -> None:
    """More of them than one transaction looks at, at the front and in the middle."""
    async with a_shop(tmp_path) as shop:
        for day in range(SALE_KEEP_DAYS + 40):
            await shop.day(acked=True)
            if day in {18, 30}:
                await shop.writer.run(_date_all_in_2046)
        size = shop.size()
        assert size["sales"] <= (SALE_KEEP_DAYS + 1) * SALES_A_DAY
        assert size["returns"] <= SALE_KEEP_DAYS + 2
        assert size["records"] <= (ACKED_RECORD_KEEP_DAYS + 1) * (SALES_A_DAY + 1)


async def test_trusted_time_that_is_ahead_forgets_no_young_sale(tmp_path: Path) -> None:
    """Central says that it is a year less: what is kept goes by that."""
    async with a_shop(tmp_path) as shop:
        right_ms = shop.clock.wall_ms
        shop.upkeep_clock.note_central(right_ms + 365 * DAY_MS)
        shop.upkeep_clock.note_central(right_ms)
        await shop.day(acked=True)
        assert shop.size()["sales"] == SALES_A_DAY


def _date_all_in_2046(connection: apsw.Connection) -> None:
    connection.execute("UPDATE receipt SET recorded_at_ms = 2400000000000")
    connection.execute("UPDATE goods_return SET recorded_at_ms = 2400000000000")
    connection.execute("UPDATE outbox SET recorded_at_ms = 2400000000000")


def _acknowledge_all(connection: apsw.Connection) -> None:
    head = head_of(connection, int(Lane.RECEIPTS))
    acknowledge(connection, head.stream_id, head.seq, head.hash)


def _number(connection: apsw.Connection, query: str) -> int:
    found = connection.execute(query).get
    assert isinstance(found, int)
    return found

"""What is recorded: a shop's day with everything that writes, and the update of an old database.

Each script tells the tape what tills were told ("told") and what was begun ("begun"), so that an
image of any moment can be judged.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import make_app
from edge_agent.bundles.service import BundleService
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.feed import FeedCalls, FeedReader
from edge_agent.uplink.link import LinkState
from edge_agent.wiring import ground
from edge_agent.wiring.ground import Machine
from edge_agent.witness.start import Media, open_media
from shared.system import SystemChance, SystemClock
from shared.wire.feed import FeedChange, FeedPage, Operation, ProductEntry, Topic
from tests.integration.edge_agent.test_migrate import first_release
from tests.power_loss.tape import Tape, recording
from tests.support.shop import HEADERS, a_bundle, make_shop, till_receipt

SHOP: Final = "shop"
USB: Final = "usb"
GOODS: Final = 12
"""Products that every checkpoint of the feed changes together."""
FOLD_PAGES: Final = 40
"""The log is folded often, so that the tape has it many times."""
OLD_SALES: Final = 12
_ENCODER: Final = msgspec.msgpack.Encoder()


class Disks(enum.StrEnum):
    """Where a shop keeps its records."""

    ONE = "one"
    """All on one disk."""
    WITNESS = "witness"
    """The witness has a disk of its own."""
    JOURNAL = "journal"
    """A second disk has the witness and the second journal."""


def media_of(root: Path, disks: Disks) -> Media:
    """Where a shop under a root has its records."""
    return Media(
        database=root / SHOP / DATABASE_FILE,
        witness=root / (SHOP if disks is Disks.ONE else USB) / "witness",
        journal=root / USB / "journal" if disks is Disks.JOURNAL else None,
        edge_id=7,
    )


def record_trade(root: Path, disks: Disks, *, steps: int, seed: int) -> Tape:
    """Sales, set-aside points, the feed and new bundles, in two runs of the agent."""
    root.mkdir(parents=True)
    more: dict[str, Any] = {}
    if disks is not Disks.ONE:
        (root / USB).mkdir()
        more["witness_file"] = f"../{USB}/witness"
    if disks is Disks.JOURNAL:
        more["journal_folder"] = f"../{USB}/journal"
    bundles = [a_bundle(version) for version in range(1, 5)]
    make_shop(root / SHOP, bundle=bundles[0], **more)
    with recording(root) as tape, pytest.MonkeyPatch.context() as patch:
        if disks is Disks.WITNESS:
            # Both are one disk here, and have to be taken for two.
            patch.setattr("edge_agent.witness.start._stands_alone", lambda _media: True)
        asyncio.run(_trade(root / SHOP, tape, bundles, steps, random.Random(seed)))
    return tape


def record_update(root: Path) -> Tape:
    """The first start of this release on a database of the first one."""
    (root / SHOP).mkdir(parents=True)
    first_release(root / SHOP / DATABASE_FILE, OLD_SALES)
    with recording(root) as tape:
        media = media_of(root, Disks.ONE)
        opened = open_media(media, {}, clock=SystemClock(), chance=SystemChance())
        opened.guard.close()
        tape.mark("told", "updated")
    return tape


async def _trade(
    folder: Path, tape: Tape, bundles: list[bytes], steps: int, chance: random.Random
) -> None:
    day = _Day(tape=tape, chance=chance, bundles=bundles)
    for part in (steps * 2 // 3, steps // 3):
        async with _agent(folder, day.central) as (till, news, offered):
            day.till, day.news, day.offered = till, news, offered
            for _ in range(part):
                await day.step()


class _Day:
    """What happens in the shop, and what is told of it."""

    till: TestClient[Any, Any]
    news: FeedReader
    offered: BundleService

    def __init__(self, *, tape: Tape, chance: random.Random, bundles: list[bytes]) -> None:
        self.tape = tape
        self.chance = chance
        self.bundles = bundles
        self.central = _Central()
        self.version = 1
        self.checkpoint = 0
        self.receipts = 0

    async def step(self) -> None:
        """Something that writes; at times three tills at once."""
        what = self.chance.choice(
            [self.sale, self.sale, self.sale, self.frozen_sale, self.given_up, self.feed, self.rush]
        )
        await what()
        if self.chance.random() < 0.08 and self.version < len(self.bundles):
            await self.bundle()

    async def rush(self) -> None:
        """Three tills sell in the same moment."""
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(self.sale())

    async def sale(self) -> None:
        receipt_id, body = self._receipt()
        await self._commit(receipt_id, body)

    async def frozen_sale(self) -> None:
        """Points are set aside, the rest is paid, the sale is made."""
        receipt_id, body = self._receipt(spends=True)
        await self._freeze(receipt_id, body)
        await self._commit(receipt_id, body)

    async def given_up(self) -> None:
        """Points are set aside, and the customer leaves."""
        receipt_id, body = self._receipt(spends=True)
        await self._freeze(receipt_id, body)
        if self.chance.random() < 0.5:
            self.tape.mark("begun", "cancelled", receipt_id)
            await self._post(f"{receipt_id}/cancel", {})
            self.tape.mark("told", "cancelled", receipt_id)

    async def feed(self) -> None:
        """A checkpoint, of one page or of two that wait for each other: all goods change."""
        self.checkpoint += 1
        number = self.checkpoint
        self.tape.mark("begun", "checkpoint", number)
        changes = [_renamed(index, number) for index in range(GOODS)]
        if self.chance.random() < 0.3:
            self.central.pages = [FeedPage(cursor=str(number), changes=changes, complete=True)]
        else:
            half = GOODS // 2
            self.central.pages = [
                FeedPage(cursor=f"{number}-half", changes=changes[:half], complete=False),
                FeedPage(cursor=str(number), changes=changes[half:], complete=True),
            ]
        while self.central.pages:
            await self.news.round()
        self.tape.mark("told", "checkpoint", number)

    async def bundle(self) -> None:
        """A new programme comes into force."""
        self.version += 1
        self.tape.mark("begun", "bundle", self.version)
        await asyncio.to_thread(self.offered.offer, self.bundles[self.version - 1])
        self.tape.mark("told", "bundle", self.version)

    def _receipt(self, *, spends: bool = False) -> tuple[str, dict[str, Any]]:
        self.receipts += 1
        number = self.receipts
        more: dict[str, Any] = {
            "lines": [
                {"line": 1, "sku": "tea", "qty": "1", "price": f"{100 + number}.00"},
                {"line": 2, "sku": f"p{number % GOODS}", "qty": "2", "price": "5.00"},
            ]
        }
        if spends or self.chance.random() < 0.3:
            more["customer"] = {"card": "100"}
            more["spend"] = {"account": "main", "points": "0.05"}
        receipt_id = f"r{number}"
        return receipt_id, {"receipt": till_receipt(receipt_id, **more)}

    async def _freeze(self, receipt_id: str, body: dict[str, Any]) -> None:
        await self._post(f"{receipt_id}/freeze", body)
        self.tape.mark("told", "frozen", receipt_id)

    async def _commit(self, receipt_id: str, body: dict[str, Any]) -> None:
        self.tape.mark("begun", "committed", receipt_id)
        reply = await self._post(f"{receipt_id}/commit", body)
        self.tape.mark("told", "committed", receipt_id, reply["record_uid"], reply["answer"])

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self.till.post(f"/v1/receipts/{path}", json=body) as response:
            reply = await response.json()
            assert response.status == 200, reply
            return reply


class _Central(FeedCalls):
    """Tells the pages that it was given; nothing else is asked of it."""

    def __init__(self) -> None:
        self.pages: list[FeedPage] = []

    async def feed(self, cursor: str, wait_s: float) -> FeedPage:
        del cursor, wait_s
        return self.pages.pop(0)


def _renamed(index: int, number: int) -> FeedChange:
    entry = ProductEntry(sku=f"p{index}", name=f"v{number}", category="food")
    return FeedChange(
        topic=Topic.PRODUCT,
        key=entry.sku,
        operation=Operation.PUT,
        version=number,
        payload=_ENCODER.encode(entry),
    )


@asynccontextmanager
async def _agent(
    folder: Path, central: _Central
) -> AsyncIterator[tuple[TestClient[Any, Any], FeedReader, BundleService]]:
    """The agent as its program wires it, with what its loops would write by."""
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    with _folding_often(), pytest.MonkeyPatch.context() as patch:
        made: dict[str, Any] = {}

        def writer(*parts: Any) -> Writer:
            made["writer"] = Writer(*parts)
            return made["writer"]

        def bundles(*parts: Any) -> BundleService:
            made["bundles"] = BundleService(*parts)
            return made["bundles"]

        def reader(*parts: Any) -> Reader:
            made["reader"] = Reader(*parts)
            return made["reader"]

        patch.setattr(ground, "Writer", writer)
        patch.setattr(ground, "Reader", reader)
        patch.setattr(ground, "BundleService", bundles)
        app = make_app(folder, Config.load(folder), machine)
        async with TestClient(TestServer(app), headers=HEADERS) as client:
            news = FeedReader(
                central=central,
                writer=made["writer"],
                reader=made["reader"],
                link=LinkState(machine.clock),
                clock=machine.clock,
                wait_s=0,
                on_bundle=lambda: None,
            )
            yield client, news, made["bundles"]


@contextmanager
def _folding_often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_agent.database.writer.FOLD_PAGES", FOLD_PAGES)
        yield

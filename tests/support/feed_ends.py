"""Both ends of the feed without HTTP between them: a real PostgreSQL and a real SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from central.database.pool import Pool
from central.feed.service import Feed
from edge_agent.database.connection import open_reader
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.feed import FeedReader
from edge_agent.uplink.link import LinkState
from shared.errors import UnavailableError
from shared.system import SystemClock
from shared.wire.feed import (
    FeedBuckets,
    FeedPage,
    FeedRepair,
    FeedReset,
    SnapshotManifest,
)

State = dict[tuple[str, str], tuple[int, bytes]]
"""(topic, key): version and payload."""


def _nothing_fails(_call: str) -> None:
    return


@dataclass(kw_only=True)
class DirectCentral:
    """Central's feed as the agent calls it. ``before``: called with each call's name; may raise.

    ``bytes_told``: what the calls answered, by name, encoded.
    """

    feed_service: Feed
    edge_id: int
    store_id: str
    before: Callable[[str], None] = _nothing_fails
    bytes_told: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def _told(self, call: str, answer: Any) -> Any:
        size = len(answer if isinstance(answer, bytes) else msgspec.msgpack.encode(answer))
        self.bytes_told[call] = self.bytes_told.get(call, 0) + size
        self.calls.append(call)
        return answer

    async def feed(self, cursor: str, wait_s: float) -> FeedPage | FeedReset:
        self.before("feed")
        page = await self.feed_service.page(self.edge_id, self.store_id, cursor, 0)
        self.before("feed answer")
        return self._told("feed", page)

    async def feed_buckets(self, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        self.before("buckets")
        return self._told("buckets", await self.feed_service.buckets(self.store_id, cursor, topic))

    async def feed_repair(
        self, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        self.before("repair")
        answer = await self.feed_service.repair(self.store_id, cursor, topic, buckets)
        return self._told("repair", answer)

    async def feed_snapshot(self) -> SnapshotManifest:
        self.before("snapshot")
        return self._told("snapshot", await self.feed_service.snapshot(self.store_id))

    async def feed_chunk(self, sha256: bytes) -> bytes:
        self.before("chunk")
        return self._told("chunk", await self.feed_service.chunk(self.store_id, sha256))


class NoPauseClock(SystemClock):
    """A clock by which every answer took long: an empty page is followed by no pause."""

    def __init__(self) -> None:
        super().__init__()
        self._ns = 0

    def mono_ns(self) -> int:
        self._ns += 10**9
        return self._ns


@dataclass(kw_only=True)
class Shop:
    """An agent's end of the feed."""

    path: Path
    writer: Writer
    reader: Reader
    follower: FeedReader
    bundles_wanted: list[int]

    async def settle(self, central: DirectCentral) -> None:
        """Go on until two pages in a row told nothing."""
        idle = 0
        for _ in range(2_000):
            before = await self.reader.run(everything)
            count = len(central.calls)
            await self.follower.round()
            told = central.calls[count:]
            same = before == await self.reader.run(everything)
            idle = idle + 1 if same and told == ["feed"] else 0
            if idle == 2:
                return
        raise AssertionError("the feed does not come to rest")


@asynccontextmanager
async def running_shop(path: Path, central: DirectCentral) -> AsyncIterator[Shop]:
    """An agent's end of the feed over this file."""
    writer, reader = Writer(path), Reader(path)
    clock = NoPauseClock()
    wanted: list[int] = []
    follower = FeedReader(
        central=central,
        writer=writer,
        reader=reader,
        link=LinkState(clock),
        clock=clock,
        wait_s=0,
        on_bundle=lambda: wanted.append(1),
    )
    try:
        yield Shop(
            path=path, writer=writer, reader=reader, follower=follower, bundles_wanted=wanted
        )
    finally:
        reader.close()
        writer.close()


def everything(connection: Any) -> Any:
    """All that the feed's tables say, to see whether anything moved."""
    return [
        connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
        for table in ("feed", "feed_key", "feed_staged", "feed_chunk")
    ]


def visible(connection: Any) -> dict[str, dict[str, bytes]]:
    """What a till can see of products, coupons and customers, as it is kept."""
    return {
        table: dict(connection.execute(f"SELECT {key}, entry FROM {table}"))  # noqa: S608
        for table, key in (("product", "sku"), ("coupon", "code"), ("customer", "customer_id"))
    } | {"card": dict(connection.execute("SELECT card_tag, customer_id FROM card"))}


def visible_in(path: Path) -> dict[str, dict[str, bytes]]:
    """The same, of a file."""
    connection = open_reader(path)
    try:
        return visible(connection)
    finally:
        connection.close()


async def add_edge(pool: Pool, store_id: str, edge_id: int = 1) -> None:
    """A store and an agent in it, whose place in the feed is kept."""
    async with pool.connection() as connection:
        await connection.execute(
            """insert into store (store_id, name, timezone, currency)
               values (%(s)s, %(s)s, 'UTC', 'RUB') on conflict do nothing""",
            {"s": store_id},
        )
        await connection.execute(
            """insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256)
               values (%(e)s, %(s)s, 'hub', '', int8send(%(e)s))""",
            {"e": edge_id, "s": store_id},
        )


def line_cut() -> UnavailableError:
    """What a cut line looks like to the agent."""
    return UnavailableError("cut by the test", code="no_link")

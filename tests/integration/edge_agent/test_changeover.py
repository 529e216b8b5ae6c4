"""A large checkpoint is in force at once, wherever it is cut, and no till waits for it long."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec
import pytest
import zstandard

from edge_agent.catalogue.store import coupons_of, products_of
from edge_agent.database.connection import open_reader
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.loyalty.store import balances_of, customer_by_card, customer_by_id
from edge_agent.uplink import apply, changeover, feed
from edge_agent.uplink.apply import STEP_KEYS, apply_page
from edge_agent.uplink.changeover import LIGHT_STEP_KEYS
from edge_agent.uplink.feed import FeedReader
from edge_agent.uplink.feed_state import Phase, begin_tally, feed_state
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.wipe import forget_people
from shared.errors import TrustError
from shared.sqlfile import load_queries
from shared.system import SystemClock
from shared.wire.feed import (
    BalanceEntry,
    ChunkRef,
    CustomerEntry,
    FeedBuckets,
    FeedChange,
    FeedPage,
    FeedRepair,
    FeedReset,
    LeaseEntry,
    LeaseState,
    Operation,
    ProductEntry,
    SnapshotManifest,
    Topic,
)

_T = TypeVar("_T")
VIEWS = ("shown_customer", "shown_card", "shown_balance", "shown_product", "shown_coupon")
PLACES = ("customer", "card", "balance", "product", "coupon")
LOOKED_UP_MAX = 60
"""Keys of a place that are looked up after each job."""
Rows = list[tuple[Any, ...]]


class CutError(Exception):
    """The program ended here."""


def rows_of(connection: apsw.Connection, names: Sequence[str]) -> list[Rows]:
    return [
        sorted(connection.execute(f"SELECT * FROM {name}").fetchall())  # noqa: S608 - our names
        for name in names
    ]


def looked_up(connection: apsw.Connection, keys: Sequence[set[Any]]) -> list[Any]:
    """What sales are told of everything that has one of these keys, place by place."""
    customers, cards, balances, products, coupons = keys
    return [
        [customer_by_id(connection, each) for each in sorted(customers)],
        [customer_by_card(connection, each) for each in sorted(cards)],
        [balances_of(connection, each) for each in sorted(balances)],
        products_of(connection, products),
        coupons_of(connection, coupons),
    ]


class Central:
    """Gives the pages of some checkpoints one after the other; then says nothing new."""

    def __init__(self, checkpoints: Sequence[Sequence[FeedChange]], per_page: int) -> None:
        self.pages: list[FeedPage] = []
        for number, changes in enumerate(checkpoints):
            starts = range(0, max(len(changes), 1), per_page)
            self.pages += [
                FeedPage(
                    cursor=f"{number}.{start}",
                    changes=list(changes[start : start + per_page]),
                    complete=start == starts[-1],
                )
                for start in starts
            ]
        self.snapshot: dict[bytes, bytes] = {}
        self.reset_at: str | None = None

    def give_snapshot(self, changes: Sequence[FeedChange], per_piece: int) -> None:
        """Who asks after the last page, or from the beginning, is sent to this snapshot."""
        pieces = [
            zstandard.compress(msgspec.msgpack.encode(changes[start : start + per_piece]))
            for start in range(0, len(changes), per_piece)
        ]
        self.snapshot = {hashlib.sha256(piece).digest(): piece for piece in pieces}
        self.reset_at = self.pages[-1].cursor if self.pages else ""

    async def feed(self, cursor: str, _wait_s: float) -> FeedPage | FeedReset:
        if cursor == self.reset_at:
            return FeedReset(reason="too_old")
        if cursor == "snapshot" or (self.pages and cursor == self.pages[-1].cursor):
            return FeedPage(cursor=cursor, changes=[], complete=True)
        cursors = [page.cursor for page in self.pages]
        return self.pages[cursors.index(cursor) + 1 if cursor else 0]

    async def feed_snapshot(self) -> SnapshotManifest:
        refs = [
            ChunkRef(sha256=sha256, size_bytes=len(data), raw_bytes=0)
            for sha256, data in self.snapshot.items()
        ]
        return SnapshotManifest(cursor="snapshot", chunks=refs)

    async def feed_chunk(self, sha256: bytes) -> bytes:
        return self.snapshot[sha256]

    async def feed_buckets(self, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        raise NotImplementedError

    async def feed_repair(
        self, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        raise NotImplementedError


class Watched:
    """The shop's writer, looked over after every job, and cut off before the ``cut_after``-th."""

    def __init__(self, writer: Writer, after_job: Callable[[], None]) -> None:
        self.writer = writer
        self.after_job = after_job
        self.cut_after: int | None = None
        self.most_changes = 0

    async def run(self, job: Callable[[apsw.Connection], _T]) -> _T:
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                raise CutError

        def counted(connection: apsw.Connection) -> _T:
            before = connection.total_changes()
            try:
                return job(connection)
            finally:
                self.most_changes = max(self.most_changes, connection.total_changes() - before)

        result = await self.writer.run(counted)
        self.after_job()
        return result


class Shop:
    """One end of the feed over one file; ``seen``: what a till was shown after each job."""

    def __init__(self, path: Path, central: Central) -> None:
        self.path = path
        self.central = central
        self.real = Writer(path)
        self.reader = Reader(path)
        self.look = open_reader(path)
        self.seen: list[list[Rows]] = []
        self.writer = Watched(self.real, self.note)
        self.begin()

    def begin(self) -> None:
        """The program starts."""
        self.follower = FeedReader(
            central=self.central,
            writer=self.writer,
            reader=self.reader,
            link=LinkState(SystemClock()),
            clock=SystemClock(),
            wait_s=0,
            on_bundle=lambda: None,
        )

    def note(self) -> None:
        keys = [{row[0] for row in rows[:LOOKED_UP_MAX]} for rows in self._shown_or_placed()]
        outside = looked_up(self.look, keys)
        with self.look:
            assert looked_up(self.look, keys) == outside
        shown = rows_of(self.look, VIEWS)
        if not self.seen or self.seen[-1] != shown:
            self.seen.append(shown)

    def _shown_or_placed(self) -> list[Rows]:
        pairs = zip(rows_of(self.look, VIEWS), rows_of(self.look, PLACES), strict=True)
        return [shown + placed for shown, placed in pairs]

    async def follow(self, until: str, chance: random.Random | None = None) -> None:
        """Until this cursor is in force; with ``chance`` cut off again and again on the way."""
        for _ in range(5_000):
            if feed_state(self.look).cursor == until:
                return
            self.writer.cut_after = chance.randrange(100) if chance else None
            try:
                await self.follower.round()
            except CutError:
                self.begin()
        raise AssertionError("the checkpoint does not come into force")

    def close(self) -> None:
        self.look.close()
        self.reader.close()
        self.real.close()


def put(topic: Topic, key: str, version: int, entry: msgspec.Struct) -> FeedChange:
    return FeedChange(
        topic=topic,
        key=key,
        operation=Operation.PUT,
        version=version,
        payload=msgspec.msgpack.encode(entry),
    )


def gone(topic: Topic, key: str, version: int, *, erase: bool = False) -> FeedChange:
    operation = Operation.ERASE if erase else Operation.DELETE
    return FeedChange(topic=topic, key=key, operation=operation, version=version, payload=b"")


class Town:
    """Members whose cards wander, balances, goods and leases, as central knows them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.version = 0
        self.cards: dict[str, set[bytes]] = {}

    def changes(self, count: int) -> list[FeedChange]:
        """The last word on each key that so many events changed."""
        told = [change for _ in range(count) for change in self._event()]
        return last_words(told)

    def _event(self) -> list[FeedChange]:
        number = self.chance.randrange(12)
        topics = (Topic.CUSTOMER, Topic.CUSTOMER, Topic.BALANCE, Topic.PRODUCT, Topic.LEASE)
        topic = self.chance.choice(topics)
        key = {Topic.BALANCE: f"c{number}/main", Topic.LEASE: f"l{number}"}.get(topic, f"c{number}")
        if self.chance.random() < 0.25:
            if topic is Topic.CUSTOMER:
                self.cards.pop(key, None)
            self.version += 1
            return [gone(topic, key, self.version, erase=self.chance.random() < 0.5)]
        if topic is not Topic.CUSTOMER:
            return [self._put(topic, key)]
        # A card has one owner: who had it before is told anew.
        tags = {bytes([self.chance.randrange(15)]) * 16 for _ in range(self.chance.randrange(3))}
        before = [who for who, theirs in self.cards.items() if who != key and theirs & tags]
        for who in before:
            self.cards[who] -= tags
        self.cards[key] = tags
        touched = [*before, key]
        self.chance.shuffle(touched)
        return [self._put(topic, who) for who in touched]

    def _put(self, topic: Topic, key: str) -> FeedChange:
        self.version += 1
        entries: dict[Topic, msgspec.Struct] = {
            Topic.CUSTOMER: CustomerEntry(
                customer_id=key,
                card_tags=sorted(self.cards.get(key, ())),
                level=str(self.version),
            ),
            Topic.BALANCE: BalanceEntry(
                customer_id=key.partition("/")[0],
                account="main",
                available_centi=self.version,
                as_of_ms=self.version,
            ),
            Topic.PRODUCT: ProductEntry(sku=key, name=str(self.version)),
            Topic.LEASE: LeaseEntry(
                lease_id=key,
                owner="c1",
                asset="points:main",
                granted=self.version,
                spend_until_ms=10**12,
                state=LeaseState.OPEN,
                edge_id=7,
            ),
        }
        return put(topic, key, self.version, entries[topic])


def last_words(changes: Sequence[FeedChange]) -> list[FeedChange]:
    """As central tells them: the last of each key, in its order."""
    last: dict[tuple[str, str], FeedChange] = {}
    for change in changes:
        last.pop((change.topic, change.key), None)
        last[change.topic, change.key] = change
    return list(last.values())


def chance_of_this_run() -> random.Random:
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three keys a step, so that a small checkpoint is a large one."""
    for module in (apply, changeover, feed):
        monkeypatch.setattr(module, "STEP_KEYS", 3)
    for light in (changeover, feed):
        monkeypatch.setattr(light, "LIGHT_STEP_KEYS", 4)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("cut", [False, True])
async def test_every_checkpoint_is_shown_whole_wherever_it_is_cut(
    tmp_path: Path, *, cut: bool
) -> None:
    """After any job a till sees one checkpoint or the next, and ends where a plain replay does."""
    chance = chance_of_this_run()
    town = Town(chance)
    checkpoints = [town.changes(chance.randrange(1, 40)) for _ in range(6)]
    plain = Writer(tmp_path / "plain.sqlite")
    wanted: list[list[Rows]] = [[[] for _ in VIEWS]]
    for number, changes in enumerate(checkpoints):
        page = FeedPage(cursor=str(number), changes=changes, complete=True)
        wanted.append(
            await plain.run(lambda c, page=page: (apply_page(c, page), rows_of(c, VIEWS))[1])
        )
    central = Central(checkpoints, per_page=chance.choice((2, 5, 100)))
    shop = Shop(tmp_path / "edge.sqlite", central)
    await shop.follow(central.pages[-1].cursor, chance if cut else None)

    order = [wanted.index(shown) for shown in shop.seen]
    assert order == sorted(order)
    assert shop.seen[-1] == wanted[-1]
    assert rows_of(shop.look, PLACES) == wanted[-1]
    more = ("lease", "feed_key", "feed_sum")
    assert rows_of(shop.look, more) == await plain.run(lambda c: rows_of(c, more))
    assert rows_of(shop.look, ("feed_staged", "card_next", "balance_next")) == [[], [], []]
    shop.close()
    plain.close()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("cut", [False, True])
async def test_a_snapshot_is_shown_whole_wherever_it_is_cut(tmp_path: Path, *, cut: bool) -> None:
    """What it does not hold goes in the same moment, and every topic adds up anew."""
    chance = chance_of_this_run()
    town = Town(chance)
    before = town.changes(60)
    changed = town.changes(20)
    told = [each for each in last_words(before + changed) if each.operation is Operation.PUT]
    told = [each for each in told if each.topic == Topic.CUSTOMER or chance.random() < 0.7]
    central = Central([before], per_page=100)
    shop = Shop(tmp_path / "edge.sqlite", central)
    await shop.follow(central.pages[-1].cursor)
    old = shop.seen[-1]
    await shop.real.run(lambda c: c.execute("UPDATE feed_sum SET total = zeroblob(16)").fetchall())
    central.give_snapshot(told, per_piece=4)
    shop.seen.clear()
    await shop.follow("snapshot", chance if cut else None)

    plain = Writer(tmp_path / "plain.sqlite")
    page = FeedPage(cursor="x", changes=told, complete=True)
    await plain.run(lambda c: apply_page(c, page))
    new = await plain.run(lambda c: rows_of(c, VIEWS))
    assert shop.seen in ([old, new], [new])
    assert rows_of(shop.look, PLACES) == new
    assert rows_of(shop.look, ("lease", "feed_key")) == await plain.run(
        lambda c: rows_of(c, ("lease", "feed_key"))
    )
    ours, theirs = begin_tally(shop.look), await plain.run(begin_tally)
    assert {t: n for t, n in ours.totals.items() if n} == theirs.totals
    assert {t: n for t, n in ours.entries.items() if n} == theirs.entries
    shop.close()
    plain.close()


@pytest.mark.usefixtures("small_steps")
async def test_a_bad_change_leaves_nothing_of_its_checkpoint(tmp_path: Path) -> None:
    """What came before it is swept away, and the next attempt is taken as it comes."""
    good = [
        put(Topic.PRODUCT, f"p{n}", n + 1, ProductEntry(sku=f"p{n}", name="x")) for n in range(9)
    ]
    bad = put(Topic.PRODUCT, "p7", 50, ProductEntry(sku="another", name="x"))
    central = Central([[*good[:7], bad]], per_page=4)
    shop = Shop(tmp_path / "edge.sqlite", central)
    with pytest.raises(TrustError):
        await shop.follow("never")
    state = feed_state(shop.look)
    assert (state.cursor, state.waits, state.phase) == ("", False, Phase.READING)
    assert rows_of(shop.look, VIEWS) == [[] for _ in VIEWS]

    shop.central.pages = Central([good], per_page=4).pages
    await shop.follow(shop.central.pages[-1].cursor)
    assert len(rows_of(shop.look, ("shown_product",))[0]) == 9
    shop.close()


async def test_no_step_of_a_large_checkpoint_is_long(tmp_path: Path) -> None:
    """A till's write has its turn after a few rows of each of so many keys, not after all."""
    count = 12 * LIGHT_STEP_KEYS
    members = [
        put(
            Topic.CUSTOMER,
            f"c{n:05}",
            n + 1,
            CustomerEntry(customer_id=f"c{n:05}", card_tags=[n.to_bytes(16)]),
        )
        for n in range(count)
    ]
    central = Central([members], per_page=5_000)
    shop = Shop(tmp_path / "edge.sqlite", central)
    waiting: list[int] = []

    async def till() -> None:
        while feed_state(shop.look).cursor != central.pages[-1].cursor:
            waiting.append(len(shop.seen))
            await shop.real.run(lambda _: None)

    await asyncio.gather(shop.follow(central.pages[-1].cursor), till())
    assert len(rows_of(shop.look, ("shown_customer",))[0]) == count
    assert shop.writer.most_changes <= 4 * max(STEP_KEYS, LIGHT_STEP_KEYS)
    assert len(waiting) > count // STEP_KEYS, "the till had its turn in between"
    shop.close()


def test_whoever_only_looks_reads_what_is_shown() -> None:
    """The tables are the feed's own; a look at them would see a checkpoint in half."""
    keepers = {
        "edge_agent.loyalty": {"customer_entries", "cards_of", "cards_touched", "balance_entries"},
        "edge_agent.catalogue": {"product_entries", "coupon_entries"},
    }
    settled = {"customer_settled", "customer_by_card_settled", "balances_settled"}
    keepers["edge_agent.loyalty"] |= settled
    keepers["edge_agent.catalogue"] |= {"products_settled", "coupons_settled"}
    packages = ("loyalty", "catalogue", "checkout", "page", "lan", "leases", "uplink", "returns")
    found = set()
    for package in packages:
        name = f"edge_agent.{package}"
        for query, text in load_queries(name).items():
            words = text.replace("\n", " ").split()
            pairs = itertools.pairwise(words)
            read = {
                b.rstrip(";),") for a, b in pairs if a in ("FROM", "JOIN") and "DELETE" not in text
            }
            if read & set(PLACES) and query not in keepers.get(name, set()):
                found.add(f"{name}: {query}")
    assert found == set()


def test_looks_find_by_index(tmp_path: Path) -> None:
    """No view is gone through row by row, whatever waits."""
    writer = Writer(tmp_path / "edge.sqlite")
    connection = open_reader(tmp_path / "edge.sqlite")
    values = {"customer_id": "c", "card_tag": b"", "keys": "[]"}
    for package, names in (
        ("edge_agent.loyalty", ("customer", "customer_by_card", "balances")),
        ("edge_agent.catalogue", ("products", "coupons")),
    ):
        for name in names:
            query = load_queries(package)[name]
            plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
            scans = {row[3].split()[1] for row in plan if row[3].startswith("SCAN")}
            assert scans <= {"feed", "json_each"}, (name, plan)
    connection.close()
    writer.close()


async def test_a_wipe_leaves_nothing_that_names_people(tmp_path: Path) -> None:
    """Neither entries, nor sums of them, nor what waits; the goods stay."""
    changes = Town(random.Random(1)).changes(60)
    central = Central([changes], per_page=100)
    shop = Shop(tmp_path / "edge.sqlite", central)
    await shop.follow(central.pages[-1].cursor)
    await shop.real.run(forget_people)

    assert rows_of(shop.look, ("customer", "card", "balance", "lease")) == [[], [], [], []]
    assert {row[0] for row in rows_of(shop.look, ("feed_sum",))[0]} <= {"product"}
    assert {row[0] for row in rows_of(shop.look, ("feed_key",))[0]} == {"product"}
    assert rows_of(shop.look, ("product",)) != [[]]
    shop.close()

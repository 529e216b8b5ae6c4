"""Whatever path a shop takes through the feed, it ends where a full replay of all changes ends.

The path: any order of pages, cuts, restarts, snapshots, removed deletions, restored centrals and
new generations. Real PostgreSQL at one end, real SQLite at the other.
"""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from central.database.pool import Pool
from central.feed import plan, store
from central.feed.service import Feed
from edge_agent.database.connection import open_writer
from shared.errors import UnavailableError
from shared.system import SystemClock
from shared.wire.feed import CouponEntry, CustomerEntry, ProductEntry, Topic
from tests.support.examples import NIGHTLY
from tests.support.feed_ends import (
    DirectCentral,
    add_edge,
    line_cut,
    running_shop,
    visible_in,
)

SEEDS = range(max(6, NIGHTLY // 500))
TABLES = {Topic.PRODUCT: "product", Topic.COUPON: "coupon", Topic.CUSTOMER: "customer"}


@dataclass(kw_only=True)
class World:
    """What central was told, replayed the simple way."""

    chance: random.Random
    entries: dict[str, dict[str, bytes]] = field(
        default_factory=lambda: {table: {} for table in TABLES.values()}
    )
    cards: dict[bytes, str] = field(default_factory=dict)
    number: int = 0

    def entry(self, topic: Topic, key: str) -> msgspec.Struct:
        self.number += 1
        if topic is Topic.PRODUCT:
            return ProductEntry(sku=key, name=f"{key} {self.number}")
        if topic is Topic.COUPON:
            return CouponEntry(code=key, series=str(self.number))
        tags = [bytes([self.chance.randrange(4)]) + key.encode() for _ in range(2)]
        return CustomerEntry(customer_id=key, card_tags=sorted(set(tags)), level=str(self.number))

    def put(self, topic: Topic, key: str, entry: msgspec.Struct) -> None:
        self.delete(topic, key)
        self.entries[TABLES[topic]][key] = msgspec.msgpack.encode(entry)
        if isinstance(entry, CustomerEntry):
            self.cards |= dict.fromkeys(entry.card_tags, key)

    def delete(self, topic: Topic, key: str) -> None:
        self.entries[TABLES[topic]].pop(key, None)
        if topic is Topic.CUSTOMER:
            self.cards = {tag: owner for tag, owner in self.cards.items() if owner != key}

    def visible(self) -> dict[str, dict[str, bytes]]:
        return {**self.entries, "card": self.cards}

    async def change(self, pool: Pool) -> None:
        """One transaction of central's: some keys, or one that is taken back in the same breath."""
        async with pool.connection() as connection:
            for _ in range(self.chance.randint(1, 6)):
                topic = self.chance.choice(list(TABLES))
                # A product is told to all, a member to this store, a stranger to another one.
                scope = "S1" if topic is Topic.CUSTOMER else store.EVERY_STORE
                keys = [f"k{self.chance.randrange(12)}" for _ in range(3)]
                if self.chance.random() < 0.35:
                    erase = topic is Topic.CUSTOMER
                    await store.delete(connection, scope, topic, set(keys), erase=erase)
                    for key in keys:
                        self.delete(topic, key)
                else:
                    entries = {key: self.entry(topic, key) for key in keys}
                    await store.put(connection, scope, topic, entries)
                    for key, entry in entries.items():
                        self.put(topic, key, entry)
            other = CustomerEntry(customer_id="stranger", card_tags=[b"s"], level=str(self.number))
            await store.put(connection, "S2", Topic.CUSTOMER, {"stranger": other})


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_path_ends_at_the_full_replay(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Pages, cuts, restarts, snapshots and compaction are invisible in the end."""
    chance = random.Random(seed)
    monkeypatch.setattr(store, "FEED_PAGE_CHANGES_MAX", chance.choice([1, 2, 3, 50]))
    monkeypatch.setattr(store, "PUBLISH_ROWS_MAX", chance.choice([1, 4, 10_000]))
    monkeypatch.setattr(plan, "FIRST_LOAD_CHANGES_MAX", chance.choice([0, 5, 5_000]))
    monkeypatch.setattr(plan, "CHUNK_RAW_BYTES_MIN", 64)
    monkeypatch.setattr(plan, "_CHUNK_ENDS_ONE_IN", 2)
    world = World(chance=chance)
    await add_edge(pool, "S1", 1)
    await add_edge(pool, "S1", 2)
    service = Feed(pool, SystemClock())

    def sometimes_cut(_call: str) -> None:
        if chance.random() < 0.2:
            raise line_cut()

    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1", before=sometimes_cut)
    other = DirectCentral(feed_service=service, edge_id=2, store_id="S1")
    path = tmp_path / "edge.sqlite"
    for _ in range(25):
        for _ in range(chance.randint(0, 4)):
            await world.change(pool)
        event = chance.random()
        if event < 0.15:
            # The other shop has passed everything; after 45 days without us, nobody waits for us.
            async with running_shop(tmp_path / "other.sqlite", other) as shop:
                await shop.settle(other)
            async with pool.connection() as connection:
                await connection.execute(
                    "update feed_reader set seen_at = now() - interval '50 days' where edge_id = 1"
                )
                later_ms = SystemClock().now_ms() + 2 * plan.TOMBSTONE_AGE_MS_MIN
                await store.remove_tombstones(connection, now_ms=later_ms)
        elif event < 0.22:
            async with pool.connection() as connection:
                standing, _ = await store.standing_of(connection, "S1")
                await store.begin_generation(connection, standing.generation)
        elif event < 0.3:
            with_damage = open_writer(path)
            with_damage.execute("UPDATE product SET entry = x'00' WHERE sku = 'k3'")
            with_damage.execute("DELETE FROM customer WHERE customer_id = 'k4'")
            with_damage.execute(
                "INSERT OR REPLACE INTO card SELECT x'77', min(customer_id)"
                " FROM customer HAVING min(customer_id) IS NOT NULL"
            )
            with_damage.execute(
                "UPDATE feed_sum SET total = zeroblob(16), entries = 0 WHERE topic = ?",
                (chance.choice(["product", "coupon"]),),
            )
            with_damage.close()
        async with running_shop(path, central) as shop:
            for _ in range(chance.randint(0, 12)):
                with suppress(UnavailableError):
                    await shop.follower.round()
    central.before = lambda _call: None
    async with running_shop(path, central) as shop:
        await shop.settle(central)

    assert world.visible() == visible_in(path)


async def test_every_cursor_leads_to_the_same_present(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shops that stopped at any checkpoint of a long history end alike, those long gone too."""
    monkeypatch.setattr(store, "FEED_PAGE_CHANGES_MAX", 3)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    world = World(chance=random.Random(seed))
    await add_edge(pool, "S1")
    service = Feed(pool, SystemClock())
    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1")
    path = tmp_path / "edge.sqlite"
    for number in range(16):
        await world.change(pool)
        async with pool.connection() as connection:
            # At least one deletion is there to be forgotten.
            if number == 2:
                world.put(Topic.PRODUCT, "once", entry := world.entry(Topic.PRODUCT, "once"))
                await store.put(connection, store.EVERY_STORE, Topic.PRODUCT, {"once": entry})
            elif number == 4:
                world.delete(Topic.PRODUCT, "once")
                await store.delete(connection, store.EVERY_STORE, Topic.PRODUCT, ["once"])
        async with running_shop(path, central) as shop:
            await shop.settle(central)
        shutil.copy(path, tmp_path / f"stopped-{number}.sqlite")
        if number == 7:
            async with pool.connection() as connection:
                later_ms = SystemClock().now_ms() + 2 * plan.TOMBSTONE_AGE_MS_MIN
                await store.remove_tombstones(connection, now_ms=later_ms)
    central.calls.clear()
    for number in range(16):
        stopped = tmp_path / f"stopped-{number}.sqlite"
        async with running_shop(stopped, central) as shop:
            await shop.settle(central)
        assert world.visible() == visible_in(stopped), f"stopped at {number}"

    assert 4 <= central.calls.count("snapshot") <= 8


async def test_checkpoint_is_never_seen_in_half(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut after any page, with changes meanwhile: a till sees all of a transaction or none."""
    monkeypatch.setattr(store, "FEED_PAGE_CHANGES_MAX", 2)
    await add_edge(pool, "S1")
    service = Feed(pool, SystemClock())
    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1")
    path = tmp_path / "edge.sqlite"
    keys = [f"k{number}" for number in range(9)]
    seen: list[set[str]] = []
    for price in range(6):
        async with pool.connection() as connection:
            entries = {key: ProductEntry(sku=key, name=str(price)) for key in keys}
            await store.put(connection, store.EVERY_STORE, Topic.PRODUCT, entries)
        for _ in range(3):
            async with running_shop(path, central) as shop:
                await shop.follower.round()
            rows = visible_in(path)["product"].values()
            seen.append({msgspec.msgpack.decode(row, type=ProductEntry).name for row in rows})
    async with running_shop(path, central) as shop:
        await shop.settle(central)
    rows = visible_in(path)["product"].values()

    assert all(len(names) <= 1 for names in seen), seen
    assert {msgspec.msgpack.decode(row, type=ProductEntry).name for row in rows} == {"5"}


async def test_old_base_serves_while_a_snapshot_comes(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the snapshot is whole a till sees what was; then the new, and no ghost of the old."""
    monkeypatch.setattr(plan, "CHUNK_RAW_BYTES_MIN", 64)
    monkeypatch.setattr(plan, "_CHUNK_ENDS_ONE_IN", 2)
    await add_edge(pool, "S1")
    service = Feed(pool, SystemClock())
    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1")
    path = tmp_path / "edge.sqlite"

    async def tell(first: int, last: int) -> None:
        async with pool.connection() as connection:
            entries = {
                f"c{n}": CustomerEntry(customer_id=f"c{n}", card_tags=[b"%d" % n])
                for n in range(first, last)
            }
            await store.put(connection, "S1", Topic.CUSTOMER, entries)

    await tell(0, 60)
    async with running_shop(path, central) as shop:
        await shop.settle(central)
    before = visible_in(path)
    async with pool.connection() as connection:
        gone = [f"c{n}" for n in range(30)]
        await store.delete(connection, "S1", Topic.CUSTOMER, gone, erase=True)
        await connection.execute("update feed_reader set seen_at = now() - interval '50 days'")
    await tell(60, 80)
    await service.publish()
    async with pool.connection() as connection:
        await connection.execute("update feed_entry set published_at = now() - interval '50 days'")
        await store.remove_tombstones(connection, now_ms=SystemClock().now_ms())
    states = []
    async with running_shop(path, central) as shop:
        for _ in range(200):
            await shop.follower.round()
            states.append(visible_in(path))
            if states[-1] != before:
                break
        await shop.settle(central)
    after = visible_in(path)

    assert "snapshot" in central.calls
    assert central.calls.count("chunk") > 3
    assert all(state == before for state in states[:-1])
    assert states[-1] == after
    assert set(after["customer"]) == {f"c{n}" for n in range(30, 80)}
    assert set(after["card"].values()) == set(after["customer"])


async def test_damaged_row_is_found_and_little_is_moved(pool: Pool, tmp_path: Path) -> None:
    """A row changed on the disk is mended by its bucket alone: 1/256 of the topic, and sums."""
    await add_edge(pool, "S1")
    service = Feed(pool, SystemClock())
    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1")
    path = tmp_path / "edge.sqlite"
    count = 20_000
    for start in range(0, count, 5_000):
        async with pool.connection() as connection:
            entries = {
                f"c{n}": CustomerEntry(customer_id=f"c{n}", card_tags=[b"%d" % n])
                for n in range(start, start + 5_000)
            }
            await store.put(connection, "S1", Topic.CUSTOMER, entries)
    async with running_shop(path, central) as shop:
        await shop.settle(central)
    before = visible_in(path)
    topic_bytes = sum(len(key) + len(row) for key, row in before["customer"].items())
    connection = open_writer(path)
    connection.execute(
        "UPDATE customer SET entry = ? WHERE customer_id = 'c777'",
        (msgspec.msgpack.encode(CustomerEntry(customer_id="c777", card_tags=[b"777"], level="x")),),
    )
    connection.close()
    central.bytes_told.clear()
    async with running_shop(path, central) as shop:
        await shop.settle(central)

    assert before == visible_in(path)
    rows_told = central.bytes_told["repair"]
    assert central.bytes_told["buckets"] <= 256 * 18 + 1_000
    # A bucket is one of 256 on the average; this one may be half as large again.
    assert rows_told <= 1.5 * topic_bytes * 2 / 256 + 1_000
    print(f"moved {rows_told} of about {topic_bytes} bytes, sums {central.bytes_told['buckets']}")


async def test_erased_person_leaves_no_trace_in_any_file(pool: Pool, tmp_path: Path) -> None:
    """Neither in rows, nor in free pages, nor in the log, whatever was said of them before."""
    await add_edge(pool, "S1")
    service = Feed(pool, SystemClock())
    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1")
    path = tmp_path / "edge.sqlite"
    canary, tag = "CANARY-of-a-person", b"CANARY-of-a-card"

    def found() -> set[bytes]:
        files = [file.read_bytes() for file in tmp_path.iterdir()]
        return {word for word in (canary.encode(), tag) if any(word in data for data in files)}

    async with running_shop(path, central) as shop:
        for level in ("bronze", "silver" * 50):
            member = CustomerEntry(customer_id=canary, card_tags=[tag], level=level)
            async with pool.connection() as connection:
                await store.put(connection, "S1", Topic.CUSTOMER, {canary: member})
            await shop.settle(central)
        before = found()
        async with pool.connection() as connection:
            await store.delete(connection, "S1", Topic.CUSTOMER, [canary], erase=True)
        await shop.settle(central)
        after = found()

    assert before == {canary.encode(), tag}
    assert after == set()


@pytest.mark.parametrize("overtaken", [False, True])
async def test_restored_central_is_found_out(pool: Pool, tmp_path: Path, overtaken: bool) -> None:
    """A cursor from a future that central has lost makes it begin a new generation.

    When central has come as far again before the shop asked, the sums tell.
    """
    await add_edge(pool, "S1")
    service = Feed(pool, SystemClock())
    central = DirectCentral(feed_service=service, edge_id=1, store_id="S1")
    path = tmp_path / "edge.sqlite"

    async def tell(**names: str) -> None:
        async with pool.connection() as connection:
            entries = {sku: ProductEntry(sku=sku, name=name) for sku, name in names.items()}
            await store.put(connection, store.EVERY_STORE, Topic.PRODUCT, entries)
        await service.publish()

    await tell(tea="1", milk="1")
    copies = ("feed_entry", "feed_sum", "feed_scope", "feed_state")
    async with pool.connection() as connection:
        for table in copies:
            await connection.execute(f"create table copy_{table} as table {table}".encode())
        found = await connection.execute("select last_value from feed_change_id_seq")
        rows = await found.fetchall()
        last_value = rows[0]["last_value"]
    await tell(tea="2", bread="2")
    async with running_shop(path, central) as shop:
        await shop.settle(central)
    assert set(visible_in(path)["product"]) == {"tea", "milk", "bread"}
    async with pool.connection() as connection:
        for table in copies:
            await connection.execute(f"truncate {table}".encode())
            await connection.execute(f"insert into {table} table copy_{table}".encode())
        await connection.execute("select setval('feed_change_id_seq', %(v)s)", {"v": last_value})
        generation = (await store.standing_of(connection, "S1"))[0].generation
    expected = {"tea": "1", "milk": "1"}
    if overtaken:
        later = {"milk": "3", "salt": "3", "oil": "3", "rice": "3"}
        await tell(**later)
        expected |= later
    async with running_shop(path, central) as shop:
        await shop.settle(central)
    async with pool.connection() as connection:
        new_generation = (await store.standing_of(connection, "S1"))[0].generation
    told = visible_in(path)["product"]
    names = {key: msgspec.msgpack.decode(row, type=ProductEntry).name for key, row in told.items()}

    assert (generation == new_generation) == overtaken
    assert names == expected

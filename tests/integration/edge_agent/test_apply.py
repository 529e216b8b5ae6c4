"""A page of the feed is applied whole, once, and never backwards."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import msgspec
import pytest

from edge_agent.catalogue.store import coupons_of, products_of
from edge_agent.database.connection import open_writer
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.leases.policy import Standing
from edge_agent.leases.store import spendable_of
from edge_agent.loyalty.store import balances_of, customer_by_id
from edge_agent.uplink.apply import apply_page
from edge_agent.uplink.changeover import begin_rebuild, stage_chunk, sweep
from edge_agent.uplink.feed_state import feed_cursor, feed_state, known_keys
from edge_agent.uplink.topics import wanted_bundle
from shared.errors import TrustError
from shared.wire.feed import (
    BalanceEntry,
    BundleEntry,
    ChunkRef,
    CouponEntry,
    CustomerEntry,
    FeedChange,
    FeedPage,
    LeaseEntry,
    LeaseState,
    Operation,
    ProductEntry,
    SnapshotManifest,
    Topic,
    UseEntry,
    key_of_use,
)


def put(topic: str, key: str, version: int, entry: msgspec.Struct) -> FeedChange:
    return FeedChange(
        topic=topic,
        key=key,
        operation=Operation.PUT,
        version=version,
        payload=msgspec.msgpack.encode(entry),
    )


def delete(topic: str, key: str, version: int) -> FeedChange:
    return FeedChange(
        topic=topic, key=key, operation=Operation.DELETE, version=version, payload=b""
    )


def product(version: int, name: str = "") -> FeedChange:
    return put(Topic.PRODUCT, "milk", version, ProductEntry(sku="milk", name=name or str(version)))


def page(cursor: str, *changes: FeedChange) -> FeedPage:
    return FeedPage(cursor=cursor, changes=list(changes), complete=True)


def test_every_topic_finds_its_place_and_leaves_it_again(tmp_path: Path) -> None:
    """Puts make things known; deletes make them unknown."""
    connection = open_writer(tmp_path / "edge.sqlite")
    bundle = BundleEntry(version=3, sha256=b"s" * 32, size_bytes=9, published_at_ms=1)
    customer = CustomerEntry(customer_id="a/b", card_tags=[b"t" * 16])
    balance = BalanceEntry(customer_id="a/b", account="main", available_centi=700, as_of_ms=1)
    lease = LeaseEntry(
        lease_id="l1",
        owner="a/b",
        asset="points:main",
        granted=500,
        spend_until_ms=10,
        state=LeaseState.OPEN,
        edge_id=7,
    )
    standing = Standing(edge_id=7, epoch=1, now_ms=0)
    result = apply_page(
        connection,
        page(
            "1-7",
            product(1),
            put(Topic.COUPON, "SPRING", 2, CouponEntry(code="SPRING", series="s")),
            put(Topic.CUSTOMER, "a/b", 3, customer),
            put(Topic.BALANCE, "a/b/main", 4, balance),
            put(Topic.LEASE, "l1", 5, lease),
            put(Topic.BUNDLE, "rules", 6, bundle),
            put("weather", "x", 7, bundle),
        ),
    )

    assert (result.applied, result.stale, result.unknown, result.bundle_wanted) == (6, 0, 1, True)
    assert feed_cursor(connection) == "1-7"
    assert wanted_bundle(connection) == bundle
    assert customer_by_id(connection, "a/b") == customer
    assert balances_of(connection, "a/b") == {"main": 700}
    assert spendable_of(connection, "a/b", standing) == {"points:main": 500}

    keys = [
        (Topic.PRODUCT, "milk"),
        (Topic.COUPON, "SPRING"),
        (Topic.CUSTOMER, "a/b"),
        (Topic.BALANCE, "a/b/main"),
        (Topic.LEASE, "l1"),
        (Topic.BUNDLE, "rules"),
    ]
    apply_page(connection, page("1-20", *(delete(topic, key, 20) for topic, key in keys)))
    assert products_of(connection, ["milk"]) == coupons_of(connection, ["SPRING"]) == {}
    assert customer_by_id(connection, "a/b") is None
    assert balances_of(connection, "a/b") == spendable_of(connection, "a/b", standing) == {}
    assert wanted_bundle(connection) is None
    connection.close()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_pages_ends_at_the_highest_version(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    """Late and repeated pages change nothing; a deleted key does not come back."""
    changes = [product(1), delete(Topic.PRODUCT, "milk", 2), product(3, "last")]
    connection = open_writer(tmp_path / "edge.sqlite")
    for index in (*order, *random.sample(range(3), 3)):
        apply_page(connection, page(str(index), changes[index]))

    assert products_of(connection, ["milk"])["milk"].name == "last"
    apply_page(connection, page("d", delete(Topic.PRODUCT, "milk", 4)))
    for index in order:
        apply_page(connection, page(str(index), changes[index]))
    assert products_of(connection, ["milk"]) == {}
    connection.close()


@pytest.mark.parametrize(
    "bad",
    [
        FeedChange(
            topic=Topic.PRODUCT, key="b", operation=Operation.PUT, version=9, payload=b"\xc1"
        ),
        put(Topic.PRODUCT, "b", 9, ProductEntry(sku="another", name="x")),
        put(Topic.LEASE, "b", 9, ProductEntry(sku="b", name="x")),
    ],
    ids=["not msgpack", "another key", "another structure"],
)
async def test_bad_change_leaves_nothing_of_its_page(tmp_path: Path, bad: FeedChange) -> None:
    """Neither the good changes beside it, nor their versions, nor the cursor are kept."""
    writer = Writer(tmp_path / "edge.sqlite")
    reader = Reader(tmp_path / "edge.sqlite")
    await writer.run(lambda c: apply_page(c, page("1", product(1))))

    with pytest.raises(TrustError):
        await writer.run(lambda c: apply_page(c, page("2", product(5), bad)))

    assert await reader.run(feed_cursor) == "1"
    known = await reader.run(lambda c: products_of(c, ["milk"]))
    assert known["milk"].name == "1"
    again = await writer.run(lambda c: apply_page(c, page("2", product(2))))
    assert again.applied == 1
    reader.close()
    writer.close()


def test_what_is_missing_is_named_by_the_newest_snapshot(tmp_path: Path) -> None:
    """Whatever was begun before, and however much of it came: no piece is asked for for ever."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    connection = open_writer(tmp_path / "edge.sqlite")
    refs = [ChunkRef(sha256=bytes([n]) * 32, size_bytes=1, raw_bytes=1) for n in range(6)]
    for number in range(60):
        chunks = chance.sample(refs, chance.randint(1, 4))
        manifest = SnapshotManifest(cursor=f"c{number}", chunks=chunks)
        with connection:
            begun = begin_rebuild(connection, manifest)
        while not begun:
            with connection:
                if sweep(connection):
                    begun = begin_rebuild(connection, manifest)
        for _ in range(chance.randint(0, 3)):
            missing = feed_state(connection).missing
            if missing is None:
                break
            assert missing in chunks
            change = product(number + 1, str(number))
            with connection:
                stage_chunk(connection, chunk=missing, changes=[change], last=True)
    connection.close()


def test_past_uses_leave_nothing_behind(tmp_path: Path) -> None:
    """Neither a row for each use of the chain, nor the customer's name; sums agree all the same."""
    connection = open_writer(tmp_path / "edge.sqlite")
    entry = UseEntry(
        edge_id=8,
        customer_id="c1",
        promotion="coffee",
        measure="times",
        period="2026-01-01",
        amount=1,
    )
    key = key_of_use(entry)
    for day in range(1, 6):
        apply_page(connection, page(f"{day}-1", put(Topic.USE, key, 2 * day, entry)))
        assert [version for version, _ in known_keys(connection, Topic.USE, [key]).values()]
        apply_page(connection, page(f"{day}-2", delete(Topic.USE, key, 2 * day + 1)))
        assert connection.execute("SELECT count(*) FROM feed_key WHERE topic = 'use'").get == 0
        assert connection.execute("SELECT count(*) FROM told_use").get == 0
    total, entries = next(
        connection.execute("SELECT total, entries FROM feed_sum WHERE topic = 'use'")
    )
    assert (total, entries) == (bytes(16), 0)

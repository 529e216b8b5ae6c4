"""Both ends of the feed over real HTTP: a shop comes up from nothing, and mends what broke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer

from central.database.pool import Pool
from central.feed import plan, store
from central.fleet.store import put_store
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest
from central.uplink.server import Uplink
from edge_agent.database.connection import open_writer
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.feed import FeedReader
from edge_agent.uplink.feed_state import feed_state
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.transport import Transport
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.feed import CustomerEntry, ProductEntry, StoreEntry, Topic
from shared.wire.problem import PROBLEM_CONTENT_TYPE
from tests.support.agent import enrol
from tests.support.feed_ends import NoPauseClock, visible_in

MEMBERS = 1_500


@pytest.fixture
async def url(pool: Pool) -> AsyncIterator[str]:
    """A central with one store, 1,500 members and a product."""
    clock, chance = SystemClock(), SystemChance()
    enrolment = Enrolment(pool, clock, chance, [])
    uplink = Uplink(pool, clock, chance, enrolment, Ingest(pool, clock))
    async with pool.connection() as connection:
        entry = StoreEntry(store_id="S1", name="S1", timezone="Europe/Moscow", currency="RUB")
        await put_store(connection, entry)
        members = {
            f"c{n}": CustomerEntry(customer_id=f"c{n}", card_tags=[b"%d" % n])
            for n in range(MEMBERS)
        }
        await store.put(connection, "S1", Topic.CUSTOMER, members)
        tea = {"tea": ProductEntry(sku="tea", name="Tea")}
        await store.put(connection, store.EVERY_STORE, Topic.PRODUCT, tea)
    server = TestServer(uplink.application())
    await server.start_server()
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()


async def credential_of(pool: Pool, url: str) -> str:
    token = await Enrolment(pool, SystemClock(), SystemChance(), []).issue_token("S1", EdgeKind.HUB)
    async with aiohttp.ClientSession(url) as http:
        return (await enrol(http, token)).reply.credential


async def test_shop_comes_up_from_nothing_and_mends_itself(
    pool: Pool, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshot, pieces, pages, buckets and repair, each through sockets."""
    monkeypatch.setattr(plan, "FIRST_LOAD_CHANGES_MAX", 100)
    monkeypatch.setattr(plan, "CHUNK_RAW_BYTES_MIN", 2_000)
    monkeypatch.setattr(plan, "_CHUNK_ENDS_ONE_IN", 8)
    path = tmp_path / "edge.sqlite"
    transport = Transport(url, credential=await credential_of(pool, url))
    await transport.open()

    async def follow(rounds: int) -> None:
        writer, reader, clock = Writer(path), Reader(path), NoPauseClock()
        follower = FeedReader(
            central=transport,
            writer=writer,
            reader=reader,
            link=LinkState(clock),
            clock=clock,
            wait_s=0,
            on_bundle=lambda: None,
        )
        for _ in range(rounds):
            await follower.round()
        assert not (await reader.run(feed_state)).reading
        reader.close()
        writer.close()

    await follow(80)
    whole = visible_in(path)
    connection = open_writer(path)
    connection.execute("DELETE FROM customer WHERE customer_id = 'c7'")
    connection.execute("UPDATE product SET entry = x'90'")
    connection.close()
    damaged = visible_in(path)
    await follow(8)
    await transport.close()

    assert len(whole["customer"]) == len(whole["card"]) == MEMBERS
    assert msgspec.msgpack.decode(whole["product"]["tea"], type=ProductEntry).name == "Tea"
    assert damaged != whole
    assert visible_in(path) == whole


async def test_stranger_and_nonsense_are_answered_by_problems(pool: Pool, url: str) -> None:
    """Nothing of the feed without a credential; no answer to what cannot be meant."""
    credential = await credential_of(pool, url)
    good = {"Authorization": f"Bearer {credential}"}
    async with aiohttp.ClientSession(url) as http:
        for path, headers, status, code in (
            ("/v1/feed/snapshot", {}, 401, "unauthorized"),
            ("/v1/feed/buckets?topic=customer", {}, 401, "unauthorized"),
            ("/v1/feed/repair?topic=customer&buckets=00", {}, 401, "unauthorized"),
            (f"/v1/feed/chunks/{'0' * 64}", {}, 401, "unauthorized"),
            (f"/v1/feed/chunks/{'0' * 64}", good, 404, "not_found"),
            ("/v1/feed/chunks/12", good, 404, "not_found"),
            ("/v1/feed/repair?buckets=xyz", good, 400, "input"),
            ("/v1/feed/buckets?cursor=7", good, 400, "bad_cursor"),
        ):
            async with http.get(path, headers=headers) as answer:
                problem = await answer.json(content_type=PROBLEM_CONTENT_TYPE)
            assert (path, answer.status, problem["code"]) == (path, status, code)

"""The uplink over real sockets with TLS, and what central makes of real answers of the engine."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer

from central.accounts import service as accounts
from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool
from central.fleet.store import put_store
from central.publishing.replay import Replay
from central.publishing.service import Publishing
from central.receipts import store as receipts
from central.uplink.certificates import Certificates, make_certificates
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest
from central.uplink.server import Uplink
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind, TrustedKey
from shared.wire.facts import ReceiptCommitted
from shared.wire.feed import BundleEntry, CustomerEntry, StoreEntry, Topic
from shared.wire.lan import PeerEntry
from shared.wire.problem import PROBLEM_CONTENT_TYPE
from shared.wire.receipt import Customer
from shared.wire.stream import Ack, Record, Refusal, RefusalCode
from tests.support.agent import a_receipt, caller, enrol, enrol_request
from tests.support.programmes import TEA_AND_POINTS

SIGNER = Signer(b"\x07" * 32)
MEMBER = Customer(id="c1", level="gold", points_centi={"main": 10_000})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A central in this process, behind TLS on a port of its own."""

    url: str
    certificates: Certificates
    enrolment: Enrolment
    publishing: Publishing
    replay: Replay


@pytest.fixture
async def head(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Head]:
    """One store with one member of 100 points; version 1 of the programme is in force."""
    clock = SystemClock()
    async with pool.connection() as connection:
        for store in ("S1", "S2"):
            await put_store(
                connection,
                StoreEntry(store_id=store, name=store, timezone="Europe/Moscow", currency="RUB"),
            )
        await put_customers(connection, [(CustomerEntry(customer_id="c1", card_tags=[]), "S1")])
        await accounts.open_balance(connection, "c1", "main", 10_000, now_ms=clock.now_ms())
    key = TrustedKey(key_id=SIGNER.key_id, public_key=SIGNER.public_key)
    enrolment = Enrolment(pool, clock, SystemChance(), [key])
    publishing = Publishing(pool, clock, SIGNER)
    await publishing.publish(json.dumps(TEA_AND_POINTS | {"version": 1}).encode(), by="test")
    made = make_certificates(["127.0.0.1"], now_ms=clock.now_ms())
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certificate").write_bytes(made.server)
    (folder / "key").write_bytes(made.server_key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "certificate", folder / "key")
    uplink = Uplink(pool, clock, SystemChance(), enrolment, Ingest(pool, clock))
    server = TestServer(uplink.application(), scheme="https")
    await server.start_server(ssl=tls)
    try:
        yield Head(
            url=f"https://127.0.0.1:{server.port}",
            certificates=made,
            enrolment=enrolment,
            publishing=publishing,
            replay=Replay(pool, SIGNER),
        )
    finally:
        await server.close()


@asynccontextmanager
async def calling(head: Head) -> AsyncIterator[aiohttp.ClientSession]:
    """HTTP to this central, its authority pinned."""
    async with caller(head.url, head.certificates.ca.decode()) as http:
        yield http


async def differences(pool: Pool, head: Head) -> int:
    """How many stored answers the engine would not give again."""
    async with pool.connection() as connection:
        return await head.replay.differences(connection)


async def test_an_agent_enrols_reads_its_feed_and_opens_the_bundle(head: Head) -> None:
    """Token, credential, feed, bundle and hello, each over TLS under the private authority."""
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http:
        agent = await enrol(http, token)
        count = await agent.read_feed()
        wanted = msgspec.msgpack.decode(agent.feed[Topic.BUNDLE, "rules"].payload, type=BundleEntry)
        bundle = await agent.bundle(wanted.version)
        reply = await agent.hello(bundle_version=wanted.version)

    assert count == len(agent.feed)
    assert {topic for topic, _ in agent.feed} == {
        "store",
        "bundle",
        "customer",
        "balance",
        "lease",
        "peer",
    }
    assert (Topic.STORE, "S2") not in agent.feed
    assert agent.lease("c1").granted == 10_000
    assert bundle.sha256 == wanted.sha256
    assert bundle.program.version == 1
    assert {(one.epoch, one.seq) for one in reply.heads} == {(1, 0)}
    assert len(reply.heads) == len(agent.reply.lanes)


async def test_a_publication_reaches_a_reader_that_waits(head: Head) -> None:
    """The feed holds a request open and answers it when something changed."""
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http:
        agent = await enrol(http, token)
        await agent.read_feed()
        waiting = asyncio.create_task(agent.read_feed(wait_s=20))
        await asyncio.sleep(0.1)
        document = json.dumps(TEA_AND_POINTS | {"version": 2}).encode()
        await head.publishing.publish(document, by="test")
        count = await asyncio.wait_for(waiting, 10)

    wanted = msgspec.msgpack.decode(agent.feed[Topic.BUNDLE, "rules"].payload, type=BundleEntry)
    assert (count, wanted.version) == (1, 2)


async def test_a_hub_brings_its_tills_records_and_no_others(pool: Pool, head: Head) -> None:
    """Both ways give one stream; another store's hub, and a till, bring nothing."""
    async with calling(head) as http:
        hub = await enrol(http, await head.enrolment.issue_token("S1", EdgeKind.HUB))
        token = await head.enrolment.issue_token("S1", EdgeKind.TILL)
        till = await enrol(http, token, seed=2, kind=EdgeKind.TILL)
        token = await head.enrolment.issue_token("S2", EdgeKind.HUB)
        other = await enrol(http, token, seed=3)
        await hub.read_feed()
        wanted = msgspec.msgpack.decode(hub.feed[Topic.BUNDLE, "rules"].payload, type=BundleEntry)
        program = (await hub.bundle(wanted.version)).program
        for number in (1, 2):
            till.sell(a_receipt(number), program)
        through = await till.send(1, 2, by=hub)
        directly = await till.send(1, 2)
        hub.sell(a_receipt(3), program)
        for agent, by in ((till, other), (hub, till)):
            with pytest.raises(AssertionError, match="forbidden"):
                await agent.send(1, 1, by=by)
        await hub.read_feed()

    assert isinstance(through, Ack)
    assert isinstance(directly, Ack)
    assert (through.seq, through.hash) == (directly.seq, directly.hash)
    async with pool.connection() as connection:
        found = await connection.execute("select count(*) as count from receipt")
        row = await found.fetchone()
    assert row is not None
    assert row["count"] == 2
    peers = [
        msgspec.msgpack.decode(change.payload, type=PeerEntry)
        for (topic, _), change in hub.feed.items()
        if topic == Topic.PEER
    ]
    assert [(peer.edge_id, peer.kind, peer.state) for peer in peers] == [
        (hub.reply.edge_id, EdgeKind.HUB, "active"),
        (till.reply.edge_id, EdgeKind.TILL, "active"),
    ]


async def test_a_stranger_learns_nothing(head: Head) -> None:
    """Wrong authority, token, credential, stream, body and path: a problem, and no more."""
    other = make_certificates(["127.0.0.1"], now_ms=SystemClock().now_ms())
    async with caller(head.url, other.ca.decode()) as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get("/v1/time")
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http:
        agent = await enrol(http, token)
        good = agent.headers
        bad = {"Authorization": f"Bearer kpe_{agent.reply.edge_id}_{'A' * 32}"}
        again = msgspec.json.encode(enrol_request(token))
        elsewhere = f"/v1/streams/{agent.reply.edge_id + 1}/1/1/1-1"
        mine = f"/v1/streams/{agent.reply.edge_id}/1/1/1-1"
        for method, path, headers, body, status, code in (
            ("POST", "/v1/enrol", {}, again, 401, "bad_enrol_token"),
            ("POST", "/v1/enrol", {}, b'{"token": "\xff"}', 400, "bad_json"),
            ("GET", "/v1/feed", {}, None, 401, "unauthorized"),
            ("GET", "/v1/feed", bad, None, 401, "unauthorized"),
            ("GET", "/v1/feed?cursor=1-x", good, None, 400, "bad_cursor"),
            ("GET", "/v1/feed?wait_s=soon", good, None, 400, "input"),
            ("GET", "/v1/feed?wait_s=nan", good, None, 400, "input"),
            ("GET", "/v1/bundles/99", good, None, 404, "not_found"),
            ("POST", "/v1/hello", good, b"[]", 400, "bad_json"),
            ("PUT", elsewhere, good, b"", 403, "forbidden"),
            ("PUT", mine, good, b"\xc1", 400, "bad_batch"),
            ("GET", "/v1/nothing", good, None, 404, "not_found"),
            ("DELETE", "/v1/feed", good, None, 405, "method_not_allowed"),
        ):
            async with http.request(method, path, headers=headers, data=body) as answer:
                problem = await answer.json(content_type=PROBLEM_CONTENT_TYPE)
            assert (method, path, answer.status, problem["code"]) == (method, path, status, code)
            assert "Traceback" not in json.dumps(problem)


async def test_real_answers_come_out_the_same_again(pool: Pool, head: Head) -> None:
    """Receipts with goods, points earned and points spent replay to the stored answers."""
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http:
        agent = await enrol(http, token)
        await agent.read_feed()
        program = (await agent.bundle(1)).program
        lease = agent.lease("c1").lease_id
        uids = [agent.sell(a_receipt(number), program) for number in range(1, 11)]
        uids += [agent.sell(a_receipt(11, customer=MEMBER, spends=True), program, lease_id=lease)]
        gap = await agent.send(6, 11)
        first = await agent.send(1, 5)
        again = await agent.send(1, 11)
        await agent.read_feed()
        granted_centi = agent.lease("c1").granted
    async with pool.connection() as connection:
        counted = await receipts.audit(connection)
        points = await audit(connection)
        stored = await receipts.get_receipt(connection, uids[-1])
    answer = await head.replay(uids[-1])

    assert isinstance(gap, Refusal)
    assert (gap.code, gap.seq) == (RefusalCode.GAP, 0)
    assert isinstance(first, Ack)
    assert isinstance(again, Ack)
    assert (first.seq, again.seq, again.verdicts) == (5, 11, [])
    assert (counted["receipts"], counted["quarantined"], counted["wrong_sums"]) == (11, 0, 0)
    assert points["redeemed_centi"] == counted["spent_centi"] == 10_000
    assert points["shortage_centi"] == points["ledger_sum_centi"] == points["wrong_leases"] == 0
    assert granted_centi == 10_000 + counted["earned_centi"]
    assert counted["earned_centi"] > 0
    assert answer.trace
    assert msgspec.structs.replace(answer, trace=[]) == stored.answer
    assert await differences(pool, head) == 0


async def test_one_batch_of_a_stream_is_in_at_a_time_and_the_next_is_told_when(
    pool: Pool, head: Head
) -> None:
    """A sender that stalls keeps its own place only; its stream's next batch is not even read."""
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http, calling(head) as other:
        agent = await enrol(http, token)
        program = (await agent.bundle(1)).program
        agent.sell(a_receipt(1), program)
        body = msgspec.msgpack.encode(agent.batch(1, 1))
        path = f"/v1/streams/{agent.reply.edge_id}/1/1/1-1"
        began, goes_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:10]
            began.set()
            await goes_on.wait()
            yield body[10:]

        async def put(http: aiohttp.ClientSession, data: object) -> tuple[int, str | None, bytes]:
            async with http.put(path, data=data, headers=agent.headers) as answer:
                return answer.status, answer.headers.get("Retry-After"), await answer.read()

        stalled = asyncio.create_task(put(http, slowly()))
        await began.wait()
        await asyncio.sleep(0.2)
        status, retry_after, told = await put(other, body)
        goes_on.set()
        taken, _, _ = await stalled
        again, _, _ = await put(other, body)

    assert (status, msgspec.json.decode(told)["code"]) == (429, "busy")
    assert retry_after is not None
    assert int(retry_after) >= 1
    assert (taken, again) == (200, 200)


async def test_a_revoked_agent_is_wiped_and_a_frozen_one_waits(pool: Pool, head: Head) -> None:
    """Within a second of the decision; hello still tells either what to do."""
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http:
        agent = await enrol(http, token)
        program = (await agent.bundle(1)).program
        agent.sell(a_receipt(1), program)
        body = msgspec.msgpack.encode(agent.batch(1, 1))
        path = f"/v1/streams/{agent.reply.edge_id}/1/1/1-1"
        seen = []
        for state in ("frozen", "revoked"):
            async with pool.connection() as connection:
                await connection.execute("update edge set state = %s", (state,))
            await asyncio.sleep(1.1)
            async with http.put(path, data=body, headers=agent.headers) as answer:
                seen.append(answer.status)
            seen.append((await agent.hello(bundle_version=1)).order.value)

    assert seen == [423, "continue", 403, "wipe"]


async def test_an_answer_the_engine_would_not_give_is_found(pool: Pool, head: Head) -> None:
    """A changed answer and a version central never published are told, each as one difference."""
    token = await head.enrolment.issue_token("S1", EdgeKind.HUB)
    async with calling(head) as http:
        agent = await enrol(http, token)
        program = (await agent.bundle(1)).program
        agent.sell(a_receipt(1), program)
        agent.sell(a_receipt(2), program)
        agent.sell(a_receipt(3), program)
        facts = [
            msgspec.msgpack.decode(
                msgspec.msgpack.decode(record, type=Record).body, type=ReceiptCommitted
            )
            for record in agent.records
        ]
        dearer = evaluate(program, a_receipt(99))
        agent.records.clear()
        agent.record(facts[0])
        agent.record(
            msgspec.structs.replace(
                facts[1], answer=msgspec.structs.replace(dearer, receipt_id="S1-2")
            )
        )
        agent.record(msgspec.structs.replace(facts[2], bundle_version=77))
        taken = await agent.send(1, 3)

    assert isinstance(taken, Ack)
    assert taken.verdicts == []
    assert await differences(pool, head) == 2

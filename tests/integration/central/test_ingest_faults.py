"""What goes wrong between an edge and central's database, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib

import msgspec
import psycopg
import pytest

from central.accounts.audit import audit
from central.database.embedded import EmbeddedPostgres
from central.database.pool import Pool, open_pool, row_of, rows_of, run
from central.receipts import store as receipts
from central.uplink.enrol import Caller
from central.uplink.greeting import Greeting
from central.uplink.ingest import Ingest
from shared.errors import AppError, ForbiddenError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EnrolReply, HelloOrder, HelloReply, HelloRequest, LaneHead
from shared.wire.facts import FactKind, LeaseClosed
from shared.wire.stream import Ack, Lane, Refusal, RefusalCode
from tests.support.edge_stream import (
    MEMBER,
    POINTS,
    STORE,
    EdgeStream,
    a_sale,
    enrol,
    open_town,
    uid_of,
)

LEDGER = (
    "select account_id, balance from ledger_account where balance <> 0 order by 1",
    "select transfer_id, amount, debit_account_id from ledger_transfer order by 1",
    "select spend_uid, amount, state from ledger_spend order by 1",
    "select record_uid, content_sha256, net_minor, line_skus from receipt order by 1",
)


async def ledger_hash(pool: Pool) -> str:
    """One text for all that was posted and kept."""
    digest = hashlib.sha256()
    async with pool.connection() as connection:
        for query in LEDGER:
            for row in await rows_of(connection, query):
                digest.update(repr(sorted(row.items())).encode())
    return digest.hexdigest()


async def lease_of(pool: Pool, edge_id: int) -> str:
    async with pool.connection() as connection:
        row = await row_of(
            connection, "select lease_id from lease where edge_id = %(id)s", {"id": edge_id}
        )
    assert row is not None
    return str(row["lease_id"])


async def numbers(pool: Pool) -> dict[str, int]:
    """The sums of ledger and receipts; all that must be zero is."""
    async with pool.connection() as connection:
        points, counted = await audit(connection), await receipts.audit(connection)
    assert points["ledger_sum_centi"] == points["negative_accounts"] == 0
    assert points["drift"] == points["unbalanced_accounts"] == points["wrong_leases"] == 0
    assert counted["wrong_sums"] == counted["counted_twice"] == 0
    return points | counted


async def test_two_paths_at_once_post_everything_once(pool: Pool) -> None:
    """A till's stream comes by the hub and by itself, batches of any size, at the same moment."""
    await open_town(pool)
    reply = await enrol(pool)
    lease_id = await lease_of(pool, reply.edge_id)
    sales = EdgeStream.of(reply, Lane.RECEIPTS)
    money = EdgeStream.of(reply, Lane.MONEY)
    for number in range(60):
        uid = money.spend(f"spend {number}", lease_id, 7)
        sales.sell(f"r{number}", earned=11, spent=7, lease_id=lease_id, spend_uid=uid)
    ingest = Ingest(pool, SystemClock())

    async def bring(lane: EdgeStream, size: int) -> None:
        seq = 0
        while seq < len(lane.records):
            batch = lane.batch(seq + 1, min(seq + size, len(lane.records)))
            try:
                answer = await ingest.take(lane.stream(), batch)
            except AppError:
                await asyncio.sleep(0.05)  # busy: as an agent would
                continue
            assert isinstance(answer, Ack), answer
            assert not answer.verdicts
            seq = answer.seq

    await asyncio.gather(bring(sales, 7), bring(sales, 20), bring(money, 3), bring(money, 11))
    found = await numbers(pool)

    assert found["receipts"] == 60
    assert found["quarantined"] == found["shortage_centi"] == 0
    assert found["redeemed_centi"] == 60 * 7
    assert found["issued_centi"] == POINTS + 60 * 11


async def test_one_record_the_database_refuses_stops_no_other(pool: Pool) -> None:
    """The batch goes in record by record; the poisoned one is kept with the reason."""
    await open_town(pool)
    reply = await enrol(pool)
    sales = EdgeStream.of(reply, Lane.RECEIPTS)
    for number in range(5):
        sales.sell(f"r{number}", earned=5)
    async with pool.connection() as connection:
        # What our own rules let through and the table does not: here a rule of the table's own.
        await run(connection, "alter table receipt add constraint no_r2 check (receipt_id <> 'r2')")

    answer = await Ingest(pool, SystemClock()).take(sales.stream(), sales.batch())
    found = await numbers(pool)

    assert isinstance(answer, Ack)
    assert [(one.seq, one.code) for one in answer.verdicts] == [(3, "quarantined")]
    assert "CheckViolation" in answer.verdicts[0].detail
    assert (answer.seq, found["receipts"], found["quarantined"]) == (5, 4, 1)
    assert found["issued_centi"] == POINTS + 4 * 5


async def test_a_backend_that_dies_before_the_ack_leaves_nothing_half(
    pool: Pool, database: str
) -> None:
    """The batch is sent again and counts once, whether or not its commit had come through."""
    await open_town(pool)
    reply = await enrol(pool)
    sales = EdgeStream.of(reply, Lane.RECEIPTS)
    for number in range(20):
        sales.sell(f"r{number}", earned=5)
    async with pool.connection() as connection:
        # The head is the last thing that a batch writes: there it waits to be killed.
        await run(
            connection,
            "create function dawdle() returns trigger language plpgsql as"
            " 'begin perform pg_sleep(3); return new; end'",
        )
        await run(
            connection,
            "create trigger dawdle before update of seq on stream_head"
            " for each row execute function dawdle()",
        )
    async with open_pool(database, size_max=2) as doomed:
        taking = asyncio.create_task(
            Ingest(doomed, SystemClock()).take(sales.stream(), sales.batch())
        )
        killed = 0
        while not killed:
            await asyncio.sleep(0.1)
            async with pool.connection() as connection:
                killed = await run(
                    connection,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where pid <> pg_backend_pid() and query ilike '%update stream_head%set seq%'"
                    " and state = 'active' and datname = current_database()",
                )
        with pytest.raises(psycopg.OperationalError):
            await taking
    before = await numbers(pool)
    async with pool.connection() as connection:
        await run(connection, "drop trigger dawdle on stream_head")

    ingest = Ingest(pool, SystemClock())
    answers = [await ingest.take(sales.stream(), sales.batch()) for _ in range(2)]
    after = await numbers(pool)

    assert before["receipts"] == 0
    assert [one.seq for one in answers] == [20, 20]
    assert (after["receipts"], after["issued_centi"]) == (20, POINTS + 100)


async def test_a_central_put_back_from_a_copy_is_filled_up_again(
    pool: Pool, database: str, postgres_server: EmbeddedPostgres
) -> None:
    """Edges send what they kept; the ledger is the one that was lost, to the last transfer."""
    await open_town(pool)
    reply = await enrol(pool)
    lease_id = await lease_of(pool, reply.edge_id)
    sales, money = (EdgeStream.of(reply, lane) for lane in (Lane.RECEIPTS, Lane.MONEY))
    ingest = Ingest(pool, SystemClock())
    for number in range(30):
        uid = money.spend(f"spend {number}", lease_id, 9)
        sales.sell(
            f"r{number}",
            earned=3,
            active_on="2026-12-01",
            spent=9,
            lease_id=lease_id,
            spend_uid=uid,
        )
    for lane in (money, sales):
        assert isinstance(await ingest.take(lane.stream(), lane.batch(1, 10)), Ack)
    name = database.partition("?")[0].rpartition("/")[2]
    await pool.close()
    with psycopg.connect(postgres_server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}_copy template {name}".encode())
    try:
        async with open_pool(database) as again:
            ingest = Ingest(again, SystemClock())
            for lane in (money, sales):
                assert isinstance(await ingest.take(lane.stream(), lane.batch(11, 30)), Ack)
            lost = await ledger_hash(again)
        async with open_pool(postgres_server.conninfo(f"{name}_copy")) as restored:
            ingest = Ingest(restored, SystemClock())
            behind = await ingest.take(sales.stream(), sales.batch(21, 30))
            for lane in (sales, money):  # in another order, and more than is missing
                assert isinstance(await ingest.take(lane.stream(), lane.batch(6, 17)), Ack)
                assert isinstance(await ingest.take(lane.stream(), lane.batch(11, 30)), Ack)
            found = await ledger_hash(restored)
            await numbers(restored)
    finally:
        with psycopg.connect(postgres_server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database {name}_copy with (force)".encode())

    assert isinstance(behind, Refusal)
    assert (behind.code, behind.seq) == (RefusalCode.GAP, 10)
    assert found == lost


def hello(
    *streams: EdgeStream,
    recovering: bool = False,
    witness: list[LaneHead] | None = None,
    proofs: list[LaneHead] | None = None,
    recovery_id: bytes = b"",
) -> HelloRequest:
    return HelloRequest(
        agent_version="1",
        started_at_ms=0,
        now_ms=0,
        heads=[one.head() for one in streams],
        queue_depth=0,
        oldest_queued_at_ms=None,
        bundle_version=None,
        bundle_error=None,
        feed_cursor="",
        components=[],
        epoch=streams[0].epoch,
        recovering=recovering,
        recovery_id=recovery_id,
        witness=[one.head() for one in streams] if witness is None else witness,
        proofs=proofs or [],
    )


async def greet(pool: Pool, reply: EnrolReply, request: HelloRequest) -> HelloReply:
    caller = Caller(edge_id=reply.edge_id, store_id=STORE, state="active")
    return await Greeting(pool, SystemClock(), SystemChance()).greet(caller, request)


async def lease_states(pool: Pool, edge_id: int) -> list[str]:
    async with pool.connection() as connection:
        rows = await rows_of(
            connection,
            "select state from lease where edge_id = %(id)s order by lease_id",
            {"id": edge_id},
        )
    return [row["state"] for row in rows]


async def test_two_copies_of_an_edge_lose_no_sale(pool: Pool) -> None:
    """Fork, freeze, one new epoch; the other copy enrols anew; all sales of both are counted."""
    await open_town(pool)
    reply = await enrol(pool)
    lease_id = await lease_of(pool, reply.edge_id)
    sales, money = (EdgeStream.of(reply, lane) for lane in (Lane.RECEIPTS, Lane.MONEY))
    for number in range(4):
        sales.sell(f"both {number}", earned=1)
    other = sales.copy()
    for number in range(6):
        sales.sell(f"ours {number}", earned=1)
    for number in range(3):
        other.sell(f"theirs {number}", earned=1)
    again = a_sale("ours 0", customer=None)  # one id, two sales
    again = msgspec.structs.replace(again, committed_at_ms=again.committed_at_ms + 1)
    other.add(uid_of("theirs too"), FactKind.RECEIPT_COMMITTED, msgspec.msgpack.encode(again))
    theirs_money = money.copy()
    money.spend("ours", lease_id, 100)
    theirs_money.spend("theirs", lease_id, 200)
    ingest = Ingest(pool, SystemClock())
    assert isinstance(await ingest.take(sales.stream(), sales.batch(1, 7)), Ack)

    forked = await ingest.take(other.stream(), other.batch(5, 8))
    frozen = await ingest.take(sales.stream(), sales.batch(8, 10))
    states = await lease_states(pool, reply.edge_id)
    told = await greet(pool, reply, hello(sales, money))
    proofs = [sales.head(7), money.head(0)]
    rescued = await greet(
        pool,
        reply,
        hello(sales, money, recovering=True, recovery_id=b"o" * 16, proofs=proofs),
    )
    late = await greet(
        pool, reply, hello(other, theirs_money, recovering=True, recovery_id=b"t" * 16)
    )
    for lane in (sales, money):
        assert isinstance(await ingest.adopt(lane.stream(), lane.batch()), Ack)
    stranger = await enrol(pool, seed=1)
    for lane in (other, theirs_money):
        by = lane.stream(by_edge_id=stranger.edge_id)
        answer = await ingest.adopt(by, lane.batch())
        assert isinstance(answer, Ack)
        assert not answer.verdicts
        repeated = await ingest.adopt(by, lane.batch())
        assert isinstance(repeated, Ack)
        assert (repeated.seq, repeated.hash) == (answer.seq, answer.hash)
    fresh = EdgeStream.of(msgspec.structs.replace(reply, lanes=rescued.starts), Lane.RECEIPTS)
    fresh.sell("new epoch", earned=1)
    went_on = await ingest.take(fresh.stream(), fresh.batch())
    fenced = await ingest.take(sales.stream(), sales.batch(8, 10))
    found = await numbers(pool)

    assert isinstance(forked, Refusal)
    assert isinstance(frozen, Refusal)
    assert isinstance(fenced, Refusal)
    assert (forked.code, frozen.code) == (RefusalCode.FORK, RefusalCode.FROZEN)
    assert (fenced.code, fenced.epoch) == (RefusalCode.FENCED, 2)
    assert states == ["frozen"]
    assert (told.order, told.starts) == (HelloOrder.RECOVER, [])
    assert rescued.order is HelloOrder.RECOVER
    assert {start.epoch for start in rescued.starts} == {2}
    assert (late.order, late.starts) == (HelloOrder.REENROL, [])
    assert isinstance(went_on, Ack)
    assert found["receipts"] == 4 + 6 + 3 + 1 + 1
    assert found["redeemed_centi"] == 300
    assert found["issued_centi"] == POINTS + 4 + 6 + 3 + 1


async def test_a_restored_edge_that_lost_nothing_gets_its_leases_settled(pool: Pool) -> None:
    """When the last record of the old epoch is here, the rest goes back and is lent again."""
    await open_town(pool)
    reply = await enrol(pool)
    lease_id = await lease_of(pool, reply.edge_id)
    sales, money = (EdgeStream.of(reply, lane) for lane in (Lane.RECEIPTS, Lane.MONEY))
    sales.sell("r1")
    money.spend("s1", lease_id, 400)
    money.spend("s2", lease_id, 600)
    ingest = Ingest(pool, SystemClock())
    await ingest.take(sales.stream(), sales.batch())
    await ingest.take(money.stream(), money.batch(1, 1))
    proofs = [sales.head(1), money.head(1)]
    asked = hello(sales, money, recovering=True, recovery_id=b"r" * 16, proofs=proofs)

    issued = await greet(pool, reply, asked)
    repeated = await greet(pool, reply, asked)
    waiting = await lease_states(pool, reply.edge_id)
    assert isinstance(await ingest.adopt(money.stream(), money.batch()), Ack)
    fresh = [
        EdgeStream.of(msgspec.structs.replace(reply, lanes=issued.starts), lane)
        for lane in (Lane.RECEIPTS, Lane.MONEY)
    ]
    settled = await greet(pool, reply, hello(*fresh))
    states = await lease_states(pool, reply.edge_id)
    found = await numbers(pool)

    assert issued.starts
    assert repeated.starts == issued.starts
    assert waiting == ["frozen"]
    assert settled.order is HelloOrder.CONTINUE
    assert sorted(states) == ["closed", "open"]  # settled, and lent again in the new epoch
    assert found["redeemed_centi"] == 1000


async def test_only_one_s_own_store_is_adopted_from(pool: Pool) -> None:
    """A stream that never was, or a stranger's, is nobody's to bring."""
    await open_town(pool)
    reply = await enrol(pool)
    sales = EdgeStream.of(reply, Lane.RECEIPTS)
    sales.sell("r1")
    ingest = Ingest(pool, SystemClock())
    stranger = EdgeStream(edge_id=77, lane=Lane.RECEIPTS, epoch=1, genesis=bytes(32))
    stranger.sell("r2")
    lying = EdgeStream.of(reply, Lane.RECEIPTS)
    lying.genesis = hashlib.sha256(b"no nonce of central's").digest()
    lying.sell("r3")

    with pytest.raises(ForbiddenError):
        await ingest.adopt(stranger.stream(by_edge_id=reply.edge_id), stranger.batch())
    refused = await ingest.adopt(lying.stream(by_edge_id=reply.edge_id), lying.batch())

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.FORK
    assert (await numbers(pool))["receipts"] == 0


async def test_money_facts_are_kept_and_a_close_gives_back(pool: Pool) -> None:
    """A lease is closed with its count; what was kept says so, once, whoever repeats it."""
    await open_town(pool)
    reply = await enrol(pool)
    lease_id = await lease_of(pool, reply.edge_id)
    money = EdgeStream.of(reply, Lane.MONEY)
    money.spend("s1", lease_id, 400)
    closed = LeaseClosed(lease_id=lease_id, spend_count=1, spent_amount=400)
    money.add(uid_of("close"), FactKind.LEASE_CLOSED, msgspec.msgpack.encode(closed))
    sale = EdgeStream.of(reply, Lane.MONEY)
    sale.records = list(money.records)
    sale.add(uid_of("sale"), FactKind.RECEIPT_COMMITTED, msgspec.msgpack.encode(a_sale("on money")))
    ingest = Ingest(pool, SystemClock())

    first = await ingest.take(money.stream(), money.batch())
    strange = await ingest.take(sale.stream(), sale.batch())
    async with pool.connection() as connection:
        kept = await rows_of(connection, "select kind from fact order by kind")
        owned = await row_of(
            connection,
            "select sum(balance)::bigint as points from ledger_account"
            " where kind in ('avail', 'escrow')",
        )
    await numbers(pool)

    assert isinstance(first, Ack)
    assert isinstance(strange, Ack)
    assert [one.detail.split(":")[0] for one in strange.verdicts] == ["wrong_lane"]
    assert [row["kind"] for row in kept] == ["lease.closed", "lease.spent"]
    assert owned is not None
    assert owned["points"] == POINTS - 400
    assert MEMBER

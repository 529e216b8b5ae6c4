"""An agent of the first release talks to this central: what it sends is taken and posted once."""

from __future__ import annotations

from pathlib import Path

from central.accounts import service as accounts
from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool, rows_of
from central.fleet.store import put_store
from central.receipts import store as receipts
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest, Stream
from shared.crypto.chain import chain_genesis
from shared.frames import decode_batch
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.feed import CustomerEntry, StoreEntry
from shared.wire.stream import Ack, Lane
from tests.support.agent import enrol_request

FIRST = Path(__file__).parents[2] / "golden" / "wire" / "1"
EDGE = 1001
NONCE = bytes(range(16))


async def test_its_batch_is_taken_and_its_points_are_posted_from_the_receipts(pool: Pool) -> None:
    """It had no money records: a receipt tells its spends, and a repeat tells nothing new."""
    clock = SystemClock()
    async with pool.connection() as connection:
        await put_store(
            connection,
            StoreEntry(store_id="S1", name="One", timezone="Europe/Moscow", currency="RUB"),
        )
        await put_customers(connection, [(CustomerEntry(customer_id="c1", card_tags=[]), "S1")])
    enrolment = Enrolment(pool, clock, SystemChance(), [])
    reply = await enrolment.enrol(enrol_request(await enrolment.issue_token("S1", EdgeKind.HUB)))
    assert reply.edge_id == EDGE
    async with pool.connection() as connection:
        await accounts.open_balance(connection, "c1", "main", 10_000, now_ms=clock.now_ms())
        # As the first release's central had begun this stream.
        await connection.execute(
            "update stream_head set nonce = %s, hash = %s where edge_id = %s and lane = %s",
            (NONCE, chain_genesis(EDGE, Lane.RECEIPTS, 1, NONCE), EDGE, Lane.RECEIPTS.value),
        )

    batch = decode_batch((FIRST / "batch.msgpack").read_bytes())
    stream = Stream(edge_id=EDGE, store_id="S1", lane=Lane.RECEIPTS.value, epoch=1)
    ingest = Ingest(pool, clock)
    for _ in range(2):
        answer = await ingest.take(stream, batch)
        assert isinstance(answer, Ack)
        assert (answer.seq, answer.hash, answer.verdicts) == (3, batch.last_hash, [])

    async with pool.connection() as connection:
        counted = await receipts.audit(connection)
        books = await audit(connection)
        rows = await rows_of(
            connection,
            "select kind, sum(balance)::bigint as held from ledger_account group by kind",
        )
    held = {row["kind"]: row["held"] for row in rows}
    assert (counted["receipts"], counted["quarantined"]) == (3, 0)
    # The lease it names was never granted here: both spends are the store's.
    assert (held["redeemed"], -held["store_shortage"]) == (2_000, 2_000)
    assert held["escrow"] + held.get("avail", 0) == 10_000 + counted["earned_centi"]
    assert books["ledger_sum_centi"] == books["negative_accounts"] == books["wrong_leases"] == 0

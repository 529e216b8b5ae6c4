"""Records into PostgreSQL: once each, in order, with their points."""

from __future__ import annotations

import hashlib
import random

import msgspec
import pytest
import zstandard

from central.accounts import service as accounts
from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool, row_of
from central.fleet.store import put_store
from central.receipts import store as receipts
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest, Stream
from shared.crypto.chain import chain_fold, chain_genesis
from shared.crypto.signing import Signer
from shared.errors import UnauthorizedError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import ENROL_SIGNATURE_KIND, EdgeKind, EnrolReply, EnrolRequest
from shared.wire.facts import FactKind
from shared.wire.feed import CustomerEntry, StoreEntry
from shared.wire.stream import Ack, Batch, Record, Refusal, RefusalCode
from tests.support.edge_stream import a_sale


async def enrolled(pool: Pool) -> tuple[EnrolReply, Enrolment, EnrolRequest]:
    async with pool.connection() as connection:
        await put_store(
            connection,
            StoreEntry(store_id="S1", name="One", timezone="Europe/Moscow", currency="RUB"),
        )
        await put_customers(connection, [(CustomerEntry(customer_id="c1", card_tags=[]), "S1")])
        await accounts.open_balance(connection, "c1", "main", 10_000, now_ms=1)
    enrolment = Enrolment(pool, SystemClock(), SystemChance(), [])
    token = await enrolment.issue_token("S1", EdgeKind.HUB)
    device = Signer(bytes(32))
    request = EnrolRequest(
        token=token,
        kind=EdgeKind.HUB,
        device_public_key=device.public_key,
        signature=device.sign(ENROL_SIGNATURE_KIND, token.encode()),
        agent_version="1",
    )
    return await enrolment.enrol(request), enrolment, request


def record(seq: int, *, earned: int = 0, spent: int = 0, lease: str | None = None) -> bytes:
    fact = a_sale(f"r{seq}", earned=earned, spent=spent, lease_id=lease)
    return encoded(seq, msgspec.msgpack.encode(fact))


def encoded(seq: int, body: bytes, uid: bytes | None = None) -> bytes:
    return msgspec.msgpack.encode(
        Record(
            uid=uid or hashlib.sha256(str(seq).encode()).digest()[:16],
            lane=1,
            epoch=1,
            seq=seq,
            recorded_at_ms=1,
            kind=FactKind.RECEIPT_COMMITTED,
            schema_version=1,
            body=body,
        )
    )


def batch_of(reply: EnrolReply, records: list[bytes], first: int, last: int) -> Batch:
    genesis = chain_genesis(reply.edge_id, 1, 1, reply.lanes[1].nonce)
    raw = msgspec.msgpack.encode(records[first - 1 : last])
    return Batch(
        schema_version=1,
        first_seq=first,
        last_seq=last,
        previous_hash=chain_fold(genesis, records[: first - 1]),
        last_hash=chain_fold(genesis, records[:last]),
        raw_bytes=len(raw),
        dictionary_id=0,
        frame=zstandard.compress(raw),
    )


def stream_of(reply: EnrolReply, epoch: int = 1) -> Stream:
    return Stream(edge_id=reply.edge_id, store_id="S1", lane=1, epoch=epoch)


async def audits(pool: Pool) -> tuple[dict[str, int], dict[str, int]]:
    async with pool.connection() as connection:
        return await audit(connection), await receipts.audit(connection)


@pytest.mark.parametrize("seed", range(4))
async def test_replayed_and_reordered_batches_are_counted_once(pool: Pool, seed: int) -> None:
    """Any multiset of batches gives each receipt once, and a ledger that sums to zero."""
    reply, _, _ = await enrolled(pool)
    chance = random.Random(seed)
    async with pool.connection() as connection:
        row = await row_of(connection, "select lease_id from lease")
    assert row is not None
    lease = row["lease_id"]
    records = [
        record(seq, earned=chance.randrange(500), spent=chance.randrange(3000), lease=lease)
        for seq in range(1, 21)
    ]
    ingest = Ingest(pool, SystemClock())
    seq, refusals = 0, set()
    for _ in range(200):
        first = chance.randint(1, 20)
        batch = batch_of(reply, records, first, chance.randint(first, min(20, first + 5)))
        answer = await ingest.take(stream_of(reply), batch)
        if isinstance(answer, Refusal):
            refusals.add(answer.code)
        seq = answer.seq
        if seq == 20:
            break
    points, counted = await audits(pool)

    assert seq == 20
    assert refusals <= {RefusalCode.GAP}
    assert counted["receipts"] == 20
    assert counted["counted_twice"] == counted["quarantined"] == counted["wrong_sums"] == 0
    assert points["ledger_sum_centi"] == points["negative_accounts"] == 0
    assert points["unbalanced_accounts"] == points["wrong_leases"] == 0
    assert points["redeemed_centi"] == counted["spent_centi"]
    assert points["issued_centi"] == 10_000 + counted["earned_centi"]


async def test_fork_freezes_the_stream(pool: Pool) -> None:
    """Another record at a known place is evidence of two writers; nothing more is taken."""
    reply, _, _ = await enrolled(pool)
    ingest = Ingest(pool, SystemClock())
    ours, theirs = [record(1), record(2)], [record(1), record(2, earned=7)]
    assert isinstance(await ingest.take(stream_of(reply), batch_of(reply, ours, 1, 2)), Ack)

    forked = await ingest.take(stream_of(reply), batch_of(reply, theirs, 2, 2))
    frozen = await ingest.take(stream_of(reply), batch_of(reply, [*ours, record(3)], 3, 3))
    unknown = await ingest.take(stream_of(reply, epoch=2), batch_of(reply, ours, 1, 1))

    assert isinstance(forked, Refusal)
    assert forked.code is RefusalCode.FORK
    assert isinstance(frozen, Refusal)
    assert frozen.code is RefusalCode.FROZEN
    assert isinstance(unknown, Refusal)
    assert unknown.code is RefusalCode.UNKNOWN_EPOCH


async def test_poison_and_conflict_go_to_quarantine(pool: Pool) -> None:
    """A body that cannot be read and a uid with other content stop nothing and are kept."""
    reply, _, _ = await enrolled(pool)
    taken = record(1)
    uid = msgspec.msgpack.decode(taken, type=Record).uid
    records = [
        taken,
        encoded(2, b"\xc1poison"),
        encoded(3, b"other", uid),
        record(4),
        encoded(5, msgspec.msgpack.decode(taken, type=Record).body.replace(b"R1", b"\xff1")),
    ]

    answer = await Ingest(pool, SystemClock()).take(
        stream_of(reply), batch_of(reply, records, 1, 5)
    )
    _, counted = await audits(pool)

    assert isinstance(answer, Ack)
    assert [(v.seq, v.code) for v in answer.verdicts] == [
        (2, "quarantined"),
        (3, "conflict"),
        (5, "quarantined"),
    ]
    assert (counted["receipts"], counted["quarantined"]) == (2, 3)


async def test_enrol_token_works_once(pool: Pool) -> None:
    """A spent token is refused; the credential of its first use stays good."""
    reply, enrolment, request = await enrolled(pool)

    with pytest.raises(UnauthorizedError):
        await enrolment.enrol(request)

    caller = await enrolment.edge_of(f"Bearer {reply.credential}")
    assert (caller.edge_id, caller.store_id) == (reply.edge_id, "S1")
    with pytest.raises(UnauthorizedError):
        await enrolment.edge_of(f"Bearer kpe_{reply.edge_id}_{'A' * 32}")

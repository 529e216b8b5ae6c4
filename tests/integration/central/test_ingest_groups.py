"""Batches of several streams in one transaction, on a real PostgreSQL: as if each had been alone.

``KOPILKA_SEED`` repeats a mix; the seed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Iterable

from central.accounts.audit import audit
from central.database.pool import Pool, row_of, rows_of, run
from central.receipts import store as receipts
from central.uplink.ingest import Ingest
from shared.errors import UnavailableError
from shared.system import SystemClock
from shared.wire.stream import Ack, Lane, Refusal, RefusalCode
from tests.support.edge_stream import POINTS, EdgeStream, enrol, open_town

EDGES = 8


async def streams_of(pool: Pool, count: int = EDGES) -> list[EdgeStream]:
    """So many agents of one town, each with its sales."""
    await open_town(pool)
    return [EdgeStream.of(await enrol(pool, seed=number), Lane.RECEIPTS) for number in range(count)]


async def take_all(
    ingest: Ingest, streams: Iterable[EdgeStream], first: int = 1
) -> list[Ack | Refusal]:
    """What everybody is told who sends the rest of the stream at the same moment."""
    return await asyncio.gather(
        *(ingest.take(stream.stream(), stream.batch(first)) for stream in streams)
    )


async def counted(pool: Pool) -> dict[str, int]:
    """The sums of ledger and receipts; all that must be zero is."""
    async with pool.connection() as connection:
        points, kept = await audit(connection), await receipts.audit(connection)
    assert points["ledger_sum_centi"] == points["drift"] == points["unbalanced_accounts"] == 0
    assert points["wrong_leases"] == kept["wrong_sums"] == kept["counted_twice"] == 0
    return points | kept


async def transactions(pool: Pool) -> int:
    """In how many transactions the receipts came."""
    async with pool.connection() as connection:
        row = await row_of(connection, "select count(distinct xmin::text) as n from receipt")
    assert row is not None
    return int(row["n"])


async def test_batches_at_one_moment_share_a_transaction(pool: Pool) -> None:
    """The first one begins at once; all that came meanwhile is the next group."""
    streams = await streams_of(pool)
    for stream in streams:
        stream.sell(f"{stream.edge_id}", earned=5)

    answers = await take_all(Ingest(pool, SystemClock()), streams)

    assert [isinstance(answer, Ack) for answer in answers] == [True] * EDGES
    assert [answer.hash for answer in answers] == [stream.head().hash for stream in streams]
    assert await transactions(pool) == 2
    found = await counted(pool)
    assert (found["receipts"], found["issued_centi"]) == (EDGES, POINTS + 5 * EDGES)


async def test_one_fact_told_by_two_streams_of_a_group_counts_once(pool: Pool) -> None:
    """A uid is one fact, whoever tells it, also within a transaction."""
    streams = await streams_of(pool)
    for stream in streams:
        stream.sell("one for all", earned=5)
        stream.sell(f"{stream.edge_id}", earned=1)

    answers = await take_all(Ingest(pool, SystemClock()), streams)

    assert all(isinstance(answer, Ack) and not answer.verdicts for answer in answers)
    found = await counted(pool)
    assert (found["receipts"], found["issued_centi"]) == (EDGES + 1, POINTS + 5 + EDGES)


async def test_what_the_database_refuses_stops_only_its_own_record(pool: Pool) -> None:
    """The others of its group are taken; it is set aside; its edge goes alone from then on."""
    streams = await streams_of(pool)
    async with pool.connection() as connection:
        await run(connection, "alter table receipt add constraint odd check (receipt_id <> 'bad')")
    for number, stream in enumerate(streams):
        stream.sell(f"{stream.edge_id} a", earned=1)
        stream.sell("bad" if number == EDGES - 1 else f"{stream.edge_id} b", earned=1)
        stream.sell(f"{stream.edge_id} c", earned=1)
    ingest = Ingest(pool, SystemClock())

    answers = await take_all(ingest, streams)
    for stream in streams:
        stream.sell(f"{stream.edge_id} d", earned=1)
    before = await transactions(pool)
    later = await take_all(ingest, streams, first=4)

    assert [isinstance(answer, Ack) for answer in answers + later] == [True] * 2 * EDGES
    verdicts = [answer.verdicts for answer in answers if isinstance(answer, Ack)]
    assert [len(each) for each in verdicts] == [0] * (EDGES - 1) + [1]
    assert verdicts[-1][0].seq == 2
    found = await counted(pool)
    assert found["receipts"] == 4 * EDGES - 1
    assert found["issued_centi"] == POINTS + 4 * EDGES - 1
    assert found["quarantined"] == 1
    async with pool.connection() as connection:
        rows = await rows_of(
            connection,
            "select edge_id, xmin::text as xid from receipt where receipt_id like '% d'",
        )
    by_edge = {row["edge_id"]: row["xid"] for row in rows}
    own = by_edge.pop(streams[-1].edge_id)
    assert own not in by_edge.values()
    assert before > 1


async def test_a_fork_or_a_gap_in_a_group_is_refused_alone(pool: Pool) -> None:
    """Who is not plain is looked into by itself; the others are acknowledged."""
    streams = await streams_of(pool)
    ingest = Ingest(pool, SystemClock())
    for stream in streams:
        stream.sell(f"{stream.edge_id} a")
    await take_all(ingest, streams)
    forked, gapped, repeating, *others = streams
    forked.records[0] = forked.copy().records[0][:-1] + b"\x00"
    for stream in streams:
        stream.sell(f"{stream.edge_id} b")
        stream.sell(f"{stream.edge_id} c")

    told = await asyncio.gather(
        ingest.take(forked.stream(), forked.batch(2)),
        ingest.take(gapped.stream(), gapped.batch(3)),
        ingest.take(repeating.stream(), repeating.batch(1)),
        *(ingest.take(stream.stream(), stream.batch(2)) for stream in others),
    )

    fork, gap, *fine = told
    assert isinstance(fork, Refusal)
    assert isinstance(gap, Refusal)
    assert (fork.code, gap.code) == (RefusalCode.FORK, RefusalCode.GAP)
    assert all(isinstance(answer, Ack) for answer in fine)
    assert (await counted(pool))["receipts"] == EDGES + 2 * (EDGES - 2)


async def test_a_sender_that_gives_up_takes_nobody_along(pool: Pool) -> None:
    """A request that is cancelled while its group runs leaves the others their answers."""
    streams = await streams_of(pool)
    for stream in streams:
        stream.sell(f"{stream.edge_id}", earned=1)
    ingest = Ingest(pool, SystemClock())

    tasks = [
        asyncio.create_task(ingest.take(stream.stream(), stream.batch())) for stream in streams
    ]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[-1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    again = await take_all(ingest, [streams[0], streams[-1]])

    assert [isinstance(answer, Ack) for answer in answers[1:-1]] == [True] * (EDGES - 2)
    assert all(isinstance(answer, Ack) for answer in again)
    found = await counted(pool)
    assert (found["receipts"], found["issued_centi"]) == (EDGES, POINTS + EDGES)


async def test_any_mix_of_senders_counts_every_fact_once(pool: Pool) -> None:
    """Two ingests as of two processes; facts are shared, repeated and cut into any batches."""
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    streams = await streams_of(pool)
    names = [f"r{number}" for number in range(40)]
    told: set[str] = set()
    for stream in streams:
        for name in chance.sample(names, 12):
            told.add(name)
            stream.sell(name, earned=3)
    ingests = [Ingest(pool, SystemClock()), Ingest(pool, SystemClock())]

    async def send(stream: EdgeStream) -> None:
        first = 1
        while first <= len(stream.records):
            last = min(first + chance.randrange(6), len(stream.records))
            again = chance.random() < 0.3
            try:
                answer = await chance.choice(ingests).take(
                    stream.stream(), stream.batch(max(1, first - 2 * again), last)
                )
            except UnavailableError:
                continue
            assert isinstance(answer, Ack)
            assert answer.seq == last
            first = last + 1

    await asyncio.gather(*map(send, streams))

    found = await counted(pool)
    assert (found["receipts"], found["issued_centi"]) == (len(told), POINTS + 3 * len(told))
    assert found["quarantined"] == 0


async def test_one_stream_twice_at_a_moment_goes_one_after_another(pool: Pool) -> None:
    """A batch that is sent again while it is worked on is told the same."""
    (stream,) = await streams_of(pool, 1)
    stream.sell("r1", earned=1)

    answers = await take_all(Ingest(pool, SystemClock()), [stream] * 4)

    assert {answer.hash for answer in answers} == {stream.head().hash}
    assert (await counted(pool))["receipts"] == 1

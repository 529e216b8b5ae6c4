"""Forks, frozen lanes, restored databases, new epochs, revocation: over HTTP with real files.

What central orders comes from its own policy.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from edge_agent.database.connection import open_reader, open_writer
from edge_agent.loyalty.store import customer_by_id, put_customer
from edge_agent.outbox.held import held_counts, recovery_of
from edge_agent.outbox.store import (
    epoch_of,
    heads_of,
    name_owner,
    prune_acked,
    start_stream,
    streams_of,
    verify_chain,
)
from shared.status import Health
from shared.wire.enrol import HelloOrder
from shared.wire.feed import CustomerEntry
from shared.wire.stream import Lane, RefusalCode
from tests.support.central_double import EDGE_ID, CentralDouble, running_central, starts_of
from tests.support.edge_uplink import LANE, Agent, queue_depth, running_agent, until

AUDIT = int(Lane.AUDIT)
MONEY = int(Lane.MONEY)


async def synced(central: CentralDouble, agent: Agent, count: int, lane: int = LANE) -> None:
    await until(lambda: len(central.records[lane]) == count)
    async with asyncio.timeout(20):
        while await queue_depth(agent):  # noqa: ASYNC110 - another loop empties it
            await asyncio.sleep(0.01)


def put_back(folder: Path, *patterns: str) -> None:
    """Put files of the backup in the place of what is there now."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()
        for path in (folder / "backup").glob(pattern):
            shutil.copy(path, folder)


async def test_frozen_lane_gets_a_new_epoch_after_proof(tmp_path: Path) -> None:
    """Fault 57, the one with the longer chain: everything arrives, each uid once."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(3)
        await synced(central, agent, 3)
        central.refuse_next = RefusalCode.FORK
        await agent.record(2)
        await agent.record(2, lane=AUDIT)
        await synced(central, agent, 5)
        await synced(central, agent, 2, AUDIT)

        assert central.epoch == 2
        assert central.adopted >= 1
        assert await agent.reader.run(epoch_of) == 2
        assert await agent.reader.run(recovery_of) is None
        assert agent.opened.guard.may_spend
        await agent.record(2)
        await synced(central, agent, 7)
        await until(lambda: agent.health("streams")[0] is Health.OK)


async def test_lane_refused_by_mistake_goes_on_when_hello_says_so(tmp_path: Path) -> None:
    """A stop is not for ever: central is asked what it thinks of the streams."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(1, lane=AUDIT)
        await synced(central, agent, 1, AUDIT)
        central.refuse_next = RefusalCode.FROZEN
        await agent.record(2)
        await agent.record(2, lane=AUDIT)
        await synced(central, agent, 3, AUDIT)
        await synced(central, agent, 2)
        assert await agent.reader.run(recovery_of) is None


async def test_restored_database_recovers_with_its_witness(tmp_path: Path) -> None:
    """Fault 12: selling goes on, nothing is spent; a new epoch comes, and every sale arrives."""
    async with running_central() as central:
        async with running_agent(tmp_path, central) as agent:
            await agent.record(2)
            await synced(central, agent, 2)
        shutil.copytree(tmp_path, tmp_path / "backup", ignore=shutil.ignore_patterns("witness"))
        async with running_agent(tmp_path, central) as agent:
            await agent.record(3)
            await synced(central, agent, 5)
        put_back(tmp_path, "edge.sqlite*")
        central.down = True
        async with running_agent(tmp_path, central) as agent:
            assert agent.opened.start.reason == "database_behind_witness"
            assert not agent.opened.guard.may_spend
            await agent.record(4)
            await agent.record(1, lane=MONEY)
            assert len(await agent.reader.run(held_counts)) == 2
            central.down = False
            await synced(central, agent, 9)
            await synced(central, agent, 1, MONEY)
            assert await agent.reader.run(epoch_of) == 2
            assert agent.opened.guard.may_spend
            hello = next(hello for hello in central.hellos if hello.recovering)
            assert len(hello.recovery_id) == 16
            assert {int(head.lane): head.seq for head in hello.witness}[LANE] == 5


async def test_old_copy_without_a_witness_is_found_out_by_central(tmp_path: Path) -> None:
    """Fault 14: its heads are behind central's; nothing is numbered, a person has to decide."""
    async with running_central() as central:
        async with running_agent(tmp_path, central) as agent:
            await agent.record(2)
            await synced(central, agent, 2)
        shutil.copytree(tmp_path, tmp_path / "backup")
        async with running_agent(tmp_path, central) as agent:
            await agent.record(3)
            await synced(central, agent, 5)
        put_back(tmp_path, "edge.sqlite*", "witness")
        async with running_agent(tmp_path, central) as agent:
            await until(lambda: HelloOrder.REENROL in central.orders)
            await until(lambda: agent.health("hello")[0] is Health.ERROR)
            assert not agent.opened.guard.may_spend
            await agent.record(4)
            assert (await agent.reader.run(held_counts))[LANE][0] == 4
            assert "enrolled again" in agent.health("hello")[1]


async def test_clone_that_comes_second_is_fenced_off(tmp_path: Path) -> None:
    """Fault 57: two copies trade; neither takes epochs from the other in turn."""
    async with running_central() as central:
        (tmp_path / "a").mkdir()
        async with running_agent(tmp_path / "a", central) as agent:
            await agent.record(2)
            await synced(central, agent, 2)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        async with (
            running_agent(tmp_path / "a", central) as first,
            running_agent(tmp_path / "b", central) as second,
        ):
            await first.record(2)
            await synced(central, first, 4)
            await second.record(3)
            await until(lambda: HelloOrder.REENROL in central.orders)
            await asyncio.sleep(0.5)

            assert central.epoch <= 2
            assert not second.opened.guard.may_spend


async def test_forged_acknowledgement_moves_nothing(tmp_path: Path) -> None:
    """Fault 32: an answer with another hash is no answer; the records are sent again."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        central.forge_acks = 2
        await agent.record(3)
        await synced(central, agent, 3)

        assert central.forge_acks < 2
        assert await agent.reader.run(recovery_of) is None


async def test_restored_central_is_filled_from_confirmed_records(tmp_path: Path) -> None:
    """Fault 46: what was confirmed is sent again, from all lanes."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(5)
        await agent.record(2, lane=MONEY)
        await synced(central, agent, 5)
        await synced(central, agent, 2, MONEY)
        before = {lane: list(records) for lane, records in central.records.items()}
        central.forget()
        await synced(central, agent, 5)
        await synced(central, agent, 2, MONEY)

        assert central.records == before


async def test_central_restored_to_before_what_is_kept_begins_a_new_epoch(tmp_path: Path) -> None:
    """Nobody has the beginning any more; what is kept arrives all the same."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(6)
        await synced(central, agent, 6)
        await agent.run(lambda connection: prune_acked(connection, 10, 4))
        central.forget()
        await until(lambda: central.epoch == 2)
        await synced(central, agent, 2)
        await agent.record(1)
        await synced(central, agent, 3)

        assert await agent.reader.run(lambda c: verify_chain(c, LANE)) == 3


async def test_revoked_agent_forgets_people_and_keeps_records(tmp_path: Path) -> None:
    """What a thief could use goes; what was sold stays."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(2)
        await agent.run(lambda c: put_customer(c, CustomerEntry(customer_id="c1", card_tags=[])))
        central.revoked = True
        await until(lambda: agent.health("hello")[0] is Health.ERROR)

        assert "revoked" in agent.health("hello")[1]
        assert await agent.reader.run(lambda c: customer_by_id(c, "c1")) is None
        assert await agent.reader.run(lambda c: verify_chain(c, LANE)) == 2


async def test_telemetry_is_numbered_when_it_is_sent(tmp_path: Path) -> None:
    """Until then it waits in a ring, so that dropping it breaks no chain."""
    lane = int(Lane.TELEMETRY)
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        central.down = True
        await agent.record(5, lane=lane)
        assert [head.seq for head in await agent.reader.run(heads_of)] == [0, 0, 0, 0]
        central.down = False
        await synced(central, agent, 5, lane)
        assert (await agent.reader.run(heads_of))[lane].seq == 5


async def test_receipts_wait_for_company_and_money_takes_them_along(tmp_path: Path) -> None:
    """One receipt is not worth a request; twenty are, and money is at once."""
    async with (
        running_central() as central,
        running_agent(tmp_path, central, flush_interval_s=60) as agent,
    ):
        await until(lambda: bool(central.hellos))
        await agent.record(1)
        await asyncio.sleep(0.3)
        assert central.batches == 0
        await agent.record(1, lane=MONEY)
        await synced(central, agent, 1)
        await agent.record(19)
        await asyncio.sleep(0.3)
        assert len(central.records[LANE]) == 1
        await agent.record(1)
        await synced(central, agent, 21)


async def test_busy_central_is_left_alone_as_long_as_it_asks(tmp_path: Path) -> None:
    """503 with Retry-After: nobody asks again before."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(1)
        await synced(central, agent, 1)
        central.busy_s = 1
        await agent.record(1)
        await until(lambda: agent.link.last_error is not None)
        assert agent.link.online, "an answer is contact"
        await until(lambda: agent.health("flush")[0] is Health.ERROR)
        central.busy_s = None
        batches = central.batches
        await asyncio.sleep(0.5)
        assert central.batches == batches
        await synced(central, agent, 2)


async def test_trusted_time_follows_central(tmp_path: Path) -> None:
    """What central says moves it ahead, and it is there after a restart."""
    async with running_central() as central:
        async with running_agent(tmp_path, central) as agent:
            central.time_ms = agent.opened.clock.trusted_now_ms() + 10**9
            await agent.record(1)
            await synced(central, agent, 1)
            await agent.record(1)
            assert agent.opened.clock.trusted_now_ms() >= central.time_ms
        central.time_ms = 1
        async with running_agent(tmp_path, central) as agent:
            assert agent.opened.clock.trusted_now_ms() >= 10**9


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_streams_of_another_edge_are_sent_as_adopted(tmp_path: Path, *, known: bool) -> None:
    """After enrolling again in the same folder; what central cannot adopt is carried on."""
    async with running_central() as central:
        async with running_agent(tmp_path, central) as agent:
            central.down = True
            await agent.record(3)
        central.down = False
        central._begin(2)
        if not known:
            central.streams = {place: s for place, s in central.streams.items() if place[1] == 2}
        connection = open_writer(tmp_path / "edge.sqlite")
        with connection:
            name_owner(connection, 6)
            for start in starts_of(2):
                start_stream(connection, EDGE_ID, start)
        connection.close()
        (tmp_path / "witness").unlink()
        async with running_agent(tmp_path, central, enrols=False) as agent:
            await agent.record(2)
            await synced(central, agent, 5)

        assert central.adopted >= 1
        reader = open_reader(tmp_path / "edge.sqlite")
        assert sorted({head.edge_id or 0 for head in streams_of(reader)}) == [0, 6]
        reader.close()


async def test_stream_that_makes_no_sense_to_central_keeps_no_other_back(tmp_path: Path) -> None:
    """A batch answered 400 stops its lane until the next hello; money goes on at once."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        central.senseless_lane = LANE
        await agent.record(2)
        await until(lambda: central.senseless >= 1)
        for _ in range(3):
            await agent.record(1, lane=MONEY)
        await synced_lane(central, MONEY, 3)
        central.senseless_lane = None
        agent.uplink.note_hello()
        await synced(central, agent, 2)


async def synced_lane(central: CentralDouble, lane: int, count: int) -> None:
    await until(lambda: len(central.records[lane]) == count)

"""The agent's loops against a central of the tests: over real HTTP, with real files."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from edge_agent.catalogue.store import products_of
from edge_agent.database.connection import open_writer
from edge_agent.uplink.transport import Transport
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.program import Group, Program, Resolve
from shared.errors import UnauthorizedError, UnavailableError
from shared.wire.feed import BundleEntry, ProductEntry, Topic
from tests.support.central_double import running_central
from tests.support.edge_uplink import LANE, SIGNER, queue_depth, running_agent, until

STRANGER = Signer(bytes(range(1, 33)))


def make_bundle(version: int, signer: Signer = SIGNER) -> bytes:
    program = Program(
        programme="shops",
        version=version,
        currency="RUB",
        timezone="Europe/Moscow",
        groups=[Group(id="main", resolve=Resolve.ALL, promotions=[])],
        accounts=[],
    )
    return write_bundle(program, signer, created_at_ms=1)


async def test_records_come_once_and_whole_whatever_the_line_does(tmp_path: Path) -> None:
    """Lost answers and an outage cost no record, and none is counted twice."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        central.batch_records_max = 3
        central.lose_answers = 2
        await agent.record(10)
        await until(lambda: len(central.records[LANE]) == 10)
        central.down = True
        await agent.record(10)
        await until(lambda: not agent.link.online)
        assert await queue_depth(agent) >= 10
        central.hellos.clear()
        central.down = False
        await until(lambda: len(central.records[LANE]) == 20)
        await until(lambda: bool(central.hellos) and central.hellos[-1].queue_depth == 0)

        assert len(set(central.records[LANE])) == 20
        assert await queue_depth(agent) == 0
        await until(lambda: agent.link.online)
        assert agent.link.last_contact_at_ms is not None


async def test_restored_central_gets_every_record_again(tmp_path: Path) -> None:
    """When hello shows less than was confirmed, the rest is sent once more."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(5)
        await until(lambda: len(central.records[LANE]) == 5)
        before = list(central.records[LANE])
        central.forget()

        await until(lambda: len(central.records[LANE]) == 5)
        assert central.records[LANE] == before


async def test_gap_is_filled_from_where_central_stands(tmp_path: Path) -> None:
    """A central that lost its records between two batches asks, and gets, from the start."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        await agent.record(4)
        await until(lambda: len(central.records[LANE]) == 4)
        central.forget()
        await agent.record(1)

        await until(lambda: len(central.records[LANE]) == 5)


async def test_feed_reaches_the_shop_and_resumes_after_a_restart(tmp_path: Path) -> None:
    """Changes are applied page by page; a restarted agent asks from where it was."""
    looking = open_writer(tmp_path / "edge.sqlite")

    async def known(count: int) -> None:
        skus = [str(number) for number in range(count)]
        await until(lambda: len(products_of(looking, skus)) == count)

    async with running_central() as central:
        for number in range(5):
            central.tell(Topic.PRODUCT, str(number), ProductEntry(sku=str(number), name="x"))
        async with running_agent(tmp_path, central):
            await known(5)
            central.tell(Topic.PRODUCT, "5", ProductEntry(sku="5", name="x"))
            await known(6)
        central.changes[:5] = [central.changes[5]] * 5
        async with running_agent(tmp_path, central):
            central.tell(Topic.PRODUCT, "6", ProductEntry(sku="6", name="x"))
            await known(7)
    looking.close()


def entry_of(version: int, data: bytes) -> BundleEntry:
    return BundleEntry(
        version=version,
        sha256=hashlib.sha256(data).digest(),
        size_bytes=len(data),
        published_at_ms=1,
    )


async def test_published_bundle_comes_into_force(tmp_path: Path) -> None:
    """The feed names it, the agent fetches and checks it, hello tells its version."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        for version in (1, 2):
            data = central.bundles[version] = make_bundle(version)
            central.tell(Topic.BUNDLE, "rules", entry_of(version, data))
            await until(
                lambda version=version: (
                    bool(central.hellos) and central.hellos[-1].bundle_version == version
                )
            )

        assert agent.bundles.previous is not None
        assert central.bundle_fetches == 2


async def test_refused_bundle_is_fetched_once_and_told(tmp_path: Path) -> None:
    """A stranger's bundle never prices; hello says why; the same bytes are not fetched again."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        data = central.bundles[1] = make_bundle(1, STRANGER)
        central.tell(Topic.BUNDLE, "rules", entry_of(1, data))
        await until(lambda: bool(central.hellos) and central.hellos[-1].bundle_error is not None)
        await asyncio.sleep(0.2)
        assert central.bundle_fetches == 1
        assert agent.bundles.active is None

        good = central.bundles[2] = make_bundle(2)
        central.tell(Topic.BUNDLE, "rules", entry_of(2, good))
        await until(lambda: central.hellos[-1].bundle_version == 2)
        assert central.hellos[-1].bundle_error is None


async def test_bundle_damaged_on_the_way_is_fetched_again(tmp_path: Path) -> None:
    """Bytes that are not the ones named are worth another try."""
    async with running_central() as central, running_agent(tmp_path, central) as agent:
        data = make_bundle(1)
        central.bundles[1] = data[:-1] + bytes([data[-1] ^ 1])
        central.tell(Topic.BUNDLE, "rules", entry_of(1, data))
        await until(lambda: central.bundle_fetches >= 2)
        assert agent.bundles.active is None
        central.bundles[1] = data
        await until(lambda: agent.bundles.active is not None)


async def test_wrong_credential_and_no_central_are_told_apart(tmp_path: Path) -> None:
    """A refusal keeps central's code; silence is unavailability."""
    async with running_central() as central:
        transport = Transport(central.url, credential="kpe_7_WRONG")
        await transport.open()
        with pytest.raises(UnauthorizedError, match="wrong secret"):
            await transport.feed("", 0)
        central.down = True
        with pytest.raises(UnavailableError):
            await transport.feed("", 0)
        await transport.close()

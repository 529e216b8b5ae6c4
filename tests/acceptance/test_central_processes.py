"""Central as several processes: one is killed under load, and nothing that was answered is lost.

``KOPILKA_SEED`` repeats which process is killed when; the seed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import pytest

from edge_agent.uplink.transport import Transport
from shared.errors import UnavailableError
from shared.wire.enrol import EnrolReply
from shared.wire.stream import Ack, Lane
from tests.support.agent import enrol
from tests.support.edge_stream import EdgeStream
from tests.support.head_office import HeadOffice

PROCESSES: Final = 3
AGENTS: Final = 6
BATCH: Final = 4
KILLS: Final = 2
PATIENCE_S: Final = 90

pytestmark = pytest.mark.processes


def parts(office: HeadOffice) -> dict[str, list[int]]:
    """The children that live, by their part."""
    found: dict[str, list[int]] = {"uplink": [], "office": []}
    for number in Path(f"/proc/{office.pid}/task/{office.pid}/children").read_text().split():
        with suppress(OSError):  # it has just ended
            words = Path(f"/proc/{number}/cmdline").read_bytes().decode().split("\0")
            if "--part" in words and not ended(int(number)):
                found[words[words.index("--part") + 1]].append(int(number))
    return found


def ended(pid: int) -> bool:
    """Whether a process is no more, or only its number is kept for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def listening(office: HeadOffice) -> int:
    """How many processes listen at the agents' port."""
    port = f":{int(office.uplink.rpartition(':')[2]):04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "0A" for row in rows)


async def until_ended(*pids: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not all(map(ended, pids)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[HeadOffice]:
    """A head office of several processes with one store."""
    made = HeadOffice(tmp_path / "central")
    try:
        for words in (
            ("init", "--embedded", "--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0",
             "--insecure-uplink"),
            ("store-add", "S1", "First"),
        ):  # fmt: skip
            done = made.command(*words)
            assert done.code == 0, done.err
        made.start("--processes", str(PROCESSES))
        yield made
    finally:
        made.forget()


async def send_on(office: HeadOffice, reply: EnrolReply, enough: asyncio.Event) -> int:
    """One agent sells and sends, each batch until it is acknowledged; how many sales."""
    stream = EdgeStream.of(reply, Lane.RECEIPTS)
    transport = Transport(office.uplink, credential=reply.credential)
    await transport.open()
    while not enough.is_set():
        first = len(stream.records) + 1
        for number in range(first, first + BATCH):
            stream.sell(f"{reply.edge_id}-{number}", customer=None)
        batch = stream.batch(first)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    answer = await transport.put_batch(reply.edge_id, Lane.RECEIPTS, 1, batch)
                    break
                except UnavailableError:
                    await asyncio.sleep(0.02)
        assert isinstance(answer, Ack), answer
        assert (answer.seq, answer.hash, answer.verdicts) == (batch.last_seq, batch.last_hash, [])
    await transport.close()
    return len(stream.records)


async def kill_some(office: HeadOffice, chance: random.Random, enough: asyncio.Event) -> None:
    """Kill one process of the agents' port after another, and the office once."""
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        victim = chance.choice(parts(office)["uplink"])
        os.kill(victim, signal.SIGKILL)
        await until_ended(victim)
        # The others serve: nobody has to wait until there is one more again.
        async with (
            aiohttp.ClientSession(office.uplink) as http,
            http.get("/v1/time") as answer,
        ):
            assert answer.status == 200
        async with asyncio.timeout(PATIENCE_S):
            while listening(office) < PROCESSES:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
    (clerk,) = parts(office)["office"]
    os.kill(clerk, signal.SIGKILL)
    await until_ended(clerk)
    enough.set()


async def test_killed_processes_lose_nothing_and_come_back(office: HeadOffice) -> None:
    """Agents send while processes die; every acknowledged sale is there once, others go on."""
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    tokens = [office.command("enrol-token", "--store", "S1").out.strip() for _ in range(AGENTS)]
    async with aiohttp.ClientSession(office.uplink) as http:
        agents = [
            (await enrol(http, token, seed=number)).reply
            for number, token in enumerate(tokens, start=1)
        ]
    enough = asyncio.Event()
    *sold, _ = await asyncio.gather(
        *(send_on(office, agent, enough) for agent in agents),
        kill_some(office, random.Random(seed), enough),
    )
    print("sold:", sold)
    async with aiohttp.ClientSession(office.web) as http, asyncio.timeout(PATIENCE_S):
        while True:  # the pages come back at their address
            with suppress(aiohttp.ClientConnectionError):
                async with http.get("/login") as answer:
                    assert answer.status == 200
                    break
            await asyncio.sleep(0.05)
    books = msgspec.json.decode(office.command("verify", "--json").out)
    assert books.pop("different_answers") == books["receipts"]  # they are of no programme
    assert (books["receipts"], books["quarantined"]) == (sum(sold), 0)
    assert [key for key in ("wrong_sums", "counted_twice", "drift") if books[key]] == []
    running = [pid for pids in parts(office).values() for pid in pids]
    assert len(running) == PROCESSES + 1
    assert office.stop() == 0
    assert all(map(ended, running))


async def test_children_of_a_killed_parent_end(office: HeadOffice) -> None:
    """Nobody serves on behind the back of whoever starts central again."""
    running = [pid for pids in parts(office).values() for pid in pids]
    assert len(running) == PROCESSES + 1
    os.kill(office.pid, signal.SIGKILL)
    await until_ended(*running)
    office.stop()
    office.start("--processes", "2")
    assert sorted(map(len, parts(office).values())) == [1, 2]


async def test_a_port_of_somebody_else_ends_the_start_at_once(
    office: HeadOffice, tmp_path: Path
) -> None:
    """A second head office does not creep in beside the first at the same address."""
    second = HeadOffice(tmp_path / "second")
    port = office.uplink.rpartition(":")[2]
    try:
        done = second.command(
            "init", "--embedded", "--web", "127.0.0.1:0", "--uplink", f"127.0.0.1:{port}"
        )
        assert done.code == 0, done.err
        done = second.command("run", "--processes", "2")
        assert done.code == 1
        assert "os_error" in done.err
    finally:
        second.forget()

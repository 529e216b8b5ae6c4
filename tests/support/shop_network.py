"""A hub and its tills in one process, on real SQLite, over a line that fails as it is told."""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from edge_agent.checkout.desk import ShopDesk
from edge_agent.database.connection import open_writer
from edge_agent.lan.hub import HubDesk, HubGate
from edge_agent.lan.link import HubLink, NotReachedError, SealedLink
from edge_agent.lan.peers import put_peers
from edge_agent.lan.till import TillDesk
from edge_agent.leases.payment import Paid, pay, take_back
from edge_agent.leases.policy import Reason, Wanted
from edge_agent.loyalty.store import put_lease
from edge_agent.outbox.store import start_stream, streams_of
from shared.crypto.signing import Signer
from shared.errors import UnavailableError
from shared.wire.enrol import EdgeKind, LaneStart
from shared.wire.facts import (
    FactKind,
    LeaseClosed,
    LeaseSpent,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.feed import LeaseEntry, LeaseState
from shared.wire.lan import PeerEntry
from shared.wire.stream import Lane, Record

HUB = 7
ASSET = "points:main"
OWNER = "c1"
_T = TypeVar("_T")
BODIES: dict[str, Any] = {
    FactKind.LEASE_SPENT: LeaseSpent,
    FactKind.SPEND_VOIDED: SpendVoided,
    FactKind.LEASE_CLOSED: LeaseClosed,
    FactKind.SUB_LEASE_GRANTED: SubLeaseGranted,
    FactKind.SUB_LEASE_CLOSED: SubLeaseClosed,
}


class Fault(enum.Enum):
    """What the line does with one question."""

    NONE = "none"
    DOWN = "down"
    LOSE_QUESTION = "lose question"
    LOSE_ANSWER = "lose answer"
    TWICE = "twice"
    LATE = "late"
    """No answer; the question itself arrives after two others."""


class SeededChance:
    """``shared.ids.Chance`` from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


class Memory:
    """The writer's twin: jobs one by one, each a transaction."""

    def __init__(self, path: Path | None = None) -> None:
        self.connection = open_writer(path or Path(":memory:"))

    async def run(self, job: Callable[[apsw.Connection], _T]) -> _T:
        with self.connection:
            return job(self.connection)


@dataclass(kw_only=True)
class Time:
    """Trusted time and the boot clock of everybody, moved by hand."""

    now_ms: int = 1_000

    def trusted_now_ms(self) -> int:
        return self.now_ms

    def mono_ns(self) -> int:
        return self.now_ms * 1_000_000


class FailingLine:
    """Bytes to the hub's gate; ``faults`` are used up one a question, then ``always`` holds."""

    def __init__(self, handle: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._handle = handle
        self.faults: list[Fault] = []
        self.always = Fault.NONE
        self._late: list[tuple[int, bytes]] = []

    async def __call__(self, data: bytes) -> bytes:
        fault = self.faults.pop(0) if self.faults else self.always
        if fault is Fault.LATE:
            self._late.append((2, data))
            raise UnavailableError("no answer")
        waiting, self._late = self._late, []
        for turns, each in waiting:
            if turns:
                self._late.append((turns - 1, each))
            else:
                await self._handle(each)
        if fault is Fault.DOWN:
            raise NotReachedError("the cable is out")
        if fault is Fault.LOSE_QUESTION:
            raise UnavailableError("no answer")
        answer = await self._handle(data)
        if fault is Fault.TWICE:
            answer = await self._handle(data)
        if fault is Fault.LOSE_ANSWER:
            raise UnavailableError("no answer")
        return answer


class Node:
    """One agent's database and its own desk."""

    def __init__(self, edge_id: int, time: Time, *, epoch: int = 1) -> None:
        self.edge_id = edge_id
        self.time = time
        self.signer = Signer(bytes([edge_id]) * 32)
        self.chance = SeededChance(edge_id)
        self.memory = Memory()
        for lane in (Lane.MONEY, Lane.RECEIPTS):
            start = LaneStart(lane=lane, epoch=epoch, nonce=bytes([edge_id]) * 16)
            start_stream(self.memory.connection, edge_id, start)
        self.own = ShopDesk(
            writer=self.memory,
            edge_id=edge_id,
            trusted_now_ms=time.trusted_now_ms,
            chance=self.chance,
        )
        self.receipts: dict[str, list[Paid]] = {}

    def facts(self) -> list[tuple[bytes, Any]]:
        """Everything on this agent's lane of money: uid and body, in order."""
        found = []
        for head in streams_of(self.memory.connection):
            if head.lane == Lane.MONEY:
                rows = self.memory.connection.execute(
                    "SELECT record FROM outbox WHERE stream_id = ? ORDER BY seq", (head.stream_id,)
                )
                for (data,) in rows:
                    record = msgspec.msgpack.decode(data, type=Record)
                    kind = BODIES[record.kind]
                    found.append((record.uid, msgspec.msgpack.decode(record.body, type=kind)))
        return found

    def know(self, peers: list[PeerEntry]) -> None:
        """Learn of the other agents, as the feed would tell."""
        rows = [(str(peer.edge_id), msgspec.msgpack.encode(peer)) for peer in peers]
        put_peers(self.memory.connection, rows)

    async def record(self, receipt_id: str, amount: int) -> list[Paid]:
        """The transaction of a sale, without its goods."""
        wanted = [Wanted(owner=OWNER, asset=ASSET, amount=amount)] if amount else []

        def job(connection: apsw.Connection) -> list[Paid]:
            standing = self.own.standing(connection)
            return pay(connection, receipt_id, wanted, standing, self.chance.token_bytes(16))

        paid = await self.memory.run(job)
        self.receipts[receipt_id] = paid
        return paid

    async def cancel(self, receipt_id: str) -> None:
        await self.memory.run(
            lambda connection: take_back(connection, receipt_id, self.own.standing(connection))
        )


class Hub(Node):
    """A hub whose gate tills reach."""

    def __init__(self, time: Time) -> None:
        super().__init__(HUB, time)
        self.roomy = True
        self.desk = HubDesk(
            own=self.own,
            writer=self.memory,
            trusted_now_ms=time.trusted_now_ms,
            is_roomy=lambda: self.roomy,
        )
        self.gate = HubGate(desk=self.desk, edge_id=HUB, signer=self.signer, writer=self.memory)

    def lease(self, lease_id: str, granted: int, version: int, **changes: Any) -> None:
        """What the feed says of a lease of this hub."""
        values: dict[str, Any] = {
            "owner": OWNER,
            "asset": ASSET,
            "spend_until_ms": 10**12,
            "state": LeaseState.OPEN,
            "edge_id": HUB,
        }
        entry = LeaseEntry(lease_id=lease_id, granted=granted, **(values | changes))
        put_lease(self.memory.connection, entry, version)


class Till(Node):
    """A till with a failing line to the hub."""

    def __init__(self, edge_id: int, hub: Hub, time: Time) -> None:
        super().__init__(edge_id, time)
        self.line = FailingLine(hub.gate.handle)
        self.begin()

    def begin(self) -> None:
        """Start the program (again): what was only in memory is forgotten."""
        link: HubLink = SealedLink(
            edge_id=self.edge_id, signer=self.signer, exchange=self.line, chance=self.chance
        )
        self.desk = TillDesk(
            own=self.own,
            writer=self.memory,
            link=link,
            edge_id=self.edge_id,
            trusted_now_ms=self.time.trusted_now_ms,
            mono_ns=self.time.mono_ns,
            chance=self.chance,
        )

    async def freeze(self, receipt_id: str, amount: int) -> Reason | None:
        wanted = [Wanted(owner=OWNER, asset=ASSET, amount=amount)]
        return await self.desk.promise(receipt_id, wanted)

    async def sell(self, receipt_id: str, amount: int) -> list[Paid]:
        if amount:
            wanted = [Wanted(owner=OWNER, asset=ASSET, amount=amount)]
            await self.desk.prepare(receipt_id, wanted)
        return await self.record(receipt_id, amount)


@dataclass(kw_only=True)
class Shop:
    """A hub and tills that know each other."""

    time: Time = field(default_factory=Time)
    tills_count: int = 2

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.hub = Hub(self.time)
        self.tills = [Till(HUB + 1 + n, self.hub, self.time) for n in range(self.tills_count)]
        peers = [
            PeerEntry(
                edge_id=node.edge_id,
                kind=EdgeKind.HUB if node is self.hub else EdgeKind.TILL,
                device_public_key=node.signer.public_key,
                state="active",
            )
            for node in (self.hub, *self.tills)
        ]
        for node in (self.hub, *self.tills):
            node.know(peers)

    def run(self, doing: Coroutine[Any, Any, _T]) -> _T:
        """Do it to its end."""
        return self.loop.run_until_complete(doing)

    def close(self) -> None:
        for node in (self.hub, *self.tills):
            node.memory.connection.close()
        self.loop.close()

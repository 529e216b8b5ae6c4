"""One agent: a machine with its disks and clocks, and the real program's rooms wired on it.

What is wired is what ``edge_agent.app`` wires, with twins for disks, network and clocks.
A crash cancels everything that runs; what was committed is there at the next start.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

import apsw
import msgspec

from edge_agent.checkout.desk import Desk, ShopDesk
from edge_agent.checkout.replay import REPLAYS
from edge_agent.database.disk import Disk
from edge_agent.lan.hub import HubDesk, HubGate
from edge_agent.lan.link import HubLink, NotReachedError, SealedLink
from edge_agent.lan.path import HubPath
from edge_agent.lan.till import TillDesk
from edge_agent.leases.till import lapse_parts
from edge_agent.outbox.held import held_counts
from edge_agent.outbox.store import begin_epoch, name_owner, start_stream, streams_of
from edge_agent.supervisor import Supervisor
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.loops import Identity, Uplink
from edge_agent.uplink.plan import backoff_bounds_s
from edge_agent.uplink.visits import Visits
from edge_agent.uplink.wipe import forget_people
from edge_agent.witness.guard import TIME_KEPT_EVERY_MS
from edge_agent.witness.look import look_at
from edge_agent.witness.policy import Action
from edge_agent.witness.start import Beside, Opened, begin, compare, own_statement
from edge_agent.witness.upkeep import Upkeep
from shared.crypto.signing import Signer
from shared.errors import AppError, UnavailableError
from shared.wire.enrol import EdgeKind, HelloReply, HelloRequest, LaneStart
from shared.wire.feed import FeedBuckets, FeedPage, FeedRepair, FeedReset, SnapshotManifest
from shared.wire.lan import PeerEntry
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.stream import Ack, Batch, Refusal
from tests.simulation import central as head_office
from tests.simulation.central import Central
from tests.simulation.disk import JournalFile, Media, Reads, SlotFile, Writes
from tests.simulation.network import SILENCE_S, Network
from tests.simulation.releases import between
from tests.simulation.scenario import Program, Scenario, Wrong
from tests.simulation.world import MachineClock, World

FEED_WAIT_S: Final = 6 * 3600.0
"""Far longer than in life: to wait costs nothing here, to ask anew does."""
HELLO_S: Final = 3_600.0
FLUSH_S: Final = (900.0, 3_600.0)
"""The second in a brisk run."""
UPKEEP_S: Final = (1_800.0, 2_700.0)
"""In life five seconds; what is due is noted at once here as there. The second in a brisk run."""
TIDY_EACH: Final = (1, 4)
"""So many of these rounds make one in which old records go; the second in a brisk run."""
BACKOFF_S: Final = (1.0, 300.0)
RECONNECT_WINDOW_S: Final = 300.0
LAN_SILENCE_S: Final = 1.0
_FOR_A_PERSON: Final = frozenset({"must_enrol", "revoked", "unauthorized"})
"""What an agent's lamp says when it has to be enrolled again."""
_T = TypeVar("_T")
_Message = TypeVar("_Message", bound=msgspec.Struct)


class HubPlace(Protocol):
    """Where tills find their hub."""

    @property
    def hub(self) -> Agent:
        """The machine at the hub's address now."""
        ...


class Line:
    """The uplink's transport: real bytes, over the simulated network."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def hello(self, request: HelloRequest) -> HelloReply:
        body = msgspec.json.encode(self._between(request))
        answer = await self._call(lambda central, edge: central.hello(edge, body))
        return self._between(msgspec.json.decode(answer, type=HelloReply))

    async def put_batch(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        if self._agent.path is not None:
            answer = await self._agent.path.put_batch(edge_id, lane, epoch, batch)
            if answer is not None:
                return answer
        body = msgspec.msgpack.encode(batch)
        return self._between(
            await self._call(lambda central, edge: central.put_batch(edge, lane, epoch, body))
        )

    async def put_adopted(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        body = msgspec.msgpack.encode(batch)
        return await self._call(
            lambda central, edge: central.put_adopted(edge, edge_id, lane, epoch, body)
        )

    async def put_relayed(
        self, edge_id: int, lane: int, epoch: int, _seqs: tuple[int, int], body: bytes
    ) -> tuple[bool, bytes]:
        answer = await self._call(
            lambda central, edge: central.put_relayed(edge, edge_id, lane, epoch, body)
        )
        return isinstance(answer, Ack), msgspec.msgpack.encode(answer)

    async def borrow(self, request: LoanRequest) -> LoanReply:
        return await self._call(lambda central, edge: central.borrow(edge, request))

    async def feed(self, cursor: str, wait_s: float) -> FeedPage | FeedReset:
        return self._between(
            await self._call(
                lambda central, edge: central.feed(edge, cursor, wait_s),
                silence_s=wait_s + SILENCE_S,
            )
        )

    async def feed_buckets(self, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        return await self._call(lambda central, edge: central.feed_buckets(edge, cursor, topic))

    async def feed_repair(
        self, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        wanted = list(buckets)
        return await self._call(
            lambda central, edge: central.feed_repair(edge, cursor, topic, wanted)
        )

    async def feed_snapshot(self) -> SnapshotManifest:
        return await self._call(lambda central, edge: central.feed_snapshot(edge))

    async def feed_chunk(self, sha256: bytes) -> bytes:
        return await self._call(lambda central, edge: central.feed_chunk(edge, sha256))

    async def bundle(self, version: int) -> bytes:
        raise UnavailableError("programmes are not simulated")

    def _between(self, message: _Message) -> _Message:
        return between(self._agent.scenario, Program(self._agent.kind.value), message)

    async def _call(
        self, handler: Callable[[Central, int], Awaitable[_T]], *, silence_s: float = SILENCE_S
    ) -> _T:
        agent = self._agent
        edge_id = agent.edge_id
        return await agent.network.call(
            agent.name,
            head_office.NAME,
            lambda: handler(agent.central, edge_id),
            silence_s=silence_s,
        )


class OpenLink:
    """The line to the hub without signatures, for long runs in which nobody lies."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def ask(self, hub: PeerEntry, call: str, body: bytes) -> bytes:
        agent, there = self._agent, self._agent.place.hub
        if not there.up:
            raise NotReachedError("nobody listens there")
        if there.edge_id != hub.edge_id:
            raise UnavailableError("what answered is not this store's hub", code="not_the_hub")
        return await agent.network.call(
            agent.name,
            there.name,
            lambda: there.hub_desk.answer(agent.edge_id, call, body),
            silence_s=LAN_SILENCE_S,
            lan=True,
        )


class NoBundles:
    """No programme is in force, and none is wanted."""

    active = None
    last_error = None


class Agent:
    """A machine and, while it is up, the program on it."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        network: Network,
        central: Central,
        *,
        name: str,
        store_id: str,
        kind: EdgeKind,
        place: HubPlace,
        journal: bool = False,
    ) -> None:
        self.world = world
        self.scenario = scenario
        self.network = network
        self.central = central
        self.name = name
        self.store_id = store_id
        self.kind = kind
        self.place = place
        self.journal = journal
        self.dice = world.dice(name)
        self.clock = MachineClock(world)
        self.signer = Signer(self.dice.token_bytes(32))
        self.media = Media()
        self.edge_id = 0
        self.up = False
        self.gone = False
        """It stands aside for ever."""
        self.destroyed = False
        """And nothing that was on it can be read any more."""
        self.must_enrol = False
        self.trusted_low_ms = 0
        self.path: HubPath | None = None

    # --- life

    def enrol(self, edge_id: int, starts: list[LaneStart]) -> None:
        """Become an agent of central's, on these disks."""
        self.edge_id = edge_id
        with self.media.database:
            for start in starts:
                start_stream(self.media.database, edge_id, start)

    def enrol_again(self, edge_id: int, starts: list[LaneStart], signer: Signer) -> None:
        """Become another agent, with all that is on these disks."""
        assert not self.up, "it is done while the program is stopped"
        with self.media.database:
            name_owner(self.media.database, self.edge_id)
            begin_epoch(self.media.database, edge_id, starts)
        self.edge_id, self.signer, self.must_enrol = edge_id, signer, False

    def boot(self, *, power_cut: bool = True) -> None:
        """Start the program; after a power cut the machine's uptime starts anew."""
        assert not self.up, "one program runs"
        if power_cut:
            self.clock.reboot()
            # As much may pass between two commits in which nothing is recorded.
            self.trusted_low_ms = max(self.trusted_low_ms - TIME_KEPT_EVERY_MS, 0)
        self.up = True
        opened = self._open(self.media.database)
        self.guard, self.trusted = opened.guard, opened.clock
        self.writes = Writes(self.world, self.name, self.dice, self.media.database, opened.guard)
        self.reads = Reads(self.writes)
        line = Line(self)
        rounds = self._wire_shop(line)
        self.link = LinkState(self.clock)
        self.visits = Visits(
            central=line,
            reader=self.reads,
            writer=self.writes,
            is_online=lambda: self.link.online,
            standing=self.desk.standing,
            clock=self.clock,
        )
        self.uplink = Uplink(
            Identity(
                edge_id=self.edge_id,
                agent_version="simulated",
                started_at_ms=self.clock.now_ms(),
                hello_interval_s=HELLO_S * self.scenario.calm,
                flush_interval_s=FLUSH_S[self.scenario.brisk] * self.scenario.calm,
                feed_wait_s=FEED_WAIT_S,
            ),
            central=line,
            writer=self.writes,
            reader=self.reads,
            bundles=NoBundles(),
            link=self.link,
            clock=self.clock,
            chance=self.dice,
            statuses=list,
            witness=self.guard.heads,
            hear_time=self.trusted.note_central,
            wipe=self._wipe,
        )
        self.supervisor = Supervisor(self.clock, self._backoff_s)
        for name, one_round in (
            ("hello", self.uplink.hello_round),
            ("flush", self.uplink.flush_round),
            ("feed", self.uplink.feed_round),
            *rounds,
        ):
            self.supervisor.add(name, self._watched(one_round))
        self.supervisor.start()
        self.world.note(self.name, "agent.started", edge=self.edge_id)

    async def crash(self) -> None:
        """End in the middle of whatever it does."""
        if not self.up:
            return
        self.up = False
        self.writes.closed = True
        self.world.note(self.name, "agent.crashed")
        await self.supervisor.stop()
        await self.visits.close()

    def note_sale(self) -> None:
        """A sale was recorded; what ``edge_agent.app`` does then."""
        self.uplink.note_flush()
        self._sold.set()

    def trusted_now_ms(self) -> int:
        """The clock by which rights end; checked to go forward only (I12)."""
        now_ms = self.trusted.trusted_now_ms()
        if self.scenario.wrong is Wrong.WALL_CLOCK:
            now_ms = self.clock.now_ms()
        if now_ms < self.trusted_low_ms:
            self.world.broken(f"I12: {self.name} went back to {now_ms}")
        self.trusted_low_ms = now_ms
        return now_ms

    def pending(self) -> int:
        """How many records of this machine central has not confirmed."""
        numbered = sum(head.seq - head.acked_seq for head in streams_of(self.media.database))
        waiting = sum(count for count, _ in held_counts(self.media.database).values())
        return numbered + waiting

    # --- wiring

    def _open(self, connection: apsw.Connection) -> Opened:
        """What ``edge_agent.witness.start.open_media`` does, on media of bytes."""
        slots = SlotFile(self.media.second)
        beside = Beside(
            witness=slots,
            journal=JournalFile(self.media.second, self.edge_id) if self.journal else None,
            statement=own_statement(slots, self.edge_id),
            edge_id=self.edge_id,
        )
        found = look_at(connection, beside.statement)
        start, facts = compare(found, beside)
        opened = begin(
            connection,
            start,
            facts,
            beside,
            REPLAYS,
            clock=self.clock,
            chance=self.dice,
            lapse=lapse_parts,
        )
        if opened.start.action is not Action.GO_ON:
            self.world.note(
                self.name,
                "start.decided",
                action=opened.start.action.value,
                reason=opened.start.reason,
                rebuilt=opened.rebuilt,
            )
        return opened

    def _wire_shop(self, line: Line) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What ``edge_agent.lan.service`` wires; the loops of it."""
        own = ShopDesk(
            writer=self.writes,
            edge_id=self.edge_id,
            trusted_now_ms=self.trusted_now_ms,
            chance=self.dice,
            may_spend=lambda: self.guard.may_spend,
            bring=self._bring,
        )
        relayed, self._sold = asyncio.Event(), asyncio.Event()
        hub = HubDesk(
            own=own,
            writer=self.writes,
            trusted_now_ms=self.trusted_now_ms,
            on_relayed=relayed.set,
            on_recorded=self._recorded,
        )
        self.desk: Desk = own
        self.hub_desk = hub
        self.path = None
        rounds = itertools.cycle(range(TIDY_EACH[self.scenario.brisk]))
        records = Upkeep(
            writer=self.writes,
            guard=self.guard,
            clock=self.trusted,
            disk=Disk(Path("a disk that never fills")),
        )

        async def upkeep() -> None:
            if next(rounds) == 0:
                await records.tidy()
            else:
                await self.writes.run(self.guard.put_time_down)
            closed = await hub.upkeep()
            if closed:
                self.world.note(self.name, "leases.closed", count=closed)
                self.uplink.note_flush()
            await asyncio.sleep(self._upkeep_s())

        if self.kind is EdgeKind.HUB:
            self.gate = HubGate(
                desk=hub, edge_id=self.edge_id, signer=self.signer, writer=self.writes
            )
            relayed.set()

            async def relay() -> None:
                await relayed.wait()
                relayed.clear()
                try:
                    more = await hub.forward(line)
                except UnavailableError:
                    relayed.set()
                    raise
                if more:
                    relayed.set()

            return [("leases", upkeep), ("relay", relay)]
        link: HubLink = SealedLink(
            edge_id=self.edge_id, signer=self.signer, exchange=self._ask_hub, chance=self.dice
        )
        if self.scenario.calm > 1:
            link = OpenLink(self)
        till = TillDesk(
            own=own,
            writer=self.writes,
            link=link,
            edge_id=self.edge_id,
            trusted_now_ms=self.trusted_now_ms,
            mono_ns=self.clock.mono_ns,
            chance=self.dice,
        )
        self.desk = till
        self.path = HubPath(desk=till, edge_id=self.edge_id, pause=asyncio.sleep)

        async def settle() -> None:
            self._sold.clear()
            if await till.settle():
                try:
                    async with asyncio.timeout(self._upkeep_s()):
                        await self._sold.wait()
                except TimeoutError:
                    return

        return [("leases", upkeep), ("hub", settle)]

    def _upkeep_s(self) -> float:
        mean_s = UPKEEP_S[self.scenario.brisk] * self.scenario.calm
        return self.dice.uniform(0.5, 1.5) * mean_s

    async def _bring(self, owner: str) -> Mapping[str, int]:
        return await self.visits.bring(owner)

    async def _wipe(self) -> None:
        """``edge_agent.app``'s; the device's key is taken with what is enrolled next."""
        await self.writes.run(forget_people)

    def _recorded(self) -> None:
        self.uplink.note_flush()

    async def _ask_hub(self, question: bytes) -> bytes:
        """``edge_agent.lan.http.HubHttp.exchange`` over the simulated network."""
        hub = self.place.hub
        if not hub.up:
            raise NotReachedError("nobody listens there")
        return await self.network.call(
            self.name,
            hub.name,
            lambda: hub.gate.handle(question),
            silence_s=LAN_SILENCE_S,
            lan=True,
        )

    def _watched(self, one_round: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The supervisor outlives every fault; here one that is no AppError ends the run."""

        async def watched() -> None:
            try:
                await one_round()
            except AppError as error:
                self.must_enrol |= error.stable_code in _FOR_A_PERSON
                raise
            except Exception as error:
                self.world.surprise(self.name, error)
                raise

        return watched

    def _backoff_s(self, failures: int) -> float:
        low_s, high_s = backoff_bounds_s(
            failures,
            min_s=BACKOFF_S[0],
            max_s=BACKOFF_S[1],
            outage_s=self.link.outage_s(),
            reconnect_window_s=RECONNECT_WINDOW_S,
        )
        return self.dice.uniform(low_s, high_s)

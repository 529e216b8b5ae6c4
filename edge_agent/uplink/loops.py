"""The talk with central, as rounds for the supervisor: hello, flush, feed, bundle.

Other loops only note that something is due; a round waits for its note, or for its interval by the
monotonic clock, and then works at its own pace. What a round cannot do now it raises, and the
supervisor comes back later. While the line is down, hello alone tries it: one handshake for all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from edge_agent.bundles.service import BundleService
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.carried import Told
from edge_agent.uplink.feed import FeedCalls, FeedReader
from edge_agent.uplink.feed_state import feed_cursor
from edge_agent.uplink.greeting import Account, Greeting, HelloCalls, lane_heads
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.plan import flush_bounds_s, flush_wait_ns
from edge_agent.uplink.streams import Queue, StreamCalls, Streams
from edge_agent.uplink.topics import wanted_bundle
from shared.clock import Clock
from shared.errors import AppError, ConflictError, TrustError, UnavailableError
from shared.ids import Chance
from shared.status import Status
from shared.wire.enrol import ComponentReport, HelloReply, HelloRequest, LaneHead
from shared.wire.feed import BundleEntry

_HELLO_INTERVAL_S_MIN: Final = 1
_LINK_WAIT_S_MAX: Final = 300.0
"""A round tries the line itself when hello could not for so long, whatever keeps hello away."""
_FIRST_EPOCH: Final = 1


class Central(FeedCalls, StreamCalls, HelloCalls, Protocol):
    """The calls these loops make; ``edge_agent.uplink.transport.Transport`` makes them."""

    async def bundle(self, version: int) -> bytes:
        """Fetch a bundle."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who speaks. ``feed_wait_s``: how long central may hold an answer back."""

    edge_id: int
    agent_version: str
    started_at_ms: int
    hello_interval_s: float
    flush_interval_s: float
    feed_wait_s: float


@dataclass(slots=True, kw_only=True)
class _Due:
    hello: asyncio.Event = field(default_factory=asyncio.Event)
    flush: asyncio.Event = field(default_factory=asyncio.Event)
    bundle: asyncio.Event = field(default_factory=asyncio.Event)

    def set_all(self) -> None:
        """At the start everything is due."""
        self.hello.set()
        self.flush.set()
        self.bundle.set()


def _nobody() -> list[LaneHead]:
    return []


def _unheard(_central_ms: int) -> None:
    """Nobody wants to know what time it is at central."""


async def _nothing() -> None:
    """Nothing is forgotten."""


class Uplink:
    """The four rounds. ``statuses`` gives what hello reports of components.

    ``witness``: the heads that the second medium remembers; ``hear_time``: gets central's time, ms;
    ``wipe``: forgets keys, customers and leases; ``on_contact``: central has answered a hello.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        central: Central,
        writer: Writer,
        reader: Reader,
        bundles: BundleService,
        link: LinkState,
        clock: Clock,
        chance: Chance,
        statuses: Callable[[], list[Status]],
        witness: Callable[[], list[LaneHead]] = _nobody,
        hear_time: Callable[[int], None] = _unheard,
        wipe: Callable[[], Awaitable[None]] = _nothing,
        on_contact: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._identity = identity
        self._central = central
        self._reader = reader
        self._writer = writer
        self._bundles = bundles
        self._link = link
        self._clock = clock
        self._chance = chance
        self._statuses = statuses
        self._on_contact = on_contact
        self._due = _Due()
        self._due.set_all()
        link.on_lost = self.note_hello
        self._feed = FeedReader(
            central=central,
            writer=writer,
            reader=reader,
            link=link,
            clock=clock,
            wait_s=identity.feed_wait_s,
            on_bundle=self._due.bundle.set,
        )
        self._feed_turn = asyncio.Lock()
        self.streams = Streams(
            identity.edge_id,
            central=central,
            writer=writer,
            reader=reader,
            link=link,
            clock=clock,
            doubt=self.note_hello,
            recover=self._recover,
            hear_time=hear_time,
        )
        self._greeting = Greeting(
            identity.edge_id,
            central=central,
            writer=writer,
            reader=reader,
            link=link,
            clock=clock,
            chance=chance,
            streams=self.streams,
            witness=witness,
            hear_time=hear_time,
            wipe=wipe,
            on_flush=self.note_flush,
            on_hello=self.note_hello,
        )
        self._refused_sha256: bytes | None = None
        self._depth_told = 0
        self._hello_interval_s = identity.hello_interval_s

    def note_flush(self) -> None:
        """There may be records to send; cheap, call it after a commit."""
        self._due.flush.set()

    def note_hello(self) -> None:
        """There is something to say to central, or to hear from it, now."""
        self._due.hello.set()

    async def queue(self) -> Queue:
        """What waits for central."""
        return await self.streams.queue()

    def stream_status(self) -> Status:
        """The streams as a component."""
        return self.streams.status()

    async def hello_round(self) -> None:
        """When due: say how this agent is, and do what central orders.

        Raises:
            ConflictError: ``must_enrol``, ``revoked``.
        """
        await _noted(self._due.hello, self._hello_interval_s)
        self._due.hello.clear()
        try:
            asked_s = await self._greeting.greet(self._hello)
        except AppError:
            self._due.hello.set()
            raise
        # Central knows how long it believes an agent alive, so it may ask for more greetings.
        self._hello_interval_s = min(
            self._identity.hello_interval_s, max(asked_s, _HELLO_INTERVAL_S_MIN)
        )
        await self._on_contact()

    async def report_round(self) -> None:
        """Say how an agent is that works with a copy, and wait; what central orders is not heard.

        It names no streams, as an agent of the first release, so central decides nothing about
        them: they are those of a database that will be there again.
        """
        account = Account(heads=[], proofs=[], recovery=None)
        report = msgspec.structs.replace(await self._hello(account, []), epoch=0)
        async with self._link.call():
            await self._central.hello(report)
        await asyncio.sleep(self._hello_interval_s)

    async def flush_round(self) -> None:
        """When due: send what waits, the most urgent first, until nothing does."""
        interval_s = self._chance.uniform(*flush_bounds_s(self._identity.flush_interval_s))
        while True:
            # Cleared before looking: a record that comes meanwhile makes it due again.
            self._due.flush.clear()
            wait_ns = flush_wait_ns(
                await self.streams.waiting(), self._clock.mono_ns(), int(interval_s * 1e9)
            )
            if wait_ns == 0:
                break
            await _noted(self._due.flush, interval_s if wait_ns is None else wait_ns / 1e9)
        await self._link.until_online(_LINK_WAIT_S_MAX)
        await self.streams.send()
        if self._depth_told:
            # The stores' list shows the empty queue without waiting for the interval.
            self._depth_told = 0
            self._due.hello.set()

    async def feed_round(self) -> None:
        """Fetch the next thing that the feed lacks, or wait at central for news."""
        await self._link.until_online(_LINK_WAIT_S_MAX)
        async with self._feed_turn:
            await self._feed.round()

    async def letter(self) -> tuple[HelloRequest, Told]:
        """A hello to be carried by hand, after everything that waits has its number."""
        await self.streams.number_waiting()
        return await self._greeting.letter(self._hello)

    async def hear_letter(self, reply: HelloReply, told: Told) -> None:
        """A carried reply. Raises as ``hello_round``."""
        await self._greeting.hear_letter(reply, told)

    async def read_carried(self, central: FeedCalls) -> bool:
        """Read the feed as far as ``central``, which raises ConflictError at its end, can tell it.

        Returns whether all topics then add up to what they should.

        Raises:
            TrustError: what is told is not what it should be; nothing of it was kept.
        """
        reader = FeedReader(
            central=central,
            writer=self._writer,
            reader=self._reader,
            link=LinkState(self._clock),
            clock=self._clock,
            wait_s=0.0,
            on_bundle=self._due.bundle.set,
            checks=False,
        )
        async with self._feed_turn:
            try:
                while True:
                    await reader.round()
            except ConflictError:
                self._feed.note_others()
        return reader.adds_up

    async def bundle_round(self) -> None:
        """When due: fetch the bundle central wants in force and offer it.

        Raises:
            TrustError: what came is not the bundle named, or it failed its checks.
        """
        await self._due.bundle.wait()
        self._due.bundle.clear()
        wanted = await self._reader.run(wanted_bundle)
        active = self._bundles.active
        if wanted is None or wanted.sha256 == self._refused_sha256:
            return
        if active is not None and active.sha256 == wanted.sha256:
            return
        await self._link.until_online(_LINK_WAIT_S_MAX)
        try:
            await self._fetch(wanted)
        except AppError:
            # The same bytes would be refused again; anything else is worth another try.
            if wanted.sha256 != self._refused_sha256:
                self._due.bundle.set()
            raise
        finally:
            # The stores' list shows the bundle, or why there is none, without waiting a round.
            self._due.hello.set()

    async def _fetch(self, wanted: BundleEntry) -> None:
        async with self._link.call():
            data = await self._central.bundle(wanted.version)
        try:
            bundle = await asyncio.to_thread(self._bundles.offer, data)
        except UnavailableError:
            raise
        except AppError:
            self._refused_sha256 = hashlib.sha256(data).digest()
            raise
        if bundle.sha256 != wanted.sha256:
            raise TrustError(
                f"bundle {wanted.version} is good, but not the one the feed named",
                code="other_bundle",
            )

    async def _hello(self, account: Account, witness: list[LaneHead]) -> HelloRequest:
        queue = await self.queue()
        self._depth_told = queue.depth
        active = self._bundles.active
        recovery = account.recovery
        epochs = [head.epoch for head in witness] if recovery is not None else []
        return HelloRequest(
            agent_version=self._identity.agent_version,
            started_at_ms=self._identity.started_at_ms,
            now_ms=self._clock.now_ms(),
            heads=lane_heads(account.heads),
            queue_depth=queue.depth,
            oldest_queued_at_ms=queue.oldest_at_ms,
            bundle_version=None if active is None else active.header.version,
            bundle_error=self._bundles.last_error,
            feed_cursor=await self._reader.run(feed_cursor),
            components=[
                ComponentReport(
                    component=status.component, health=status.health.value, message=status.message
                )
                for status in self._statuses()
            ],
            # An agent that lost its streams names the epoch that it must have had.
            epoch=account.epoch or max(epochs, default=_FIRST_EPOCH),
            recovering=recovery is not None,
            recovery_id=b"" if recovery is None else recovery.recovery_id,
            witness=witness,
            proofs=account.proofs,
        )

    async def _recover(self, reason: str) -> None:
        await self._greeting.recover(reason)


async def _noted(event: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set, or when so much time has passed by the monotonic clock."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return

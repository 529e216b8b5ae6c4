"""Head office in memory: tables that a crash keeps, and the decisions of the real code over them.

``Tables`` is what central's disk holds, and nothing else outlives a crash. A request is handled in
one instant, so it is a transaction by itself; the reply may still be lost after it.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

import msgspec

from central.accounts.lending import PROMISE_KEPT_MS, Holder
from central.uplink.greeting import _whole_heads
from central.uplink.policy import (
    EdgeView,
    Issue,
    Refuse,
    StreamHead,
    StreamState,
    chain_of,
    decide,
    decide_hello,
    hashes_to_compare,
    seq_to_compare,
)
from central.uplink.reading import Stream
from shared.crypto.chain import NONCE_BYTES, chain_genesis
from shared.crypto.tags import card_tag
from shared.errors import (
    ForbiddenError,
    InputError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from shared.frames import LAYOUT_COLUMNS, LAYOUT_RECORDS, decode_batch, encoded_records
from shared.limits import BATCH_RECORDS_MAX
from shared.wire.enrol import EdgeKind, HelloReply, HelloRequest, LaneHead, LaneStart
from shared.wire.feed import (
    CustomerEntry,
    FeedBuckets,
    FeedPage,
    FeedRepair,
    FeedReset,
    SnapshotManifest,
    Topic,
)
from shared.wire.lan import PeerEntry
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.stream import Ack, Batch, Lane, Refusal
from tests.simulation.bank import Bank
from tests.simulation.feed import EVERY_STORE, FeedTables
from tests.simulation.scenario import Program, Scenario, Wrong
from tests.simulation.world import World

NAME: Final = "central"
HELLO_INTERVAL_S: Final = 24 * 3_600
"""Central asks for no more hellos than agents say of themselves."""
_StreamKey = tuple[int, int, int]
"""(edge, lane, epoch)"""


@dataclass(slots=True, kw_only=True)
class EdgeRow:
    """An enrolled agent."""

    edge_id: int
    store_id: str
    kind: EdgeKind
    device_public_key: bytes
    epoch: int = 1
    frozen: bool = False
    revoked: bool = False
    last_issue: Issue | None = None
    last_contact_ms: int = 0
    queue_depth: int = 0
    whole: dict[int, int] | None = None
    """Where the lanes of the epoch before ended, if nothing of them can be missing."""

    @property
    def state(self) -> str:
        return "revoked" if self.revoked else "frozen" if self.frozen else "active"


@dataclass(slots=True, kw_only=True)
class StreamRow:
    """A stream; ``hashes[n]`` is the chain after record n, the first the genesis."""

    nonce: bytes
    hashes: list[bytes]
    state: StreamState = StreamState.OPEN

    @property
    def seq(self) -> int:
        return len(self.hashes) - 1


@dataclass(slots=True)
class Tables:
    """All of central's disk."""

    bank: Bank
    edges: dict[int, EdgeRow] = field(default_factory=dict)
    streams: dict[_StreamKey, StreamRow] = field(default_factory=dict)
    adopted: dict[tuple[int, int, int, int], tuple[int, bytes]] = field(default_factory=dict)
    evidence: list[tuple[int, int, int, str]] = field(default_factory=list)
    feed: FeedTables = field(default_factory=FeedTables)
    came: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    """Every batch that came, for sending it again in the end: (edge, lane, epoch, body)."""
    came_adopted: list[tuple[int, int, int, int, bytes]] = field(default_factory=list)


class Central:
    """The process. What it knows besides its tables is lost when it ends."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.dice = world.dice("central")
        self.tables = Tables(Bank(scenario))
        self.up = True
        self._changed: dict[str, asyncio.Event] = {}
        self._next_edge_id = 1001
        self._chunks: dict[bytes, bytes] = {}
        self.layouts: dict[EdgeKind, set[int]] = defaultdict(set)
        """Of the frames that came, by what sent them."""

    # --- what the office does

    def enrol(
        self, store_id: str, kind: EdgeKind, device_public_key: bytes
    ) -> tuple[int, list[LaneStart]]:
        """A new agent: its id and its streams."""
        # Ids come from a sequence that a restored central may not turn back: see regressions.
        edge_id = self._next_edge_id
        self._next_edge_id += 1
        self.tables.edges[edge_id] = EdgeRow(
            edge_id=edge_id, store_id=store_id, kind=kind, device_public_key=device_public_key
        )
        self.announce_peers(store_id)
        starts = self._start(edge_id, 1)
        self.world.note(NAME, "edge.enrolled", edge=edge_id, store=store_id, kind=kind.value)
        return edge_id, starts

    def report_lost(self, edge_id: int) -> None:
        """Somebody says that a machine will not be heard of again."""
        edge = self.tables.edges.get(edge_id)
        if edge is not None:
            edge.revoked = True
            self.tables.bank.freeze(edge_id, edge.epoch, self.world.now_ms())
            self.announce_peers(edge.store_id)
            self.announce()

    def image(self) -> Tables:
        """A backup; of transactions under way it holds nothing."""
        image = copy.deepcopy(self.tables)
        image.feed.undo_running()
        return image

    def restore(self, tables: Tables) -> None:
        """Be as the backup was. The sequence of edge ids is not part of what went back."""
        self.tables = copy.deepcopy(tables)
        self.world.note(NAME, "central.restored")
        self.announce()

    def crash(self) -> None:
        """End; transactions under way were never committed, and nobody who waits hears of it."""
        self.up = False
        self.wake_all()
        self.tables.feed.undo_running()
        self.world.note(NAME, "central.crashed")

    def start(self) -> None:
        """Serve again."""
        self.up = True
        self.world.note(NAME, "central.started")

    # --- what agents ask

    async def hello(self, edge_id: int, body: bytes) -> bytes:
        """The exchange of heads, as JSON both ways."""
        edge = self._edge(edge_id)
        now_ms = self.world.now_ms()
        hello = msgspec.json.decode(body, type=HelloRequest)
        edge.last_contact_ms, edge.queue_depth = now_ms, hello.queue_depth
        decision = decide_hello(hello, self._view(edge, hello), now_ms)
        for lane in decision.freeze:
            self._freeze(edge, lane)
        starts: list[LaneStart] = []
        stands_aside = decision.order != "continue"
        if decision.issue or (self.scenario.wrong is Wrong.EVERY_COPY_GOES_ON and stands_aside):
            starts = self._issue(edge, hello, now_ms)
        elif decision.repeat:
            starts = self._starts_of(edge)
        if stands_aside:
            self.world.note(
                NAME,
                "hello.ordered",
                edge=edge_id,
                order=decision.order.value,
                starts=len(starts),
                detail=decision.detail,
            )
        self._clear_if_whole(edge)
        self.announce()
        reply = HelloReply(
            heads=[
                LaneHead(lane=Lane(lane), epoch=edge.epoch, seq=row.seq, hash=row.hashes[-1])
                for lane, row in self._lanes(edge)
            ],
            server_time_ms=now_ms,
            hello_interval_s=HELLO_INTERVAL_S,
            order=decision.order,
            starts=starts,
            detail=decision.detail,
            frame_layout=LAYOUT_COLUMNS,
        )
        return msgspec.json.encode(reply)

    def announce_peers(self, store_id: str) -> None:
        """Tell the agents of a store about each other."""
        feed = self.tables.feed
        xid = feed.begin()
        for edge in self.tables.edges.values():
            if edge.store_id == store_id:
                entry = PeerEntry(
                    edge_id=edge.edge_id,
                    kind=edge.kind,
                    device_public_key=edge.device_public_key,
                    state=edge.state,
                )
                payload = msgspec.msgpack.encode(entry)
                feed.put(xid, store_id, Topic.PEER.value, str(edge.edge_id), payload)
        feed.end(xid)
        self.publish()

    async def put_batch(self, edge_id: int, lane: int, epoch: int, body: bytes) -> Ack | Refusal:
        """Records of the agent's own streams."""
        edge = self._edge(edge_id)
        self.tables.came.append((edge_id, lane, epoch, body))
        return self.take(edge, lane, epoch, decode_batch(body))

    async def put_relayed(
        self, hub_id: int, till_id: int, lane: int, epoch: int, body: bytes
    ) -> Ack | Refusal:
        """Records of a till, brought by its hub."""
        hub, till = self._edge(hub_id), self._edge(till_id)
        if hub.store_id != till.store_id or hub.state != "active" or till.state != "active":
            raise ForbiddenError("an agent carries only what its own store's tills wrote")
        return await self.put_batch(till_id, lane, epoch, body)

    async def put_adopted(
        self, by_edge_id: int, edge_id: int, lane: int, epoch: int, body: bytes
    ) -> Ack | Refusal:
        """Records of another epoch, or of the edge that the sender was before."""
        self._edge(by_edge_id)
        self.tables.came_adopted.append((by_edge_id, edge_id, lane, epoch, body))
        return self.adopt(by_edge_id, edge_id, lane, epoch, decode_batch(body))

    def adopt(
        self, by_edge_id: int, edge_id: int, lane: int, epoch: int, batch: Batch
    ) -> Ack | Refusal:
        """Take a batch as adopted, as ``central.uplink.ingest`` does."""
        sender, writer = self._edge(by_edge_id), self.tables.edges.get(edge_id)
        if writer is None or writer.store_id != sender.store_id:
            raise ForbiddenError("an agent adopts only what was written in its own store")
        records = encoded_records(batch)
        hashes = chain_of(batch, records)
        key = (by_edge_id, edge_id, lane, epoch)
        seq, head_hash = self.tables.adopted.get(key) or self._adoption(writer, lane, epoch, batch)
        head = StreamHead(epoch=epoch, seq=seq, hash=head_hash, state=StreamState.OPEN)
        verdicts = []
        if batch.last_seq > seq:
            decision = decide(head, epoch, epoch, batch, hashes, head_hash)
            if isinstance(decision, Refuse):
                code = decision.refusal.code.value
                self.world.note(NAME, "adopted.refused", edge=edge_id, lane=lane, code=code)
                return decision.refusal
            stream = Stream(
                edge_id=edge_id,
                store_id=writer.store_id,
                lane=lane,
                epoch=epoch,
                by_edge_id=by_edge_id,
            )
            first = batch.first_seq + decision.skip
            new = records[decision.skip :]
            verdicts = self.tables.bank.take(stream, first, new, self.world.now_ms())
            seq, head_hash = batch.last_seq, batch.last_hash
            self.world.note(NAME, "adopted.taken", edge=edge_id, lane=lane, epoch=epoch, last=seq)
        self.tables.adopted[key] = (seq, head_hash)
        self.announce()
        return Ack(
            epoch=epoch,
            seq=seq,
            hash=head_hash,
            verdicts=verdicts,
            next_batch_records_max=BATCH_RECORDS_MAX,
            pause_ms=0,
            server_time_ms=self.world.now_ms(),
        )

    def _adoption(self, writer: EdgeRow, lane: int, epoch: int, batch: Batch) -> tuple[int, bytes]:
        """Where an adoption begins: before the batch, where the chains agree; or at zero."""
        row = self.tables.streams.get((writer.edge_id, lane, epoch))
        if row is None:
            if epoch <= writer.epoch:
                raise ForbiddenError("this stream never was")
            if batch.first_seq > 1:
                raise ForbiddenError("central has forgotten this stream", code="forgotten_stream")
            return 0, batch.previous_hash
        before = batch.first_seq - 1
        if before <= row.seq and row.hashes[before] == batch.previous_hash:
            return before, batch.previous_hash
        return 0, row.hashes[0]

    def take(self, edge: EdgeRow, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Take a batch or say why not."""
        if batch.schema_version > self._layout():
            raise InputError("frames of this layout are not known here", code="unknown_layout")
        self.layouts[edge.kind].add(batch.schema_version)
        records = encoded_records(batch)
        hashes = chain_of(batch, records)
        key = (edge.edge_id, lane, epoch)
        row = self.tables.streams.get(key)
        head = None if row is None else _head_of(row, epoch)
        known_hash = None
        if row is not None and head is not None:
            known_hash = row.hashes[seq_to_compare(head, batch)]
        decision = decide(head, edge.epoch, epoch, batch, hashes, known_hash)
        if isinstance(decision, Refuse):
            if decision.freeze:
                self._freeze(edge, lane)
            if decision.evidence:
                self.tables.evidence.append((*key, decision.refusal.code.value))
            self.world.note(
                NAME,
                "batch.refused",
                edge=edge.edge_id,
                lane=lane,
                code=decision.refusal.code.value,
            )
            return decision.refusal
        assert row is not None, "what is taken continues a stream"
        place = Stream(edge_id=edge.edge_id, store_id=edge.store_id, lane=lane, epoch=epoch)
        first = batch.first_seq + decision.skip
        verdicts = self.tables.bank.take(
            place, first, records[decision.skip :], self.world.now_ms()
        )
        row.hashes += hashes[decision.skip :]
        if len(records) > decision.skip:
            self.world.note(
                NAME, "batch.taken", edge=edge.edge_id, lane=lane, first=first, last=row.seq
            )
            self.announce()
        return Ack(
            epoch=epoch,
            seq=row.seq,
            hash=row.hashes[-1],
            verdicts=verdicts,
            next_batch_records_max=BATCH_RECORDS_MAX,
            pause_ms=0,
            server_time_ms=self.world.now_ms(),
        )

    async def borrow(self, edge_id: int, request: LoanRequest) -> LoanReply:
        """A lease for a member who is away from home."""
        edge = self._edge(edge_id)
        if edge.state != "active" or any(
            row.state is not StreamState.OPEN for _, row in self._lanes(edge)
        ):
            raise ForbiddenError("this agent's streams are frozen", code="frozen")
        holder = Holder(edge_id=edge_id, store_id=edge.store_id, epoch=edge.epoch)
        reply = self.tables.bank.borrow(holder, request.owner, request.amount, self.world.now_ms())
        self.world.note(
            NAME,
            "points.lent",
            edge=edge_id,
            lease=None if reply.lease is None else reply.lease.lease_id,
            recalled=reply.recalled,
        )
        self.announce()
        return reply

    async def feed(self, edge_id: int, cursor: str, wait_s: float) -> FeedPage | FeedReset:
        """The next page, held back until there is one."""
        deadline_s = self.world.now_s() + wait_s
        while True:
            edge = self._edge(edge_id)
            page = self.tables.feed.page(edge.store_id, cursor)
            if isinstance(page, FeedReset) or page.changes or self.world.now_s() >= deadline_s:
                return page
            changed = self._changed.setdefault(edge.store_id, asyncio.Event())
            try:
                async with asyncio.timeout(deadline_s - self.world.now_s()):
                    await changed.wait()
            except TimeoutError:
                continue

    async def feed_buckets(self, edge_id: int, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        """A topic's sums by bucket."""
        return self.tables.feed.buckets(self._edge(edge_id).store_id, cursor, topic)

    async def feed_repair(
        self, edge_id: int, cursor: str, topic: str, buckets: list[int]
    ) -> FeedRepair | FeedReset:
        """All entries of some buckets."""
        self.world.note(NAME, "feed.repaired", edge=edge_id, topic=topic, buckets=len(buckets))
        return self.tables.feed.repair(self._edge(edge_id).store_id, cursor, topic, buckets)

    async def feed_snapshot(self, edge_id: int) -> SnapshotManifest:
        """What everything is made of."""
        manifest, self._chunks = self.tables.feed.snapshot(self._edge(edge_id).store_id)
        self.world.note(NAME, "feed.snapshot_made", edge=edge_id, chunks=len(manifest.chunks))
        return manifest

    async def feed_chunk(self, edge_id: int, sha256: bytes) -> bytes:
        """A piece of it, as long as it is kept."""
        self._edge(edge_id)
        if sha256 not in self._chunks:
            raise NotFoundError("there is no such piece of a snapshot")
        return self._chunks[sha256]

    def announce(self) -> None:
        """Put what the bank has changed into the feed, and wake who waits for it."""
        feed = self.tables.feed
        changes = self.tables.bank.announcements(self.world.now_ms())
        if changes:
            xid = feed.begin()
            for change in changes:
                feed.put(xid, *change)
            feed.end(xid)
        self.publish()

    def publish(self) -> None:
        """Let readers see what has been committed."""
        naive = self.scenario.wrong is Wrong.NAIVE_FEED
        if self.tables.feed.publish(naive=naive):
            self.wake_all()

    def wake_all(self) -> None:
        """Let everybody who waits at the feed look again."""
        changed, self._changed = self._changed, {}
        for event in changed.values():
            event.set()

    async def edit_customers(self, customer_ids: list[str], span_s: float) -> None:
        """Somebody in the office changes members in one long transaction."""
        tables = self.tables
        xid = tables.feed.begin()
        for customer_id in customer_ids:
            entry = CustomerEntry(
                customer_id=customer_id,
                card_tags=[card_tag(customer_id)],
                level=f"level{self.dice.number(1, 5)}",
            )
            payload = msgspec.msgpack.encode(entry)
            tables.feed.put(xid, EVERY_STORE, Topic.CUSTOMER.value, customer_id, payload)
            await asyncio.sleep(span_s / len(customer_ids))
            if self.tables is not tables or xid not in tables.feed.running:
                return  # central ended meanwhile, and the transaction with it
        tables.feed.end(xid)
        self.world.note(NAME, "customers.edited", count=len(customer_ids))
        self.publish()

    # --- tables

    def _edge(self, edge_id: int) -> EdgeRow:
        if not self.up:
            raise UnavailableError("central is down", code="no_link")
        edge = self.tables.edges.get(edge_id)
        if edge is None:
            raise UnauthorizedError("central does not know this agent")
        return edge

    def _layout(self) -> int:
        """The newest layout of frames that this central reads."""
        old = Program.CENTRAL in self.scenario.first_release
        return LAYOUT_RECORDS if old else LAYOUT_COLUMNS

    def _lanes(self, edge: EdgeRow) -> list[tuple[int, StreamRow]]:
        found = ((lane, self.tables.streams.get((edge.edge_id, lane, edge.epoch))) for lane in Lane)
        return [(int(lane), row) for lane, row in found if row is not None]

    def _view(self, edge: EdgeRow, hello: HelloRequest) -> EdgeView:
        known = {}
        for lane, epoch, seq in hashes_to_compare(hello):
            row = self.tables.streams.get((edge.edge_id, lane, epoch))
            if row is not None and 0 <= seq <= row.seq:
                known[(lane, epoch, seq)] = row.hashes[seq]
        return EdgeView(
            is_revoked=edge.revoked,
            is_frozen=edge.frozen,
            newest_epoch=edge.epoch,
            lanes={lane: _head_of(row, edge.epoch) for lane, row in self._lanes(edge)},
            known=known,
            last_issue=edge.last_issue,
        )

    def _freeze(self, edge: EdgeRow, lane: int) -> None:
        row = self.tables.streams[(edge.edge_id, lane, edge.epoch)]
        if row.state is StreamState.OPEN:
            row.state = StreamState.FROZEN
            self.world.note(NAME, "stream.forked", edge=edge.edge_id, lane=lane, epoch=edge.epoch)
        self.tables.bank.freeze(edge.edge_id, edge.epoch, self.world.now_ms())
        self.announce()

    def _clear_if_whole(self, edge: EdgeRow) -> None:
        """Settle the leases of the epoch before, once every record of it is here."""
        if edge.whole is None:
            return
        epoch = edge.epoch - 1
        for lane, seq in edge.whole.items():
            row = self.tables.streams[(edge.edge_id, lane, epoch)]
            key = (edge.edge_id, edge.edge_id, lane, epoch)
            adopted, _ = self.tables.adopted.get(key, (0, b""))
            if max(row.seq, adopted) < seq:
                return
        heard_until_ms = self._heard_until_ms(edge)
        if heard_until_ms is not None:
            assert edge.last_issue is not None, "a new epoch was issued"
            if heard_until_ms <= edge.last_issue.issued_at_ms + PROMISE_KEPT_MS:
                return
        if self.tables.bank.clear(edge.edge_id, epoch, heard_until_ms):
            edge.whole = None
            self.world.note(NAME, "leases.cleared", edge=edge.edge_id, epoch=epoch)

    def _heard_until_ms(self, edge: EdgeRow) -> int | None:
        """Up to when the other agents of the store have told everything; None: there are none."""
        others = [
            other.last_contact_ms if other.queue_depth == 0 else 0
            for other in self.tables.edges.values()
            if other.store_id == edge.store_id
            and other is not edge
            and not other.revoked
            and other.last_contact_ms
        ]
        return min(others, default=None)

    def _issue(self, edge: EdgeRow, hello: HelloRequest, now_ms: int) -> list[LaneStart]:
        self.tables.bank.freeze(edge.edge_id, edge.epoch, self.world.now_ms())
        lanes = [
            {"lane": lane, "epoch": edge.epoch, "seq": row.seq, "state": row.state}
            for lane, row in self._lanes(edge)
        ]
        edge.whole = _whole_heads(hello, lanes)
        for _, row in self._lanes(edge):
            row.state = StreamState.FENCED
        edge.epoch += 1
        edge.last_issue = Issue(
            epoch=edge.epoch, recovery_id=hello.recovery_id, issued_at_ms=now_ms
        )
        self.world.note(NAME, "epoch.issued", edge=edge.edge_id, epoch=edge.epoch)
        starts = self._start(edge.edge_id, edge.epoch)
        bank = self.tables.bank
        if edge.edge_id in bank.holders:
            holder = Holder(edge_id=edge.edge_id, store_id=edge.store_id, epoch=edge.epoch)
            bank.appoint(holder)
            bank.lend_all(now_ms)
        self.announce()
        return starts

    def _start(self, edge_id: int, epoch: int) -> list[LaneStart]:
        for lane in Lane:
            nonce = self.dice.token_bytes(NONCE_BYTES)
            self.tables.streams[(edge_id, int(lane), epoch)] = StreamRow(
                nonce=nonce, hashes=[chain_genesis(edge_id, int(lane), epoch, nonce)]
            )
        return self._starts_of(self.tables.edges[edge_id], epoch)

    def _starts_of(self, edge: EdgeRow, epoch: int | None = None) -> list[LaneStart]:
        epoch = edge.epoch if epoch is None else epoch
        return [
            LaneStart(
                lane=lane,
                epoch=epoch,
                nonce=self.tables.streams[(edge.edge_id, int(lane), epoch)].nonce,
            )
            for lane in Lane
        ]


def _head_of(row: StreamRow, epoch: int) -> StreamHead:
    return StreamHead(epoch=epoch, seq=row.seq, hash=row.hashes[-1], state=row.state)

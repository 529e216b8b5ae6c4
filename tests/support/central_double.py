"""A small central: the uplink's HTTP with streams, feed and bundles in memory, on any free port.

Batches and hellos are decided by central's own policy; the double keeps what it needs to know, and
breaks its promises when told to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import msgspec
from aiohttp import web

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
from shared.crypto.chain import chain_genesis
from shared.frames import LAYOUT_COLUMNS, decode_batch, encoded_records
from shared.wire.enrol import HelloOrder, HelloReply, HelloRequest, LaneHead, LaneStart
from shared.wire.feed import FeedChange, FeedPage, Operation
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem
from shared.wire.stream import Ack, Batch, Lane, Record, Refusal, RefusalCode

EDGE_ID = 7
EPOCH = 1
CREDENTIAL = "kpe_7_SECRET"
STARTS = [LaneStart(lane=lane, epoch=EPOCH, nonce=bytes([lane]) * 16) for lane in Lane]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def starts_of(epoch: int) -> list[LaneStart]:
    """The streams of an epoch."""
    return [
        LaneStart(lane=lane, epoch=epoch, nonce=bytes([lane + 16 * epoch]) * 16) for lane in Lane
    ]


STARTS = starts_of(EPOCH)


@dataclass(kw_only=True)
class DoubleStream:
    """One stream as the double has it; ``hashes[n]`` is that after record n."""

    epoch: int
    hashes: list[bytes]
    state: StreamState = StreamState.OPEN

    @property
    def head(self) -> StreamHead:
        return StreamHead(
            epoch=self.epoch, seq=len(self.hashes) - 1, hash=self.hashes[-1], state=self.state
        )


@dataclass(kw_only=True)
class CentralDouble:
    """What the double has heard, and the switches of its faults.

    ``records``: by lane, the bytes of all records taken, of every epoch, each uid once.
    """

    url: str = ""
    epoch: int = 0
    streams: dict[tuple[int, int], DoubleStream] = field(default_factory=dict)
    records: dict[int, list[bytes]] = field(default_factory=dict)
    uids: set[bytes] = field(default_factory=set)
    batches: int = 0
    adopted: int = 0
    hellos: list[HelloRequest] = field(default_factory=list)
    orders: list[HelloOrder] = field(default_factory=list)
    changes: list[FeedChange] = field(default_factory=list)
    bundles: dict[int, bytes] = field(default_factory=dict)
    bundle_fetches: int = 0
    down: bool = False
    busy_s: int | None = None
    revoked: bool = False
    lose_answers: int = 0
    forge_acks: int = 0
    senseless_lane: int | None = None
    senseless: int = 0
    refuse_next: RefusalCode | None = None
    batch_records_max: int = 500
    time_ms: int = 1
    issue: Issue | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Be a central that was restored from a copy made before any record came."""
        self.streams = {}
        self.uids = set()
        self.records = {int(lane): [] for lane in Lane}
        self.issue = None
        self._begin(EPOCH)

    def _begin(self, epoch: int) -> list[LaneStart]:
        self.epoch = epoch
        starts = starts_of(epoch)
        for start in starts:
            genesis = chain_genesis(EDGE_ID, start.lane, start.epoch, start.nonce)
            self.streams[start.lane, epoch] = DoubleStream(epoch=epoch, hashes=[genesis])
        return starts

    def tell(self, topic: str, key: str, entry: msgspec.Struct) -> None:
        """Put a change into the feed."""
        self.changes.append(
            FeedChange(
                topic=topic,
                key=key,
                operation=Operation.PUT,
                version=len(self.changes) + 1,
                payload=msgspec.msgpack.encode(entry),
            )
        )
        self.changed.set()

    async def hello(self, request: web.Request) -> web.Response:
        hello = msgspec.json.decode(await request.read(), type=HelloRequest)
        self.hellos.append(hello)
        known = {}
        for lane, epoch, seq in hashes_to_compare(hello):
            stream = self.streams.get((lane, epoch))
            if stream is not None and seq < len(stream.hashes):
                known[lane, epoch, seq] = stream.hashes[seq]
        view = EdgeView(
            is_revoked=self.revoked,
            is_frozen=False,
            newest_epoch=self.epoch,
            lanes={int(lane): self.streams[lane, self.epoch].head for lane in Lane},
            known=known,
            last_issue=self.issue,
        )
        decision = decide_hello(hello, view, hello.now_ms)
        self.orders.append(decision.order)
        for lane in decision.freeze:
            self.streams[lane, self.epoch].state = StreamState.FROZEN
        starts: list[LaneStart] = []
        if decision.issue:
            starts = self._begin(self.epoch + 1)
            self.issue = Issue(
                epoch=self.epoch, recovery_id=hello.recovery_id, issued_at_ms=hello.now_ms
            )
        elif decision.repeat:
            starts = starts_of(self.epoch)
        heads = []
        for lane in Lane:
            head = self.streams[lane, self.epoch].head
            heads.append(LaneHead(lane=lane, epoch=head.epoch, seq=head.seq, hash=head.hash))
        reply = HelloReply(
            heads=heads,
            server_time_ms=self.time_ms,
            hello_interval_s=30,
            order=decision.order,
            starts=starts,
            detail=decision.detail,
            frame_layout=LAYOUT_COLUMNS,
        )
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def stream(self, request: web.Request) -> web.Response:
        batch = decode_batch(await request.read())
        adopting = "/adopted/" in request.path
        place = int(request.match_info["lane"]), int(request.match_info["epoch"])
        if place[0] == self.senseless_lane:
            self.senseless += 1
            problem = Problem(status=400, code="bad_batch", title="No", detail="no sense")
            return web.Response(
                status=400, body=msgspec.json.encode(problem), content_type=PROBLEM_CONTENT_TYPE
            )
        answer = self._take(place, batch, adopting=adopting)
        self.batches += 1
        self.adopted += adopting
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        if self.forge_acks and isinstance(answer, Ack):
            self.forge_acks -= 1
            answer = msgspec.structs.replace(answer, hash=b"f" * 32)
        return web.Response(
            status=200 if isinstance(answer, Ack) else 409,
            body=msgspec.msgpack.encode(answer),
            content_type="application/msgpack",
        )

    async def feed(self, request: web.Request) -> web.Response:
        after = int(request.query["cursor"] or 0)
        if after >= len(self.changes):
            self.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), float(request.query["wait_s"]))
        page = self.changes[after : after + 2]
        reply = FeedPage(
            cursor=str(after + len(page)),
            changes=page,
            complete=after + len(page) == len(self.changes),
        )
        return web.Response(body=msgspec.msgpack.encode(reply), content_type="application/msgpack")

    async def bundle(self, request: web.Request) -> web.Response:
        self.bundle_fetches += 1
        return web.Response(body=self.bundles[int(request.match_info["version"])])

    def _take(self, place: tuple[int, int], batch: Batch, *, adopting: bool) -> Ack | Refusal:
        lane, epoch = place
        stream = self.streams.get(place)
        head = None if stream is None else stream.head
        if self.refuse_next is not None and head is not None and stream is not None:
            code, self.refuse_next = self.refuse_next, None
            if code is RefusalCode.FORK:
                stream.state = StreamState.FROZEN
            return Refusal(
                code=code, epoch=head.epoch, seq=head.seq, hash=head.hash, detail="double"
            )
        if adopting and head is not None:
            # Whoever adopts is not fenced off by the epoch that came after, nor by the freeze.
            head = replace(head, state=StreamState.OPEN)
        records = encoded_records(batch)
        hashes = chain_of(batch, records)
        known = None
        if stream is not None and head is not None:
            at = seq_to_compare(head, batch)
            known = stream.hashes[at] if at < len(stream.hashes) else None
        newest = epoch if adopting and stream is not None else self.epoch
        decision = decide(head, newest, epoch, batch, hashes, known)
        if isinstance(decision, Refuse):
            if decision.freeze and stream is not None and not adopting:
                stream.state = StreamState.FROZEN
            return decision.refusal
        assert stream is not None
        for data, chained in list(zip(records, hashes, strict=True))[decision.skip :]:
            stream.hashes.append(chained)
            uid = msgspec.msgpack.decode(data, type=Record).uid
            if uid not in self.uids:
                self.uids.add(uid)
                self.records[lane].append(data)
        return Ack(
            epoch=epoch,
            seq=stream.head.seq,
            hash=stream.head.hash,
            verdicts=[],
            next_batch_records_max=self.batch_records_max,
            pause_ms=0,
            server_time_ms=self.time_ms,
        )


@asynccontextmanager
async def running_central(tls: ssl.SSLContext | None = None) -> AsyncIterator[CentralDouble]:
    """A double that answers until the block ends, over TLS where a context is given."""
    double = CentralDouble()

    @web.middleware
    async def border(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if double.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if double.busy_s is not None:
            return web.Response(status=503, headers={"Retry-After": str(double.busy_s)})
        if request.headers.get("Authorization") != f"Bearer {CREDENTIAL}":
            problem = Problem(status=401, code="unauthorized", title="No", detail="wrong secret")
            return web.Response(
                status=401, body=msgspec.json.encode(problem), content_type=PROBLEM_CONTENT_TYPE
            )
        return await handler(request)

    app = web.Application(middlewares=[border])
    app.add_routes(
        [
            web.post("/v1/hello", double.hello),
            web.put("/v1/streams/{edge}/{lane}/{epoch}/{range}", double.stream),
            web.put("/v1/adopted/{edge}/{lane}/{epoch}/{range}", double.stream),
            web.get("/v1/feed", double.feed),
            web.get("/v1/bundles/{version}", double.bundle),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    double.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield double
    finally:
        await runner.cleanup()

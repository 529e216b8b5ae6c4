"""A small central: the uplink's HTTP with streams, feed and bundles in memory, on any free port.

It keeps the promises that the agent relies on (chains checked, batches idempotent, feed in order)
and breaks them when told to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import zstandard
from aiohttp import web

from shared.crypto.chain import chain_fold, chain_genesis
from shared.wire.enrol import HelloReply, HelloRequest, LaneHead, LaneStart
from shared.wire.feed import FeedChange, FeedPage, Operation
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem
from shared.wire.stream import Ack, Batch, Lane, Refusal, RefusalCode

EDGE_ID = 7
EPOCH = 1
CREDENTIAL = "kpe_7_SECRET"
STARTS = [LaneStart(lane=lane, epoch=EPOCH, nonce=bytes([lane]) * 16) for lane in Lane]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class CentralDouble:
    """What the double has heard, and the switches of its faults."""

    url: str = ""
    heads: dict[int, LaneHead] = field(default_factory=dict)
    records: dict[int, list[bytes]] = field(default_factory=dict)
    batches: int = 0
    hellos: list[HelloRequest] = field(default_factory=list)
    changes: list[FeedChange] = field(default_factory=list)
    bundles: dict[int, bytes] = field(default_factory=dict)
    bundle_fetches: int = 0
    down: bool = False
    lose_answers: int = 0
    refuse_next: RefusalCode | None = None
    batch_records_max: int = 500
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Be a central that was restored from a copy made before any record came."""
        for start in STARTS:
            genesis = chain_genesis(EDGE_ID, start.lane, start.epoch, start.nonce)
            self.heads[start.lane] = LaneHead(
                lane=start.lane, epoch=start.epoch, seq=0, hash=genesis
            )
            self.records[start.lane] = []

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
        self.hellos.append(msgspec.json.decode(await request.read(), type=HelloRequest))
        reply = HelloReply(heads=list(self.heads.values()), server_time_ms=1, hello_interval_s=30)
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def stream(self, request: web.Request) -> web.Response:
        batch = msgspec.msgpack.decode(await request.read(), type=Batch)
        answer = self._take(int(request.match_info["lane"]), batch)
        self.batches += 1
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
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

    def _take(self, lane: int, batch: Batch) -> Ack | Refusal:
        head = self.heads[lane]
        if self.refuse_next is not None:
            code, self.refuse_next = self.refuse_next, None
            return self._refusal(code, head)
        if batch.first_seq > head.seq + 1:
            return self._refusal(RefusalCode.GAP, head)
        raw = zstandard.ZstdDecompressor().decompress(batch.frame, batch.raw_bytes)
        new = msgspec.msgpack.decode(raw, type=list[bytes])[head.seq + 1 - batch.first_seq :]
        if new:
            chained = chain_fold(head.hash, new)
            if chained != batch.last_hash:
                return self._refusal(RefusalCode.FORK, head)
            head = LaneHead(lane=head.lane, epoch=head.epoch, seq=batch.last_seq, hash=chained)
            self.heads[lane] = head
            self.records[lane] += new
        return Ack(
            epoch=head.epoch,
            seq=head.seq,
            hash=head.hash,
            verdicts=[],
            next_batch_records_max=self.batch_records_max,
            pause_ms=0,
            server_time_ms=1,
        )

    def _refusal(self, code: RefusalCode, head: LaneHead) -> Refusal:
        return Refusal(code=code, epoch=head.epoch, seq=head.seq, hash=head.hash, detail="double")


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

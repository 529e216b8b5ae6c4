"""The uplink's HTTP: decode, call one service, encode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from central.database.pool import Pool
from central.feed.service import Feed
from central.fleet import store as fleet
from central.promotions import store as promotions
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest, Stream
from shared.clock import Clock
from shared.errors import AppError, ForbiddenError, InputError
from shared.limits import FEED_WAIT_S_MAX, UPLINK_BODY_BYTES_MAX
from shared.logs import get_logger
from shared.wire.enrol import EnrolRequest, HelloReply, HelloRequest
from shared.wire.feed import FeedBuckets, FeedPage, FeedRepair, FeedReset
from shared.wire.frames import LAYOUT_COLUMNS, decode_batch
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem, problem_of
from shared.wire.stream import Ack, Refusal

HELLO_INTERVAL_S: Final = 30
_HINTS: Final = {
    400: "The agent and head office may be of different versions: update the older one.",
    401: "Enrol the agent again with a new token.",
    403: "The agent is not entitled to this; enrol it for the right store.",
    404: "The address or what it names does not exist; update the agent.",
    409: "Try again; if it stays, look at the log of head office.",
    413: "Send fewer records at once.",
    503: "Try again in a moment.",
}
"""What can be done where the error itself has no better advice."""
_MSGPACK: Final = "application/msgpack"
_LOG = get_logger(__name__)
_T = TypeVar("_T")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Uplink:
    """The handlers of one listener."""

    def __init__(self, pool: Pool, clock: Clock, enrolment: Enrolment, ingest: Ingest) -> None:
        self._pool = pool
        self._clock = clock
        self._enrolment = enrolment
        self._ingest = ingest
        self._feed = Feed(pool, clock)

    def application(self) -> web.Application:
        """The listener's application."""
        app = web.Application(client_max_size=UPLINK_BODY_BYTES_MAX, middlewares=[_problems])
        app.add_routes(
            [
                web.get("/v1/time", self.time),
                web.post("/v1/enrol", self.enrol),
                web.post("/v1/hello", self.hello),
                web.put(
                    r"/v1/streams/{edge:\d{1,18}}/{lane:[0-3]}/{epoch:\d{1,9}}"
                    r"/{first:\d{1,18}}-{last:\d{1,18}}",
                    self.stream,
                ),
                web.get("/v1/feed", self.feed),
                web.get("/v1/feed/buckets", self.feed_buckets),
                web.get("/v1/feed/repair", self.feed_repair),
                web.get("/v1/feed/snapshot", self.feed_snapshot),
                web.get(r"/v1/feed/chunks/{sha256:[0-9a-f]{64}}", self.feed_chunk),
                web.get(r"/v1/bundles/{version:\d{1,18}}", self.bundle),
            ]
        )
        app.cleanup_ctx.append(self._publisher)
        return app

    async def _publisher(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._feed.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def time(self, _request: web.Request) -> web.Response:
        """Central's clock."""
        return web.json_response({"server_time_ms": self._clock.now_ms()})

    async def enrol(self, request: web.Request) -> web.Response:
        """A token and a device key become an agent."""
        reply = await self._enrolment.enrol(_from_json(await request.read(), EnrolRequest))
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def hello(self, request: web.Request) -> web.Response:
        """Keep what the agent says of itself; tell it how far central has come."""
        edge_id, _ = await self._edge(request)
        hello = _from_json(await request.read(), HelloRequest)
        async with self._pool.connection() as connection:
            await fleet.touch(connection, edge_id, hello)
            reply = HelloReply(
                heads=await fleet.heads(connection, edge_id),
                server_time_ms=self._clock.now_ms(),
                hello_interval_s=HELLO_INTERVAL_S,
                frame_layout=LAYOUT_COLUMNS,
            )
        await self._feed.confirm(edge_id, hello.feed_cursor)
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def stream(self, request: web.Request) -> web.Response:
        """Take a batch of records; a hub may bring those of its store's tills."""
        sender_id, store_id = await self._edge(request)
        path = request.match_info
        edge_id = int(path["edge"])
        if edge_id != sender_id:
            async with self._pool.connection() as connection:
                carries = await fleet.may_carry(connection, sender_id, edge_id)
            if not carries:
                raise ForbiddenError("an agent writes only its own streams, or its tills'")
        batch = decode_batch(await request.read())
        if (batch.first_seq, batch.last_seq) != (int(path["first"]), int(path["last"])):
            raise InputError("the address names other records than the batch", code="bad_batch")
        answer: Ack | Refusal = await self._ingest.take(
            Stream(
                edge_id=edge_id,
                store_id=store_id,
                lane=int(path["lane"]),
                epoch=int(path["epoch"]),
            ),
            batch,
        )
        return web.Response(
            status=200 if isinstance(answer, Ack) else 409,
            body=msgspec.msgpack.encode(answer),
            content_type=_MSGPACK,
        )

    async def feed(self, request: web.Request) -> web.Response:
        """What changed after the cursor; waits when nothing did."""
        edge_id, store_id = await self._edge(request)
        try:
            wait_s = min(max(float(request.query.get("wait_s", "0")), 0.0), FEED_WAIT_S_MAX)
            int(wait_s)
        except ValueError as error:  # no number, or "nan"
            raise InputError("wait_s is a number of seconds", pointer="/wait_s") from error
        return _feed_answer(
            await self._feed.page(edge_id, store_id, request.query.get("cursor", ""), wait_s)
        )

    async def feed_buckets(self, request: web.Request) -> web.Response:
        """What each bucket of a topic adds up to."""
        _, store_id = await self._edge(request)
        query = request.query
        return _feed_answer(
            await self._feed.buckets(store_id, query.get("cursor", ""), query.get("topic", ""))
        )

    async def feed_repair(self, request: web.Request) -> web.Response:
        """All entries of some buckets of a topic."""
        _, store_id = await self._edge(request)
        query = request.query
        try:
            buckets = list(bytes.fromhex(query.get("buckets", "")))
        except ValueError as error:
            raise InputError("buckets are hexadecimal", pointer="/buckets") from error
        return _feed_answer(
            await self._feed.repair(
                store_id, query.get("cursor", ""), query.get("topic", ""), buckets
            )
        )

    async def feed_snapshot(self, request: web.Request) -> web.Response:
        """The pieces of all that a store has to know."""
        _, store_id = await self._edge(request)
        manifest = await self._feed.snapshot(store_id)
        return web.Response(body=msgspec.msgpack.encode(manifest), content_type=_MSGPACK)

    async def feed_chunk(self, request: web.Request) -> web.Response:
        """One piece of a snapshot."""
        _, store_id = await self._edge(request)
        data = await self._feed.chunk(store_id, bytes.fromhex(request.match_info["sha256"]))
        return web.Response(body=data, content_type="application/octet-stream")

    async def bundle(self, request: web.Request) -> web.Response:
        """A bundle exactly as it was signed."""
        await self._edge(request)
        async with self._pool.connection() as connection:
            row = await promotions.get_bundle(connection, int(request.match_info["version"]))
        return web.Response(body=row["bytes"], content_type="application/octet-stream")

    async def _edge(self, request: web.Request) -> tuple[int, str]:
        return await self._enrolment.edge_of(request.headers.get("Authorization"))


def _feed_answer(answer: FeedPage | FeedBuckets | FeedRepair | FeedReset) -> web.Response:
    return web.Response(
        status=410 if isinstance(answer, FeedReset) else 200,
        body=msgspec.msgpack.encode(answer),
        content_type=_MSGPACK,
    )


def _from_json(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(str(error), code="bad_json") from error


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every refusal is a problem document; none tells about the inside."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        problem = Problem(
            status=error.status,
            code=error.reason.lower().replace(" ", "_"),
            title=error.reason,
            detail=error.reason,
        )
    except Exception as error:  # noqa: BLE001 (the border: whatever happens becomes a problem)
        if isinstance(error, web.RequestPayloadError):
            error = InputError("the body cannot be read: its encoding is broken", code="bad_body")
        if not isinstance(error, AppError):
            _LOG.exception("request.failed", path=request.path)
        problem = problem_of(error)
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(
            msgspec.to_builtins(problem)
            | {"pointer": problem.pointer, "hint": problem.hint or _HINTS.get(problem.status)}
        ),
        content_type=PROBLEM_CONTENT_TYPE,
    )

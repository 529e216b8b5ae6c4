"""The uplink's HTTP: decode, call one service, encode."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from central.database.pool import Pool
from central.feed.service import Feed
from central.gift_cards.service import GiftCards
from central.promotions import store as promotions
from central.uplink.admission import Admission
from central.uplink.carriers import Carriers
from central.uplink.enrol import Enrolment
from central.uplink.files import Files
from central.uplink.gate import Gate
from central.uplink.greeting import Greeting
from central.uplink.ingest import Ingest
from central.uplink.loans import Loans
from central.uplink.members import Members, MembersApi
from central.uplink.online import OnlineHolds
from central.uplink.sales import Sales
from central.uplink.streams import Streams
from shared.clock import Clock
from shared.crypto.signing import Signer
from shared.errors import AppError, InputError, NotFoundError, UnavailableError
from shared.ids import Chance
from shared.limits import FEED_WAIT_S_MAX, UPLINK_BODY_BYTES_MAX
from shared.logs import get_logger
from shared.sync_file import central_key, public_key_of
from shared.unreadable import UNREADABLE
from shared.wire.central_time import NONCE_BYTES, TIME_SIGNATURE_KIND, TimeReply, signed_time
from shared.wire.enrol import EnrolRequest, HelloRequest
from shared.wire.feed import FeedBuckets, FeedPage, FeedRepair, FeedReset
from shared.wire.gift_cards import GIFT_CARDS_PATH, GiftAction
from shared.wire.holds import HOLDS_PATH
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem, problem_of
from shared.wire.sales import SALES_PATH

HELLO_INTERVAL_S: Final = 30
_HINTS: Final = {
    400: "The agent and head office may be of different versions: update the older one.",
    401: "Enrol the agent again with a new token.",
    403: "The agent is not entitled to this; enrol it for the right store.",
    404: "The address or what it names does not exist; update the agent.",
    409: "Try again; if it stays, look at the log of head office.",
    413: "Send fewer records at once.",
    429: "Come back after the time that Retry-After says.",
    503: "Try again in a moment.",
}
"""What can be done where the error itself has no better advice."""
_MSGPACK: Final = "application/msgpack"
_LOG = get_logger(__name__)
_T = TypeVar("_T")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Uplink:
    """The handlers of one listener."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        chance: Chance,
        enrolment: Enrolment,
        ingest: Ingest,
        admission: Admission | None = None,
        signer: Signer | None = None,
        gift_cards: GiftCards | None = None,
        members: Members | None = None,
    ) -> None:
        """``pool``: of the feed and of everything small; ``ingest`` has its own."""
        self._pool = pool
        self._clock = clock
        self._signer = signer
        self._enrolment = enrolment
        file_key = b"" if signer is None else public_key_of(central_key(signer))
        self._greeting = Greeting(pool, clock, chance, file_key=file_key)
        gate = Gate(admission or Admission(), clock, chance)
        self._streams = Streams(pool, clock, enrolment, ingest, gate)
        self._feed = Feed(pool, clock)
        self._loans = Loans(pool, clock)
        self._holds = OnlineHolds(pool, clock)
        self._sales = Sales(pool, clock)
        self._gift_cards = gift_cards
        files = None if signer is None else Files(pool, clock, chance, signer, ingest)
        self._carriers = Carriers(clock, enrolment, files)
        self._members = MembersApi(members, enrolment)

    def application(self) -> web.Application:
        """The listener's application."""
        app = web.Application(client_max_size=UPLINK_BODY_BYTES_MAX, middlewares=[_problems])
        app.add_routes(
            [
                web.get("/v1/time", self.time),
                web.post("/v1/enrol", self.enrol),
                web.post("/v1/hello", self.hello),
                *self._streams.routes(),
                *self._carriers.routes(),
                web.post("/v1/loans", self.loan),
                web.post(SALES_PATH, self.sale),
                web.post(HOLDS_PATH + r"/{uid:[0-9a-f]{32}}", self.hold),
                web.post(HOLDS_PATH + r"/{uid:[0-9a-f]{32}}/capture", self.capture),
                web.post(HOLDS_PATH + r"/{uid:[0-9a-f]{32}}/void", self.void),
                web.post(GIFT_CARDS_PATH + "/{action}", self.gift_card),
                *self._members.routes(),
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

    async def time(self, request: web.Request) -> web.Response:
        """Central's clock; signed for who gives a nonce, since who asks may not know the day."""
        try:
            nonce = bytes.fromhex(request.query.get("nonce", ""))
        except ValueError as error:
            raise InputError("nonce is hexadecimal", pointer="/nonce") from error
        reply = TimeReply(server_time_ms=self._clock.now_ms())
        if self._signer is not None and len(nonce) == NONCE_BYTES:
            signed = signed_time(nonce, reply.server_time_ms)
            reply = TimeReply(
                server_time_ms=reply.server_time_ms,
                key_id=self._signer.key_id,
                signature=self._signer.sign(TIME_SIGNATURE_KIND, signed),
            )
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def enrol(self, request: web.Request) -> web.Response:
        """A token and a device key become an agent."""
        reply = await self._enrolment.enrol(_from_json(await request.read(), EnrolRequest))
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def hello(self, request: web.Request) -> web.Response:
        """Keep what the agent says of itself; tell it how far central has come, and what to do."""
        caller = await self._enrolment.caller_of(request.headers.get("Authorization"))
        hello = _from_json(await request.read(), HelloRequest)
        reply = await self._greeting.greet(caller, hello)
        await self._feed.confirm(caller.edge_id, hello.feed_cursor)
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def loan(self, request: web.Request) -> web.Response:
        """A lease for a member who visits the agent's store."""
        edge_id, _ = await self._edge(request)
        reply = await self._loans.ask(edge_id, await request.read())
        return web.Response(body=msgspec.msgpack.encode(reply), content_type=_MSGPACK)

    async def sale(self, request: web.Request) -> web.Response:
        """A sale whose goods come back, wherever it was made."""
        edge_id, _ = await self._edge(request)
        reply = await self._sales.ask(edge_id, await request.read())
        return web.Response(body=msgspec.msgpack.encode(reply), content_type=_MSGPACK)

    async def hold(self, request: web.Request) -> web.Response:
        """A channel sets points aside while its customer pays."""
        channel = await self._holds.caller_of(request.headers.get("Authorization"))
        return _json(await self._holds.hold(channel, _uid(request), await request.read()))

    async def capture(self, request: web.Request) -> web.Response:
        """The customer has paid."""
        channel = await self._holds.caller_of(request.headers.get("Authorization"))
        return _json(await self._holds.capture(channel, _uid(request), await request.read()))

    async def void(self, request: web.Request) -> web.Response:
        """The customer has not."""
        channel = await self._holds.caller_of(request.headers.get("Authorization"))
        return _json(await self._holds.void(channel, _uid(request)))

    async def gift_card(self, request: web.Request) -> web.Response:
        """A gift card is sold, asked about, redeemed, or that is undone."""
        edge_id, store_id = await self._edge(request)
        action = request.match_info["action"]
        if self._gift_cards is None or action not in set(GiftAction):
            raise NotFoundError(f"nothing is done with gift cards under {request.path}")
        reply = await self._gift_cards.ask(
            GiftAction(action), await request.read(), store_id=store_id, edge_id=edge_id
        )
        return web.Response(body=msgspec.msgpack.encode(reply), content_type=_MSGPACK)

    async def feed(self, request: web.Request) -> web.Response:
        """What changed after the cursor; waits when nothing did."""
        edge_id, store_id = await self._edge(request)
        try:
            wait_s = min(max(float(request.query.get("wait_s", "0")), 0.0), FEED_WAIT_S_MAX)
            int(wait_s)
        except ValueError as error:  # no number, or "nan"
            raise InputError("wait_s is a number of seconds", pointer="/wait_s") from error
        return _feed_answer(
            await self._feed.page(
                edge_id,
                store_id,
                request.query.get("cursor", ""),
                wait_s,
                pages_only="snapshots" not in request.query,
            )
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
        caller = await self._enrolment.edge_of(request.headers.get("Authorization"))
        return caller.edge_id, caller.store_id


def _uid(request: web.Request) -> bytes:
    return bytes.fromhex(request.match_info["uid"])


def _json(reply: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(reply), content_type="application/json")


def _feed_answer(answer: FeedPage | FeedBuckets | FeedRepair | FeedReset) -> web.Response:
    return web.Response(
        status=410 if isinstance(answer, FeedReset) else 200,
        body=msgspec.msgpack.encode(answer),
        content_type=_MSGPACK,
    )


def _from_json(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise InputError(str(error), code="bad_json") from error


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every refusal is a problem document; none tells about the inside."""
    headers: dict[str, str] = {}
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
        if isinstance(error, UnavailableError) and error.retry_after_s is not None:
            headers["Retry-After"] = str(math.ceil(error.retry_after_s))
        problem = problem_of(error)
    return web.Response(
        status=problem.status,
        headers=headers,
        body=msgspec.json.encode(
            msgspec.to_builtins(problem)
            | {"pointer": problem.pointer, "hint": problem.hint or _HINTS.get(problem.status)}
        ),
        content_type=PROBLEM_CONTENT_TYPE,
    )

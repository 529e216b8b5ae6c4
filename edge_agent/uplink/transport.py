"""HTTP to central: one method a call, bounded bodies, every failure one of ours.

A refusal of central's keeps its code and hint; what could not be reached, or broke off, is
``UnavailableError``. Nothing is tried again here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import aiohttp
import msgspec

from edge_agent.uplink.addresses import KnownAddresses
from edge_agent.uplink.dates import Dates, DatesError
from shared.errors import (
    AppError,
    BusyError,
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    TooLargeError,
    TrustError,
    UnauthorizedError,
    UnavailableError,
)
from shared.limits import (
    BUNDLE_BYTES_MAX,
    FEED_CHUNK_BYTES_MAX,
    FEED_PAGE_BYTES_MAX,
    RECORD_BYTES_MAX,
    SYNC_FILE_BYTES_MAX,
    UPLINK_BODY_BYTES_MAX,
)
from shared.unreadable import UNREADABLE
from shared.wire.central_time import TimeReply
from shared.wire.enrol import EnrolReply, EnrolRequest, HelloReply, HelloRequest
from shared.wire.feed import (
    FeedBuckets,
    FeedPage,
    FeedRepair,
    FeedReset,
    SnapshotManifest,
)
from shared.wire.files import FILES_PATH
from shared.wire.gift_cards import GIFT_CARDS_PATH, GiftAction, GiftReply, GiftRequest
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.members import (
    MEMBERS_PATH,
    FindReply,
    FindRequest,
    MemberKeys,
    RegisterReply,
    RegisterRequest,
)
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem
from shared.wire.sales import SALES_PATH, SaleAsk, SaleReply
from shared.wire.stream import Ack, Batch, Refusal

CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 20.0
"""Without a byte for this long a link is as good as gone; a slow one goes on."""
FILE_TIMEOUT_S: Final = 600.0
"""A file of months is taken in before the first byte of its answer."""
KEPT_S: Final = 60.0
"""An idle connection is kept from one hello to the next, so that a till which asks for a visitor's
points waits for no handshake; central keeps it for longer (``shared.listening.IDLE_S``)."""
KEEPALIVE_IDLE_S: Final = 8
KEEPALIVE_INTERVAL_S: Final = 4
KEEPALIVE_PROBES: Final = 3
"""A peer that vanished while an answer is awaited for long is found out within 20 s."""
FEED_BODY_BYTES_MAX: Final = 4 * FEED_PAGE_BYTES_MAX
"""Central bounds a page by its payloads; keys and framing come on top."""
_SALE_BYTES_MAX: Final = 2 * RECORD_BYTES_MAX
"""The longest sale with what has come back of it."""
_REFUSED: Final = (409, 423)
_BUSY: Final = (429,)
_KINDS: Final = ("application/json", "application/msgpack", "application/octet-stream")
"""In which central speaks."""
_GONE: Final = 410
_ERRORS: Final[Mapping[int, type[AppError]]] = {
    400: InputError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    422: TrustError,
}
_T = TypeVar("_T")


class Transport:
    """Calls to one central with one credential; ``open`` inside the event loop, ``close`` after.

    ``ca_file``: the only authority that may have signed central's certificate; without it the
    machine's own authorities are asked. ``credential`` None: only ``enrol`` will be answered.
    ``dates``: who judges the dates of a pinned authority's certificate, instead of the machine's
    clock; ``addresses``: the file that keeps where central answered.
    """

    def __init__(
        self,
        central_url: str,
        *,
        credential: str | None = None,
        ca_file: Path | None = None,
        dates: Dates | None = None,
        addresses: Path | None = None,
    ) -> None:
        self._base = central_url.rstrip("/")
        self._dates = dates
        self._addresses_file = addresses
        self._addresses: KnownAddresses | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session.

        Raises:
            InputError: the authority's file cannot be read.
        """
        try:
            context = await asyncio.to_thread(self._context)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"{self._ca_file} is not a readable certificate file", code="bad_ca_file"
            ) from error
        if self._addresses_file is not None and self._base.startswith("https:"):
            self._addresses = KnownAddresses(self._addresses_file)
        self._session = aiohttp.ClientSession(
            connector=self._connector(context),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S
            ),
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
        if self._addresses is not None:
            await self._addresses.close()

    async def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Become an agent of central's. Raises as every call here."""
        body = msgspec.json.encode(request)
        answer = await self._call("POST", "/v1/enrol", body=body, kind="application/json")
        return _from_json(answer, EnrolReply)

    async def hello(self, request: HelloRequest) -> HelloReply:
        """Tell how this agent is; hear how far central has come."""
        body = msgspec.json.encode(request)
        answer = await self._call("POST", "/v1/hello", body=body, kind="application/json")
        return _from_json(answer, HelloReply)

    async def borrow(self, request: LoanRequest) -> LoanReply:
        """Ask for a lease of a member who visits this store."""
        body = msgspec.msgpack.encode(request)
        answer = await self._call("POST", "/v1/loans", body=body, kind="application/msgpack")
        return _from_msgpack(answer, LoanReply)

    async def find_sale(self, asked: SaleAsk) -> SaleReply:
        """Ask about a sale whose goods come back."""
        body = msgspec.msgpack.encode(asked)
        answer = await self._call(
            "POST", SALES_PATH, body=body, kind="application/msgpack", bytes_max=_SALE_BYTES_MAX
        )
        return _from_msgpack(answer, SaleReply)

    async def member_keys(self) -> MemberKeys:
        """What this agent needs to know members by their phones and codes."""
        answer = await self._call("GET", f"{MEMBERS_PATH}/keys")
        return _from_msgpack(answer, MemberKeys)

    async def find_member(self, request: FindRequest) -> FindReply:
        """Ask who has a phone or a card."""
        body = msgspec.msgpack.encode(request)
        path = f"{MEMBERS_PATH}/find"
        answer = await self._call("POST", path, body=body, kind="application/msgpack")
        return _from_msgpack(answer, FindReply)

    async def register_member(self, request: RegisterRequest) -> RegisterReply:
        """Have a member made, or told who has the phone."""
        body = msgspec.msgpack.encode(request)
        path = f"{MEMBERS_PATH}/register"
        answer = await self._call("POST", path, body=body, kind="application/msgpack")
        return _from_msgpack(answer, RegisterReply)

    async def gift_card(self, action: GiftAction, request: GiftRequest) -> GiftReply:
        """Ask about a gift card, or have one sold, redeemed or that undone."""
        answer = await self._call(
            "POST",
            f"{GIFT_CARDS_PATH}/{action.value}",
            body=msgspec.msgpack.encode(request),
            kind="application/msgpack",
        )
        return _from_msgpack(answer, GiftReply)

    async def put_batch(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Send records of one stream."""
        seqs = (batch.first_seq, batch.last_seq)
        body = msgspec.msgpack.encode(batch)
        taken, answer = await self.put_relayed(edge_id, lane, epoch, seqs, body)
        return _from_msgpack(answer, Ack) if taken else _from_msgpack(answer, Refusal)

    async def put_adopted(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Send records of an older epoch, or of the edge that this one was before."""
        path = f"/v1/adopted/{edge_id}/{lane}/{epoch}/{batch.first_seq}-{batch.last_seq}"
        taken, answer = await self._put(path, msgspec.msgpack.encode(batch))
        return _from_msgpack(answer, Ack) if taken else _from_msgpack(answer, Refusal)

    async def put_relayed(
        self, edge_id: int, lane: int, epoch: int, seqs: tuple[int, int], body: bytes
    ) -> tuple[bool, bytes]:
        """Send an encoded batch as it is; whether it was taken, and the answer as it came."""
        path = f"/v1/streams/{edge_id}/{lane}/{epoch}/{seqs[0]}-{seqs[1]}"
        return await self._put(path, body)

    async def _put(self, path: str, body: bytes) -> tuple[bool, bytes]:
        async with self._request("PUT", path, body=body, kind="application/msgpack") as response:
            answer = await _read(response, UPLINK_BODY_BYTES_MAX)
            if response.status in _REFUSED and response.content_type != PROBLEM_CONTENT_TYPE:
                return False, answer
            _raise_for(response, answer)
            return True, answer

    async def feed(self, cursor: str, wait_s: float) -> FeedPage | FeedReset:
        """What changed after the cursor; central holds the answer back for up to ``wait_s``."""
        return await self._feed(
            "/v1/feed",
            {"cursor": cursor, "wait_s": f"{wait_s:g}", "snapshots": "1"},
            FeedPage,
            read_timeout_s=wait_s + READ_TIMEOUT_S,
        )

    async def feed_buckets(self, cursor: str, topic: str) -> FeedBuckets | FeedReset:
        """What the buckets of a topic add up to, after what changed after the cursor."""
        query = {"cursor": cursor, "topic": topic}
        return await self._feed("/v1/feed/buckets", query, FeedBuckets)

    async def feed_repair(
        self, cursor: str, topic: str, buckets: Sequence[int]
    ) -> FeedRepair | FeedReset:
        """All entries of some buckets of a topic, after what changed after the cursor."""
        query = {"cursor": cursor, "topic": topic, "buckets": bytes(buckets).hex()}
        return await self._feed("/v1/feed/repair", query, FeedRepair)

    async def feed_snapshot(self) -> SnapshotManifest:
        """The pieces of all that this shop has to know."""
        answer = await self._call("GET", "/v1/feed/snapshot", bytes_max=FEED_BODY_BYTES_MAX)
        return _from_msgpack(answer, SnapshotManifest)

    async def feed_chunk(self, sha256: bytes) -> bytes:
        """The bytes of a piece, not yet checked."""
        path = f"/v1/feed/chunks/{sha256.hex()}"
        return await self._call("GET", path, bytes_max=FEED_CHUNK_BYTES_MAX)

    async def bring_file(self, question: BinaryIO) -> AsyncIterator[bytes]:
        """Another agent's file, brought to central as it is; its answer, in pieces."""
        async with self._request(
            "POST",
            FILES_PATH,
            body=question,
            kind="application/octet-stream",
            read_timeout_s=FILE_TIMEOUT_S,
        ) as response:
            if response.status != HTTPStatus.OK:
                _raise_for(response, await _read(response, UPLINK_BODY_BYTES_MAX))
            size_bytes = 0
            async for piece in response.content.iter_any():
                size_bytes += len(piece)
                if size_bytes > SYNC_FILE_BYTES_MAX:
                    raise TooLargeError("central's answer is larger than agreed")
                yield piece

    async def bundle(self, version: int) -> bytes:
        """The bytes of a bundle, not yet checked."""
        return await self._call("GET", f"/v1/bundles/{version}", bytes_max=BUNDLE_BYTES_MAX)

    async def _feed(
        self,
        path: str,
        query: Mapping[str, str],
        kind: type[_T],
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> _T | FeedReset:
        async with self._request(
            "GET", path, query=query, read_timeout_s=read_timeout_s
        ) as response:
            answer = await _read(response, FEED_BODY_BYTES_MAX)
            if response.status == _GONE and response.content_type != PROBLEM_CONTENT_TYPE:
                return _from_msgpack(answer, FeedReset)
            _raise_for(response, answer)
            return _from_msgpack(answer, kind)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str | None = None,
        bytes_max: int = UPLINK_BODY_BYTES_MAX,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> bytes:
        async with self._request(
            method, path, query=query, body=body, kind=kind, read_timeout_s=read_timeout_s
        ) as response:
            answer = await _read(response, bytes_max)
            _raise_for(response, answer)
            return answer

    def _context(self) -> ssl.SSLContext:
        if self._dates is not None and self._ca_file is not None:
            return self._dates.strict_context(self._ca_file)
        return ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)

    def _connector(self, context: ssl.SSLContext) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            ssl=context,
            socket_factory=self._socket,
            resolver=self._addresses,
            keepalive_timeout=KEPT_S,
        )

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        made = _watched_socket(address)
        self._sockets.add(made)
        return made

    async def _note_address(self, response: aiohttp.ClientResponse) -> None:
        """Whoever answered over TLS was central: what is connected now is where it is."""
        if self._addresses is None or response.url.host is None:
            return
        connected = []
        for made in self._sockets:
            with suppress(OSError):
                connected.append(str(made.getpeername()[0]))
        if response.url.host not in connected:  # a name
            await self._addresses.remember(response.url.host, connected)

    async def _ask_time(self, dates: Dates) -> None:
        """The one question for which a certificate's dates are not looked at; no secret is told."""
        assert self._ca_file is not None
        nonce = dates.nonce()
        context = await asyncio.to_thread(dates.lenient_context, self._ca_file)
        connector = aiohttp.TCPConnector(ssl=context, resolver=self._addresses)
        timeout = aiohttp.ClientTimeout(total=READ_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(
                f"{self._base}/v1/time", params={"nonce": nonce.hex()}, allow_redirects=False
            ) as response,
        ):
            answer = await _read(response, UPLINK_BODY_BYTES_MAX)
            _raise_for(response, answer)
        dates.hear(nonce, _from_json(answer, TimeReply))

    @asynccontextmanager
    async def _answer(
        self, dates: Dates | None, method: str, path: str, **how: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One answer; where the time is in doubt, central is asked for it first."""
        assert self._session is not None, "open the transport first"
        url = self._base + path
        try:
            response = await self._session.request(method, url, **how)
        except aiohttp.ClientConnectorCertificateError as error:
            doubted = isinstance(error.certificate_error, DatesError)
            if dates is None or dates.told or not doubted:
                raise
            await self._ask_time(dates)
            response = await self._session.request(method, url, **how)
        async with response:
            yield response

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | BinaryIO | None = None,
        kind: str | None = None,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._answer(
                self._dates,
                method,
                path,
                params=query,
                data=body,
                headers={"Content-Type": kind} if kind else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=read_timeout_s
                ),
            ) as response:
                await self._note_address(response)
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise _bad_certificate(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(
                f"central cannot be reached: {type(error).__name__}", code="no_link"
            ) from error


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """The body, counted while it comes: a stated length is not trusted."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise TooLargeError(f"central's answer has more than {bytes_max} bytes")
    return bytes(body)


def _bad_certificate(error: aiohttp.ClientConnectorCertificateError) -> UnavailableError:
    if isinstance(error.certificate_error, DatesError):
        return UnavailableError(
            "central's certificate is not of today",
            code="bad_certificate_dates",
            hint="Look at the clock of this machine and at central's certificate.",
        )
    return UnavailableError(
        "central's certificate is not signed by the trusted authority",
        code="bad_certificate",
        hint="Check ca_file in edge.toml.",
    )


def _raise_for(response: aiohttp.ClientResponse, body: bytes) -> None:
    if response.status == 200 and response.content_type in _KINDS:
        return
    problem: Any = None
    if response.content_type == PROBLEM_CONTENT_TYPE:
        problem = _from_json(body, Problem)
    if problem is None and response.status < 500 and response.status not in _BUSY:
        # Whatever this is, it is not central that refuses: no contact, and nothing to obey.
        raise _not_central(f"{response.status} {response.content_type}")
    message = f"central answered {response.status}" + (f": {problem.detail}" if problem else "")
    code = problem.code if problem else None
    hint = problem.hint if problem else None
    error = _ERRORS.get(response.status)
    if error is None:
        retry_after_s = _seconds(response.headers.get("Retry-After"))
        kind = BusyError if response.status == HTTPStatus.TOO_MANY_REQUESTS else UnavailableError
        raise kind(message, code=code, hint=hint, retry_after_s=retry_after_s)
    raise error(message, code=code, hint=hint, pointer=problem.pointer if problem else None)


def _seconds(text: str | None) -> float | None:
    """The wait in a Retry-After header; a date in its place is not believed."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _watched_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket on which a peer that vanished is noticed, whether or not anything is being sent."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(READ_TIMEOUT_S * 1000))
    return made


def _from_json(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise _not_central(error) from error


def _from_msgpack(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNREADABLE as error:
        raise _not_central(error) from error


def _not_central(error: object) -> UnavailableError:
    # A captive portal, say: something answered, but not central.
    return UnavailableError(
        f"what answered does not speak like central: {error}",
        code="not_central",
        hint="Check central_url in edge.toml.",
    )

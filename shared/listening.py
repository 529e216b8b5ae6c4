"""A listener that nobody can hold up: who dribbles, stays silent or does not read is left.

HTTP lets a stranger open a connection and keep it for ever: by a request whose head never ends, by
a body of one byte a minute, by never reading the answer. Each costs a socket and memory, and some
hundreds of them cost the shop its till. So every connection is looked at once a second, and one
that does not keep up with the slowest link that is served is cut off. When there are too many, the
one that has asked for nothing for the longest gives way.
"""

from __future__ import annotations

import asyncio
import fcntl
import resource
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import web

SILENCE_S: Final = 10.0
"""For the head of a request, between two parts of a body, for a TLS handshake."""
BYTES_PER_S_MIN: Final = 1024
"""The slowest link that is served is 64 kbit/s; an eighth of it is nobody's."""
IDLE_S: Final = 75.0
"""Between two requests on one connection: longer than the longest pause of an agent or a till."""
CONNECTIONS_MAX: Final = 256
"""Of a shop's registers, with much to spare."""
DESCRIPTORS_KEPT: Final = 200
"""For the database, files and whatever else this process opens."""
SHOP_DESCRIPTORS_KEPT: Final = 60
"""The same in an agent, which has about twenty open, and some more while it looks at its files."""
_SHOP_CONNECTIONS_MIN: Final = 16
_ACKED_AT: Final = 120
"""Where ``tcpi_bytes_acked`` stands in Linux' ``struct tcp_info``."""
_NO_LINGERING: Final = struct.pack("ii", 1, 0)
_LOOK_S: Final = 1.0
_SHUTDOWN_S: Final = 5.0
_DESCRIPTORS_WANTED: Final = 65_536
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Connection(asyncio.Protocol):
    """Stands between the transport and aiohttp's protocol, and sees what passes."""

    def __init__(self, inner: asyncio.Protocol, site: PatientSite) -> None:
        self._inner = inner
        self._site = site
        self._now_s = asyncio.get_running_loop().time
        self._transport: asyncio.Transport | None = None
        self._request: web.Request | None = None
        self._body_since_s = self._heard_s = self._now_s()
        self._body_bytes = 0
        self._unread_since_s: float | None = None
        self._taken_bytes = 0
        self.waiting_since_s: float | None = self._now_s()
        """Since when the head of a request is awaited; None while nothing of one has come."""
        self.idle_since_s = self._now_s()

    @property
    def busy(self) -> bool:
        """Whether a request is worked on."""
        return self._request is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream"
        self._transport = transport
        self._site.note_made(self)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.note_lost(self)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._now_s()
        self._body_bytes += len(data)
        if self._request is None and self.waiting_since_s is None:
            self.waiting_since_s = self._heard_s
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def begun(self, request: web.Request) -> None:
        """The head of a request is here."""
        self._request = request
        self.waiting_since_s = None
        self._body_since_s = self._heard_s = self._now_s()
        self._body_bytes = 0

    def done(self) -> None:
        """Its answer is made."""
        self._request = None
        self.idle_since_s = self._now_s()

    def look(self) -> None:
        """Leave a peer that does not keep up."""
        now_s = self._now_s()
        if self._head_is_late(now_s) or self._body_is_slow(now_s) or self._is_not_read(now_s):
            self.leave()

    def leave(self) -> None:
        """Cut it off; nothing is sent any more, and the system keeps nothing for it either."""
        if self._transport is not None:
            end = self._transport.get_extra_info("socket")
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            self._transport.abort()

    def _head_is_late(self, now_s: float) -> bool:
        return self.waiting_since_s is not None and now_s - self.waiting_since_s > SILENCE_S

    def _body_is_slow(self, now_s: float) -> bool:
        if self._request is None or self._request.content.is_eof():
            return False
        assert self._transport is not None
        if not self._transport.is_reading():  # it is we who are slow
            self._body_since_s = self._heard_s = now_s
            self._body_bytes = 0
            return False
        spent_s = now_s - self._body_since_s
        too_few = spent_s > SILENCE_S and self._body_bytes < spent_s * BYTES_PER_S_MIN
        return too_few or now_s - self._heard_s > SILENCE_S

    def _is_not_read(self, now_s: float) -> bool:
        assert self._transport is not None
        end = self._transport.get_extra_info("socket")
        if self._transport.get_write_buffer_size() == 0 and _unread_bytes(end) == 0:
            self._unread_since_s = None
            return False
        taken = _taken_bytes(end)
        if self._unread_since_s is None:
            self._unread_since_s, self._taken_bytes = now_s, taken
            return False
        spent_s = now_s - self._unread_since_s
        if spent_s < SILENCE_S:
            return False
        too_few = taken - self._taken_bytes < spent_s * BYTES_PER_S_MIN
        self._unread_since_s, self._taken_bytes = now_s, taken
        return too_few


class PatientSite(web.BaseSite):
    """Where an application is served: ``host`` and ``port``, 0 lets the system choose.

    ``runner`` is from ``patiently``; ``reuse_port``: other processes serve the same address too.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        connections_max: int = CONNECTIONS_MAX,
        reuse_port: bool = False,
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._reuse_port = reuse_port
        self._host = host
        self._port = port
        self._connections_max = connections_max
        self._connections: dict[_Connection, None] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """For aiohttp's own messages."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be listened at.
        """
        await super().start()
        serve = self._runner.server
        assert serve is not None, "set the runner up first"
        encrypted = self._ssl_context is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(serve(), self),
            self._host,
            self._port,
            ssl=self._ssl_context,
            reuse_port=self._reuse_port or None,
            ssl_handshake_timeout=SILENCE_S if encrypted else None,
            ssl_shutdown_timeout=_SHUTDOWN_S if encrypted else None,
        )
        self._watch = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Listen no more."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        await super().stop()

    def note_made(self, connection: _Connection) -> None:
        """One more; when that is too many, somebody has to give way."""
        if len(self._connections) >= self._connections_max:
            leaving = self._least_busy(connection)
            # At once: until its end is told, others may come who would choose the same one.
            self._connections.pop(leaving, None)
            leaving.leave()
            if leaving is connection:
                return
        self._connections[connection] = None

    def note_lost(self, connection: _Connection) -> None:
        """One less."""
        self._connections.pop(connection, None)

    def _least_busy(self, newest: _Connection) -> _Connection:
        """Who asks for nothing for the longest; strangers before those who asked once."""
        waiting = [each for each in self._connections if each.waiting_since_s is not None]
        if waiting:
            return min(waiting, key=lambda each: each.waiting_since_s or 0.0)
        idle = [each for each in self._connections if not each.busy]
        return min(idle, key=lambda each: each.idle_since_s, default=newest)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            for connection in list(self._connections):
                connection.look()


def patiently(app: web.Application, *, stop_grace_s: float) -> web.AppRunner:
    """The runner of an application that a ``PatientSite`` serves.

    ``stop_grace_s``: how long open requests may take to finish when it is told to stop.
    """
    app.middlewares.insert(0, _watched)
    return web.AppRunner(
        app, access_log=None, shutdown_timeout=stop_grace_s, keepalive_timeout=IDLE_S
    )


@web.middleware
async def _watched(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Tell the connection of a request that it is worked on."""
    connection = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(connection, _Connection):  # served otherwise, as in a test
        return await handler(request)
    connection.begun(request)
    try:
        return await handler(request)
    finally:
        connection.done()


def _unread_bytes(end: socket.socket) -> int:
    """What the system keeps of an answer because the peer has not confirmed it."""
    try:
        kept = fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except (OSError, ValueError):  # it is closed
        return 0
    return int.from_bytes(kept, sys.byteorder)


def _taken_bytes(end: socket.socket) -> int:
    """What the peer has confirmed since the connection was made.

    Our own buffer is no measure: over a thin line the system takes from it in leaps of a minute.
    """
    try:
        told = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_AT + 8)
    except OSError:
        return 0
    return int.from_bytes(told[_ACKED_AT:], sys.byteorder)


def connections_of_this_process() -> int:
    """How many connections may be open at a time, after the system's limit was raised."""
    return _descriptors() - DESCRIPTORS_KEPT


def connections_of_a_shop() -> int:
    """How many each of an agent's two listeners may have, so that the limit is never reached.

    Where it were, nobody could connect, however many of those who hold on ask for nothing.
    """
    left = (_descriptors() - SHOP_DESCRIPTORS_KEPT) // 2
    return min(max(left, _SHOP_CONNECTIONS_MIN), CONNECTIONS_MAX)


def _descriptors() -> int:
    """The system's limit for this process, raised as far as it may be and is of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else hard
    wanted = min(wanted, _DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft if soft != resource.RLIM_INFINITY else wanted

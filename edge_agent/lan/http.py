"""The shop's own network: a listener at the hub, a caller at the till. Bytes in, bytes out."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Final, Protocol

import aiohttp
from aiohttp import web

from edge_agent.lan.hub import HubGate
from edge_agent.lan.link import NotReachedError
from shared.errors import AppError, UnavailableError
from shared.limits import LAN_BODY_BYTES_MAX, LAN_TIMEOUT_S
from shared.logs import get_logger

CALL_PATH: Final = "/lan/v1/call"
CONTENT_TYPE: Final = "application/vnd.kopilka.lan"
_CONNECT_SHARE: Final = 0.5
"""Of the time a question has left: who is reached then has as long to answer."""
_TRY_S_MIN: Final = 0.2
"""With less time left, another address waits for the next question."""
_ASKED: ContextVar[str | None] = ContextVar("asked", default=None)
"""Where the question of this task went: several questions may be on their way at once."""
_LOG = get_logger(__name__)


def lan_application(gate: HubGate) -> web.Application:
    """What the hub listens with on the shop's network.

    A stranger gets a bare status: nobody who did not sign as an agent of this store learns more.
    """

    async def call(request: web.Request) -> web.Response:
        try:
            answer = await gate.handle(await request.read())
        except UnavailableError:
            return web.Response(status=503)
        except AppError as error:
            _LOG.info("lan.refused", code=error.stable_code)
            return web.Response(status=403)
        return web.Response(body=answer, content_type=CONTENT_TYPE)

    app = web.Application(client_max_size=LAN_BODY_BYTES_MAX)
    app.add_routes([web.post(CALL_PATH, call)])
    return app


class HubPlaces(Protocol):
    """Where the hub may be: ``edge_agent.discovery.policy.Places``."""

    def current(self) -> str | None:
        """The address to ask now; None while none is known."""
        ...

    @property
    def untried(self) -> bool:
        """Whether nobody has failed to answer yet at the address to ask now."""
        ...

    def answered(self, url: str) -> None:
        """The hub has answered at this address."""
        ...

    def failed(self, url: str) -> None:
        """Nobody answered at this address."""
        ...

    def distrusted(self, url: str) -> None:
        """Somebody else than the hub has answered at this address."""
        ...


class HubHttp:
    """Carries sealed questions to where the hub is; ``open`` inside the event loop."""

    def __init__(self, places: HubPlaces) -> None:
        self._places = places
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session."""
        self._session = aiohttp.ClientSession(auto_decompress=False)

    async def close(self) -> None:
        """Close it and its connections."""
        if self._session is not None:
            await self._session.close()

    async def exchange(self, data: bytes) -> bytes:
        """``edge_agent.lan.link.Exchange``; who does not answer within a second does not answer.

        The second is for all addresses of one question: somebody may stand at the till.
        """
        assert self._session is not None, "open it first"
        loop = asyncio.get_running_loop()
        until_s, left_s = loop.time() + LAN_TIMEOUT_S, LAN_TIMEOUT_S
        while True:
            url = self._places.current()
            _ASKED.set(url)
            if url is None:
                raise NotReachedError("no hub was found on the shop's network yet")
            try:
                return await self._exchange(self._session, url, data, left_s)
            except NotReachedError:
                self._places.failed(url)
                left_s = until_s - loop.time()
                # It was surely not asked, so another may be: each once, while there is time.
                if not self._places.untried or left_s < _TRY_S_MIN:
                    raise
            except UnavailableError:
                # Who had but the rest of the second is first at the next question, and judged then.
                if left_s == LAN_TIMEOUT_S:
                    self._places.failed(url)
                raise

    def believe(self, is_hub: bool) -> None:
        """Whether it was the hub that answered; called by the task whose question it was."""
        url = _ASKED.get()
        if url is None:
            return
        if is_hub:
            self._places.answered(url)
        else:
            _LOG.error("hub.impostor", url=url)
            self._places.distrusted(url)

    async def _exchange(
        self, session: aiohttp.ClientSession, url: str, data: bytes, left_s: float
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=left_s, sock_connect=_CONNECT_SHARE * left_s)
        try:
            async with session.post(
                url.rstrip("/") + CALL_PATH,
                data=data,
                headers={"Content-Type": CONTENT_TYPE},
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                body = await _read(response)
                if response.status != 200:
                    raise UnavailableError(f"the hub answered {response.status}")
                return body
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotReachedError(f"the hub is not there: {type(error).__name__}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(
                f"the hub did not answer: {type(error).__name__}", code="no_hub"
            ) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LAN_BODY_BYTES_MAX:
            raise UnavailableError(f"the answer has more than {LAN_BODY_BYTES_MAX} bytes")
    return bytes(body)

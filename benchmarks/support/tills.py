"""Tills that cost next to nothing, so that what is measured is the agent: HTTP/1.1 by hand."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

from support.shop import TOKEN

_LENGTH: Final = b"Content-Length: "
_HEAD_END: Final = b"\r\n\r\n"


class Till(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The agent is there."""
        assert isinstance(transport, asyncio.Transport), "a stream"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or all of it."""
        self._heard += data
        head_end = self._heard.find(_HEAD_END)
        if head_end < 0:
            return
        at = self._heard.index(_LENGTH) + len(_LENGTH)
        body_at = head_end + len(_HEAD_END)
        end = body_at + int(self._heard[at : self._heard.index(b"\r", at)])
        if len(self._heard) >= end:
            status, body = int(self._heard[9:12]), self._heard[body_at:end]
            self._heard = self._heard[end:]
            assert self._answer is not None, "somebody asked"
            self._answer.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Who waits is told."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the agent hung up"))

    async def call(self, request: bytes) -> bytes:
        """The body of the answer, which is 200."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        status, body = await self._answer
        assert status == 200, (status, body[:500])
        return body

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


async def open_till(address: str) -> Till:
    """A till that has reached the agent at this address."""
    place = urlsplit(address)
    _, till = await asyncio.get_running_loop().create_connection(Till, place.hostname, place.port)
    return till


def post(path: str, body: bytes) -> bytes:
    """A whole request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str) -> bytes:
    """A whole question."""
    return f"GET {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()

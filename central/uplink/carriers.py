"""``POST /v1/files``: an agent that has a line brings the file of one that has none."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from central.uplink.enrol import Enrolment
from central.uplink.files import Files
from central.uplink.gate import body_pieces
from shared.clock import Clock
from shared.errors import BusyError, NotFoundError
from shared.limits import SYNC_FILE_BYTES_MAX
from shared.wire.files import FILES_PATH

_PIECE_BYTES: Final = 2**18
_RETRY_S: Final = 30


class Carriers:
    """Takes files in from agents in service, one at a time in a process: they are large."""

    def __init__(self, clock: Clock, enrolment: Enrolment, files: Files | None) -> None:
        self._clock = clock
        self._enrolment = enrolment
        self._files = files
        self._turn = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The address."""
        return [web.post(FILES_PATH, self.bring)]

    async def bring(self, request: web.Request) -> web.StreamResponse:
        """The answer to a question; whose it is stands in it, and only that agent can open it."""
        await self._enrolment.edge_of(request.headers.get("Authorization"))
        if self._files is None:
            raise NotFoundError("no files are taken here")
        if self._turn.locked():
            raise BusyError("another file is being taken in", retry_after_s=_RETRY_S)
        async with self._turn:
            with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
                pieces: AsyncIterator[bytes] = body_pieces(
                    request, self._clock, bytes_max=SYNC_FILE_BYTES_MAX
                )
                async for piece in pieces:
                    question.write(piece)
                answered = await self._files.answer(question, answer)
                answer.seek(0)
                response = web.StreamResponse()
                response.content_type = "application/octet-stream"
                response.content_length = answered.size_bytes
                await response.prepare(request)
                while piece := answer.read(_PIECE_BYTES):
                    await response.write(piece)
                await response.write_eof()
                return response

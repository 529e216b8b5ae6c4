"""The page's part for files carried by hand: export, import, and what came of it.

The command line comes the same way, with a visit's cookie and ``Accept: application/json``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import BodyPartReader, web

from edge_agent.files.incoming import Imported
from edge_agent.files.service import SyncFiles
from shared.errors import AppError, ForbiddenError, InputError
from shared.sync_file import ANSWER_SUFFIX, QUESTION_SUFFIX

_PIECE_BYTES: Final = 2**18
_JSON: Final = "application/json"
Page = Callable[..., web.Response]
"""``Site``'s page with its template's name, the code and the values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    imported: Imported | None = None
    refused: AppError | None = None


class FilesPages:
    """Handlers for who was let in already."""

    def __init__(self, files: SyncFiles) -> None:
        self._files = files

    async def answer(
        self, request: web.Request, path: str, page: Page, ago: Callable[[int | None], str]
    ) -> web.StreamResponse:
        """Whatever is asked for under ``/page/files``."""
        if request.method == "POST":
            refuse_foreign(request)
            if path == "files/export":
                return await self._export(request, page, ago)
            if path == "files/forward":
                return await self._forward(request, page, ago)
            return await self._import(request, page, ago)
        return await self._shown(request, page, ago, _Result())

    async def _shown(
        self,
        request: web.Request,
        page: Page,
        ago: Callable[[int | None], str],
        result: _Result,
    ) -> web.Response:
        state = await self._files.state()
        code = 200 if result.refused is None else 409
        if _wants_json(request):
            told: dict[str, Any] = {"state": msgspec.to_builtins(state)}
            if result.imported is not None:
                told["imported"] = msgspec.to_builtins(result.imported)
            if result.refused is not None:
                told["refused"] = {
                    "code": result.refused.stable_code,
                    "message": result.refused.message,
                    "hint": result.refused.hint,
                }
            return web.Response(status=code, body=msgspec.json.encode(told), content_type=_JSON)
        questions = [
            {
                "number": each.number,
                "made": ago(each.made_at_ms),
                "records": each.records,
                "size_kb": max(1, each.size_bytes // 1024),
                "answered": None if each.answered_at_ms is None else ago(each.answered_at_ms),
            }
            for each in state.questions
        ]
        return page(
            "files.html",
            code=code,
            state=state,
            questions=questions,
            imported=result.imported,
            refused=result.refused,
        )

    async def _export(
        self, request: web.Request, page: Page, ago: Callable[[int | None], str]
    ) -> web.StreamResponse:
        try:
            exported, file = await self._files.export()
        except AppError as error:
            return await self._shown(request, page, ago, _Result(refused=error))
        # Named by the time: numbers begin anew in a database that was lost.
        made = datetime.fromtimestamp(exported.made_at_ms // 1000, UTC)
        when = f"{made:%Y%m%d-%H%M%S}-{exported.made_at_ms % 1000:03}"
        name = f"{self._files.name}-{when}{QUESTION_SUFFIX}"
        told = {"records": exported.records, "left_out": exported.left_out}
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(exported.size_bytes),
            "Kopilka-File": msgspec.json.encode(told).decode("ascii"),
        }
        return await _sent(request, file, headers)

    async def _import(
        self, request: web.Request, page: Page, ago: Callable[[int | None], str]
    ) -> web.StreamResponse:
        try:
            imported = await self._files.take(_pieces(request))
        except AppError as error:
            return await self._shown(request, page, ago, _Result(refused=error))
        return await self._shown(request, page, ago, _Result(imported=imported))

    async def _forward(
        self, request: web.Request, page: Page, ago: Callable[[int | None], str]
    ) -> web.StreamResponse:
        """Another agent's question, brought to head office over this one's line."""
        try:
            answer, size_bytes = await self._files.forward(_pieces(request))
        except AppError as error:
            return await self._shown(request, page, ago, _Result(refused=error))
        headers = {
            "Content-Disposition": f'attachment; filename="kopilka{ANSWER_SUFFIX}"',
            "Content-Length": str(size_bytes),
        }
        return await _sent(request, answer, headers)


async def _sent(
    request: web.Request, file: BinaryIO, headers: dict[str, str]
) -> web.StreamResponse:
    with file:
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        while piece := file.read(_PIECE_BYTES):
            await response.write(piece)
        await response.write_eof()
        return response


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The file as it comes: the whole body, or the first file of a form."""
    if not request.content_type.startswith("multipart/"):
        async for piece in request.content.iter_any():
            yield piece
        return
    try:
        reader = await request.multipart()
        async for part in reader:
            if isinstance(part, BodyPartReader) and part.filename:
                while piece := await part.read_chunk(_PIECE_BYTES):
                    yield piece
                return
    except (ValueError, AssertionError) as error:
        raise InputError("the form cannot be read", code="bad_body") from error
    raise InputError("no file was chosen", code="no_sync_file", hint="Choose the answer's file.")


def refuse_foreign(request: web.Request) -> None:
    """A form comes from this page; the cookie alone would do, for it is sent from nowhere else."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", "null")  # what a page says that tells no referrer
    if site != "same-origin" or (origin != "null" and urlsplit(origin).netloc != request.host):
        raise ForbiddenError("this form is not from this page", code="foreign_form")


def _wants_json(request: web.Request) -> bool:
    return _JSON in request.headers.get("Accept", "")

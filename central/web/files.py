"""Files that agents without a line had carried here: take one in, give its answer."""

from __future__ import annotations

import asyncio
import hmac
import re
import tempfile
from collections.abc import Callable
from typing import BinaryIO, Final

from aiohttp import BodyPartReader, web

from central.database.pool import Pool
from central.staff.service import Session
from central.uplink.files import Files, last_files
from shared.errors import AppError, BusyError, ForbiddenError, InputError, TooLargeError
from shared.limits import SYNC_FILE_BYTES_MAX
from shared.sync_file import ANSWER_SUFFIX, QUESTION_SUFFIX

UPLOAD_PATH: Final = "/files/answer"
SHOWN: Final = 50
MAY_CARRY: Final = frozenset({"admin", "support"})
_PIECE_BYTES: Final = 2**18
_TOKEN_CHARS_MAX: Final = 200
_NAME_CHARS_MAX: Final = 120
Page = Callable[..., web.Response]


class FilesPage:
    """The page and its form. The form is read here, for it is larger than any other."""

    def __init__(self, pool: Pool, files: Files | None) -> None:
        self._pool = pool
        self._files = files
        self._turn = asyncio.Lock()

    async def shown(
        self, page: Page, session: Session, *, refused: AppError | None = None
    ) -> web.Response:
        """What came last, and why a file was refused."""
        async with self._pool.connection() as connection:
            rows = await last_files(connection, SHOWN)
        may_carry = self._files is not None and session.role in MAY_CARRY
        status = 200 if refused is None else 409
        return page("files.html", status=status, rows=rows, refused=refused, may_carry=may_carry)

    async def take(self, request: web.Request, session: Session) -> web.StreamResponse:
        """Take a file in; its answer, to be saved.

        Raises:
            AppError: the file is not good, or this person may not.
        """
        if self._files is None or session.role not in MAY_CARRY:
            raise ForbiddenError("this is for administrators and support", code="role_may_not")
        if self._turn.locked():
            raise BusyError("another file is being taken in", retry_after_s=30)
        async with self._turn:
            with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
                name = await _read_form(request, session.csrf_token, question)
                question.seek(0)
                answered = await self._files.answer(question, answer)
                answer.seek(0)
                response = web.StreamResponse(
                    headers={"Content-Disposition": f'attachment; filename="{_answer_name(name)}"'}
                )
                response.content_type = "application/octet-stream"
                response.content_length = answered.size_bytes
                await response.prepare(request)
                while piece := answer.read(_PIECE_BYTES):
                    await response.write(piece)
                await response.write_eof()
                return response


async def _read_form(request: web.Request, csrf_token: str, out: BinaryIO) -> str:
    """The form's token, which stands first, then the file; the name that the file had.

    Raises:
        ForbiddenError: the token is missing or wrong.
        InputError: there is no file.
        TooLargeError: there is more than any such file has.
    """
    try:
        reader = await request.multipart()
        token = await reader.next()
        given = b""
        if isinstance(token, BodyPartReader) and token.name == "csrf":
            given = await token.read_chunk(_TOKEN_CHARS_MAX)
        if not hmac.compare_digest(given, csrf_token.encode()):
            raise ForbiddenError("the form is not of this session", code="foreign_form")
        file = await reader.next()
        if not isinstance(file, BodyPartReader) or not file.filename:
            raise InputError("no file was chosen", code="no_sync_file")
        while piece := await file.read_chunk(_PIECE_BYTES):
            if out.tell() + len(piece) > SYNC_FILE_BYTES_MAX:
                raise TooLargeError("the file is larger than agreed")
            out.write(piece)
    except (ValueError, AssertionError) as error:
        raise InputError("the form cannot be read", code="bad_body") from error
    return file.filename


def _answer_name(question: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]", "", question)
    return plain[-_NAME_CHARS_MAX:].removesuffix(QUESTION_SUFFIX) + ANSWER_SUFFIX

"""Export and import, one at a time, over copies here, for a stick may be pulled at any time."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from edge_agent.config import CENTRAL_KEY_FILE
from edge_agent.database.reader import Reader
from edge_agent.files.incoming import Imported, Incoming
from edge_agent.files.outgoing import Exported, Outgoing
from edge_agent.uplink.carried import Asked, carried_of, questions_of
from shared.errors import ConflictError, InputError, TooLargeError, UnavailableError
from shared.limits import SYNC_FILE_BYTES_MAX, SYNC_FILES_KEPT_MAX
from shared.logs import get_logger
from shared.sync_file import SyncReader
from shared.wire.files import FilePurpose

_NAMELESS: Final = re.compile(r"[^A-Za-z0-9.-]")
_LOG: Final = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What is being done: ``export`` or ``import``, and how far it is."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesState:
    """``ready``: head office has told its key, so there can be files."""

    ready: bool
    doing: Doing | None
    questions: list[Asked]


class BringsFiles(Protocol):
    """A line to head office."""

    def bring_file(self, question: BinaryIO) -> AsyncIterator[bytes]:
        """The answer to a question, in pieces."""
        ...


class SyncFiles:
    """The files of one agent. ``folder``: where copies lie while they are worked on.

    ``name``: how the names of files begin.
    """

    def __init__(
        self,
        *,
        folder: Path,
        store_id: str,
        edge_id: int,
        reader: Reader,
        outgoing: Outgoing,
        incoming: Incoming,
        central: BringsFiles,
    ) -> None:
        self.name = f"kopilka-{_NAMELESS.sub('_', store_id)}-{edge_id}"
        self._folder = folder
        self._reader = reader
        self._outgoing = outgoing
        self._incoming = incoming
        self._central = central
        self._doing: Doing | None = None

    async def state(self) -> FilesState:
        """What was exported, and what is being done."""
        carried, questions = await self._reader.run(
            lambda connection: (
                carried_of(connection),
                questions_of(connection, SYNC_FILES_KEPT_MAX),
            )
        )
        kept = await asyncio.to_thread((self._folder / CENTRAL_KEY_FILE).exists)
        return FilesState(
            ready=bool(carried.central_key) or kept, doing=self._doing, questions=questions
        )

    async def export(self) -> tuple[Exported, BinaryIO]:
        """Make a question; what it holds, and the file, which goes when it is closed.

        Raises:
            ConflictError: ``files_busy``; ``no_file_key``.
            UnavailableError: the disk refused.
        """
        with self._working("export"):
            copy = self._copy()
            try:
                with _disk():
                    exported = await self._outgoing.write(copy, self._progress)
                    copy.seek(0)
            except BaseException:
                copy.close()
                raise
        _LOG.info("file.exported", records=exported.records, size_bytes=exported.size_bytes)
        return exported, copy

    async def take(self, pieces: AsyncIterator[bytes]) -> Imported:
        """Take an answer in, as it comes in pieces.

        Raises:
            TooLargeError: there is more than any such file has.
            AppError: as ``Incoming.read``, ``files_busy``, or the disk refused.
        """
        with self._working("import"), self._copy() as copy:
            await _keep(copy, pieces)
            imported = await self._incoming.read(copy, self._progress)
        _LOG.info("file.imported", confirmed=imported.confirmed, complete=imported.complete)
        return imported

    async def forward(self, pieces: AsyncIterator[bytes]) -> tuple[BinaryIO, int]:
        """Bring another agent's question to head office; the answer, and how long it is.

        Raises:
            InputError: it is no question.
            AppError: head office refused it or cannot be reached, ``files_busy``, a full disk.
        """
        with self._working("forward"), self._copy() as copy:
            await _keep(copy, pieces)
            if SyncReader(copy).header.purpose is not FilePurpose.QUESTION:
                raise InputError(
                    "this file is an answer of head office's",
                    code="not_a_question",
                    hint="Import it at the agent that asked.",
                )
            copy.seek(0)
            answer = self._copy()
            try:
                with _disk():
                    async for piece in self._central.bring_file(copy):
                        answer.write(piece)
                    size_bytes = answer.tell()
                    answer.seek(0)
            except BaseException:
                answer.close()
                raise
        _LOG.info("file.forwarded", size_bytes=size_bytes)
        return answer, size_bytes

    @contextmanager
    def _working(self, what: str) -> Iterator[None]:
        if self._doing is not None:
            raise ConflictError(
                "another file is being worked on",
                code="files_busy",
                hint="Wait until it is done.",
            )
        self._doing = Doing(what=what, done=0, total=0)
        try:
            yield
        finally:
            self._doing = None

    def _progress(self, done: int, total: int) -> None:
        assert self._doing is not None, "somebody works"
        self._doing = Doing(what=self._doing.what, done=done, total=total)

    def _copy(self) -> BinaryIO:
        """A file without a name: whatever happens, nothing of it stays."""
        with _disk():
            return os.fdopen(_nameless(self._folder), "w+b")


async def _keep(copy: BinaryIO, pieces: AsyncIterator[bytes]) -> None:
    with _disk():
        async for piece in pieces:
            if copy.tell() + len(piece) > SYNC_FILE_BYTES_MAX:
                raise TooLargeError("the file is larger than agreed")
            copy.write(piece)
        copy.seek(0)


def _nameless(folder: Path) -> int:
    descriptor, name = tempfile.mkstemp(dir=folder)
    Path(name).unlink()
    return descriptor


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"the file could not be written: {error.strerror}", code="disk_full"
        ) from error

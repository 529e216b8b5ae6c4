"""The disk under the database: what its refusals mean, and the room kept back for sales.

A full disk is survived: the reserve file is given up, and sales go on in its place. A read-only one
is lived with: pricing goes on from what is in memory, nothing is recorded. After any other failure
nobody knows what is on the medium and what only in the page cache, and asking again would be
answered "all well" for pages that were dropped; so the process must end, and the next start looks
at the medium anew.
"""

from __future__ import annotations

import enum
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from shared.errors import UnavailableError
from shared.limits import RESERVE_BYTES, RESERVE_MARGIN_BYTES
from shared.logs import get_logger
from shared.status import Health, Status

RESERVE_FILE: Final = "reserve"
_LOG = get_logger(__name__)
_PROBE_FILE: Final = "writable"
_PIECE_BYTES: Final = 2**20
_START_ROOM_BYTES: Final = 2**20
"""What a start takes for certain: SQLite's two files beside the database, and a commit."""
_FAILURES: Final = (
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ProtocolError,
)
_PASSING: Final = (
    apsw.FullError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.InterruptError,
    apsw.ProtocolError,
)
_READING: Final = frozenset(
    {
        apsw.SQLITE_IOERR_READ,
        apsw.SQLITE_IOERR_SHORT_READ,
        apsw.SQLITE_IOERR_CORRUPTFS,
        apsw.SQLITE_IOERR_DATA,
    }
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EPERM, errno.EACCES})


class Fault(enum.StrEnum):
    """What a refusal of the disk means; worst last."""

    FULL = "full"
    READ_ONLY = "read_only"
    FAILED = "failed"


def fault_of(error: BaseException, connection: apsw.Connection) -> Fault | None:
    """What an error says of the disk; None: it says nothing of it."""
    if isinstance(error, apsw.FullError):
        return Fault.FULL
    if isinstance(error, apsw.ReadOnlyError):
        return Fault.READ_ONLY
    if isinstance(error, _FAILURES):
        # SQLite calls every refused write but one for want of room an input-output error.
        writing = getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_WRITE
        if writing and connection.system_errno in _READ_ONLY:
            return Fault.READ_ONLY
        return Fault.FAILED
    return None


def is_for_want_of_room(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error, or behind what caused it."""
    while error is not None:
        if isinstance(error, apsw.FullError):
            return True
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        error = error.__cause__
    return False


def is_damage(error: BaseException) -> bool:
    """Whether an error in reading says that the file itself is bad, or cannot be read.

    Want of room, memory, descriptors, time or a lock says nothing of it: what may be whole is
    neither put aside for that nor called bad. A name of which a bit was turned is no text.
    """
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", None) in _READING
    return isinstance(error, (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError))


def is_passing(error: BaseException) -> bool:
    """Whether an error in reading or writing says nothing of what was read or written."""
    if isinstance(error, apsw.IOError):
        return not is_damage(error)
    return isinstance(error, _PASSING)


def is_read_only(folder: Path) -> bool:
    """Whether the disk under a folder takes nothing at all; other troubles are not told here."""
    probe = folder / _PROBE_FILE
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        return error.errno == errno.EROFS
    os.close(descriptor)
    with suppress(OSError):
        probe.unlink()
    return False


def write_log_anew(database: Path) -> None:
    """Put the database's log on the medium again, as it is read now; before the file is opened.

    After a flush that failed the kernel may hold pages that it takes for written and that are not
    on the medium. Read back they look whole; a power cut would take them, and with them all that
    follows them in the log. Written again they are flushed for certain. The bytes stay the same,
    so a cut in the middle does no harm.

    Raises:
        UnavailableError: the medium does not take it.
    """
    log = database.with_name(f"{database.name}-wal")
    if not log.exists():
        return
    try:
        descriptor = os.open(log, os.O_RDWR)
        try:
            at = 0
            while piece := os.pread(descriptor, _PIECE_BYTES, at):
                os.pwrite(descriptor, piece, at)
                at += len(piece)
            if at:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(
            f"{log.name} cannot be written: {error.strerror}", code="disk_failed"
        ) from error


class Disk:
    """The state of one disk. The writer's thread changes it, anybody reads it.

    ``on_failure`` is called once, from any thread, when the process must end.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        on_failure: Callable[[], None] = lambda: None,
        ends_read_only: bool = False,
    ) -> None:
        """``folder``: the database's. Nothing is written before ``hold_reserve``.

        ``ends_read_only``: the process ends when the disk becomes read-only, since the next start
        records sales elsewhere.
        """
        self._folder = folder
        self._reserve = folder / RESERVE_FILE
        self._reserve_bytes = reserve_bytes
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._short = False
        self._fault: Fault | None = None
        self._detail = ""
        self._ends_read_only = ends_read_only
        self._sales_go_elsewhere = False

    @property
    def short(self) -> bool:
        """Whether the reserve was given up, so that only sales and money may take room."""
        return self._short

    @property
    def refuses(self) -> Fault | None:
        """Why nothing can be recorded now; a disk whose sales go elsewhere refuses nothing."""
        return None if self._sales_go_elsewhere else self._fault

    @property
    def fault(self) -> Fault | None:
        """READ_ONLY or FAILED once that was found; it lasts until the process ends."""
        return self._fault

    def hold_reserve(self) -> bool:
        """Keep room back, if there is enough beside it; whether it is kept."""
        if self._fault is not None:
            return False
        try:
            kept = self._reserve.stat().st_size if self._reserve.exists() else 0
            if kept < self._reserve_bytes and not self._allocate(kept):
                self._note_short()
                return False
        except OSError as error:
            if error.errno not in _NO_ROOM:
                _LOG.warning("reserve.failed", detail=error.strerror)
            self._note_short()
            return False
        if self._short:
            self._short = False
            _LOG.info("reserve.restored", bytes=self._reserve_bytes)
        return True

    def make_room_to_start(self) -> None:
        """Give the reserve up where nothing could be opened without its room."""
        try:
            room = os.statvfs(self._folder)
        except OSError:
            return
        if room.f_bavail * room.f_frsize < _START_ROOM_BYTES:
            self.give_up_reserve()

    def give_up_reserve(self) -> bool:
        """The disk is full: make room for sales. Whether there was any."""
        self._note_short()
        try:
            kept = self._reserve.stat().st_size
            os.truncate(self._reserve, 0)
        except OSError:
            return False
        return kept > 0

    def refusal(self, fault: Fault) -> UnavailableError:
        """What a caller is told whose work the disk did not take."""
        if fault is Fault.FULL:
            return UnavailableError(
                "the disk is full, and so is the reserve: this could not be recorded",
                hint="Make room on the agent's disk; the same request can be sent again.",
                code="disk_full",
                retry_after_s=5,
            )
        if fault is Fault.READ_ONLY:
            return UnavailableError(
                "the disk is read-only: prices are calculated, nothing can be recorded",
                hint="Have the agent's disk repaired; write sales down until then.",
                code="disk_read_only",
                retry_after_s=30,
            )
        return UnavailableError(
            "the disk failed: this was not recorded; the agent starts anew",
            hint="Send the same request again in a moment.",
            code="disk_failed",
            retry_after_s=2,
        )

    def fail(self, fault: Fault, detail: str) -> None:
        """Nothing is written any more by this process; after FAILED it must end."""
        assert fault is not Fault.FULL, "a full disk is no end"
        with self._lock:
            known = self._fault
            if known is fault or known is Fault.FAILED:
                return
            self._fault, self._detail = fault, detail
        _LOG.error("disk.failed", fault=fault.value, detail=detail)
        if fault is Fault.FAILED or self._ends_read_only:
            self._on_failure()

    def note_reading(self, error: apsw.Error) -> None:
        """A reader met this. Where a page is bad the next start mends it, so the process ends."""
        if is_damage(error):
            self.fail(Fault.FAILED, f"it went bad: {error}")

    def found_read_only(self, *, sales_go_elsewhere: bool) -> None:
        """It was read-only when the agent started; that is lived with until it can be written."""
        self._fault, self._sales_go_elsewhere = Fault.READ_ONLY, sales_go_elsewhere
        _LOG.error("disk.read_only", sales_go_elsewhere=sales_go_elsewhere)

    def look_again(self) -> None:
        """A disk that was read-only may be written again: then the process starts anew.

        What the kernel kept or dropped meanwhile only a start can tell.
        """
        if self._fault is not Fault.READ_ONLY:
            return
        probe = self._folder / _PROBE_FILE
        with suppress(OSError):
            descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                probe.unlink()
            self.fail(Fault.FAILED, "it can be written again")

    def when_roomy(self, one_round: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """A round that takes room for something else than sales, held back while room is short."""

        async def held_back() -> None:
            if self._short or self._fault is not None:
                raise UnavailableError("it waits for room on the disk", code="disk_full")
            await one_round()

        return held_back

    def status(self) -> Status:
        """How the disk is, as a component."""
        if self._fault is Fault.READ_ONLY:
            message = "read-only: prices are calculated, nothing is recorded"
            if self._sales_go_elsewhere:
                message = "read-only: prices are calculated, sales go to the spare medium"
            return Status(component="disk", health=Health.ERROR, message=message)
        if self._fault is not None:
            message = f"failed: {self._detail}; the agent starts anew"
            return Status(component="disk", health=Health.ERROR, message=message)
        if self._short:
            message = "full: sales are recorded in the reserve, telemetry is dropped"
            return Status(component="disk", health=Health.ERROR, message=message)
        return Status(component="disk", health=Health.OK)

    def _allocate(self, kept_bytes: int) -> bool:
        """Take the reserve's room, unless that would be the last there is."""
        room = os.statvfs(self._folder)
        wanted_bytes = self._reserve_bytes - kept_bytes + RESERVE_MARGIN_BYTES
        if room.f_bavail * room.f_frsize < wanted_bytes:
            return False
        descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._reserve_bytes)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, 0)
            raise
        finally:
            os.close(descriptor)
        return True

    def _note_short(self) -> None:
        if not self._short:
            self._short = True
            _LOG.error("disk.full", reserve_bytes=self._reserve_bytes)

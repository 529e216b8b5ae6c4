"""The spare medium: where sales go while the disk of the database is read-only.

Each fact is appended and flushed before its till is answered, chained to the one before, under no
number: which numbers are free only the database knows. When that can be written again the facts are
taken into it by their uid, each once, and the files are put by under another name. A torn tail ends
a file; every process begins one of its own, so nothing is ever written behind a tear.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import apsw
import msgspec

from edge_agent.database.connection import open_writer
from edge_agent.outbox.held import HeldFact, held_after, held_last
from edge_agent.outbox.store import chain_held
from edge_agent.witness.layout import Waiting, pack, read_pieces
from edge_agent.witness.rebuild import Replay, take_waiting
from edge_agent.witness.slots import sync_folder
from shared.crypto.chain import chain_next
from shared.errors import UnavailableError
from shared.logs import get_logger
from shared.status import Health, Status
from shared.unreadable import UNREADABLE
from shared.wire.enrol import LaneHead
from shared.wire.stream import Lane

SEGMENT_BYTES_MAX: Final = 8 * 2**20
_NAME: Final = "sales-{:09d}.spare"
_PATTERN: Final = "sales-*.spare"
_TAKEN: Final = ".taken"
_STEP: Final = 500
_LOG = get_logger(__name__)
_T = TypeVar("_T")


class Opened(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Every file begins so: whose it is, and the chain's head before it."""

    edge_id: int
    hash: bytes


class Link(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``entry``: an encoded ``Waiting``; ``hash``: the chain's head with it."""

    hash: bytes
    entry: bytes


@dataclass(slots=True, kw_only=True)
class Found:
    """What lies on the medium. ``whole``: nothing is missing between its first fact and its last.

    A torn tail is none of it: what was torn was never answered.
    """

    facts: list[Waiting]
    head: bytes
    whole: bool


_ENCODER: Final = msgspec.msgpack.Encoder()
_OPENED: Final = msgspec.msgpack.Decoder(Opened)
_LINK: Final = msgspec.msgpack.Decoder(Link)
_WAITING: Final = msgspec.msgpack.Decoder(Waiting)


class Spare:
    """The medium's folder; raises OSError where the medium fails."""

    def __init__(self, folder: Path, edge_id: int) -> None:
        """Open the folder, made where there is none.

        Raises:
            UnavailableError: the medium does not take it.
        """
        self.folder = folder
        self._edge_id = edge_id
        self._descriptor: int | None = None
        self._size_bytes = 0
        self._head: bytes | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / "writable"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise UnavailableError(
                f"the spare medium cannot be written: {error.strerror}",
                hint="Check spare_folder in edge.toml.",
                code="no_spare",
            ) from error

    def find(self) -> Found:
        """Every fact of this edge that can be read, in order."""
        found = Found(facts=[], head=_genesis(self._edge_id), whole=True)
        for path in self._files():
            self._read(path, found)
        return found

    def append(self, facts: Sequence[Waiting]) -> None:
        """Append durably."""
        if self._head is None:
            self._head = self.find().head
        if self._descriptor is None or self._size_bytes > SEGMENT_BYTES_MAX:
            self._next_file(self._head)
        assert self._descriptor is not None
        head, pieces = self._head, []
        for fact in facts:
            entry = _ENCODER.encode(fact)
            head = chain_next(head, entry)
            pieces.append(pack(Link(hash=head, entry=entry)))
        self._write(b"".join(pieces))
        self._head = head

    def put_by(self) -> None:
        """What lies here was taken in: keep it once more under another name, and nothing older."""
        for old in self.folder.glob(_PATTERN + _TAKEN):
            with suppress(OSError):
                old.unlink()
        for path in self._files():
            path.rename(path.with_name(path.name + _TAKEN))
        sync_folder(self.folder)

    def close(self) -> None:
        """Close the file that is written."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(_PATTERN))

    def _read(self, path: Path, found: Found) -> None:
        pieces = read_pieces(path.read_bytes())
        opened = _decoded(next(pieces, b""), _OPENED)
        if opened is None:
            return  # a file whose first flush never came: nobody was answered out of it
        if opened.edge_id != self._edge_id:
            _LOG.warning("spare.of_another_edge", edge_id=opened.edge_id)
            return
        if opened.hash != found.head:
            found.whole = False
            found.head = opened.hash
        for payload in pieces:
            link = _decoded(payload, _LINK)
            fact = None if link is None else _decoded(link.entry, _WAITING)
            if link is None or fact is None or chain_next(found.head, link.entry) != link.hash:
                found.whole = False
                return
            found.head = link.hash
            found.facts.append(fact)

    def _next_file(self, head: bytes) -> None:
        self.close()
        names = [path.name.removesuffix(_TAKEN) for path in self.folder.glob("sales-*")]
        number = max((int(name[6:15]) for name in names if name[6:15].isdigit()), default=0) + 1
        self._descriptor = os.open(
            self.folder / _NAME.format(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
        )
        self._size_bytes = 0
        self._write(pack(Opened(edge_id=self._edge_id, hash=head)))
        sync_folder(self.folder)

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None, "a file is open"
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fdatasync(self._descriptor)
        except OSError:
            # Nobody is answered for this, and nothing is written behind it.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size_bytes)
            self.close()
            raise
        self._size_bytes += len(data)


def take_in(database: Path, spare: Spare, replays: Mapping[str, Replay]) -> int:
    """Put what was sold on the spare medium into the database, each fact once; how many came.

    What is there already stays. The files are put by only when all of it is durable, so a cut in
    the middle takes it in again.

    Raises:
        UnavailableError: the database or the medium does not take it; everything is as it was.
    """
    try:
        found = spare.find()
        if not found.facts:
            return 0
        connection = open_writer(database)
        try:
            with connection:
                count = sum(take_waiting(connection, fact, replays) for fact in found.facts)
                for lane in (Lane.MONEY, Lane.AUDIT, Lane.RECEIPTS):
                    while chain_held(connection, int(lane), _STEP):
                        pass
        finally:
            connection.close()
        spare.put_by()
    except (apsw.Error, OSError) as error:
        raise UnavailableError("what was sold on the spare medium was not taken in") from error
    if not found.whole:
        _LOG.error("spare.damaged", facts=len(found.facts))
    _LOG.warning("spare.taken_in", facts=count)
    return count


class SpareGuard:
    """Stands at the commits of a working copy whose facts count only on the spare medium.

    Nothing is spent: what was spent since the copy was taken nobody else would know.
    """

    may_spend: Final = False

    def __init__(self, spare: Spare | None) -> None:
        """``spare`` None: nothing can be recorded at all."""
        self._spare = spare
        self._held_seen = 0
        self._waiting = 0
        self._error: str | None = None

    def opened(self, connection: apsw.Connection, replays: Mapping[str, Replay]) -> None:
        """Bring the working copy up to what was sold on the medium before this start."""
        if self._spare is not None:
            facts = self._spare.find().facts
            with connection:
                for fact in facts:
                    take_waiting(connection, fact, replays)
            self._waiting = len(facts)
        self._held_seen = held_last(connection)

    def is_due(self) -> bool:
        """A copy that nobody keeps need not know the time."""
        return False

    def before_commit(self, connection: apsw.Connection, *, short: bool = False) -> None:
        """Put the new facts on the medium; what raises here is answered to nobody.

        Raises:
            apsw.FullError: the medium is full.
            apsw.ReadOnlyError: it failed otherwise, and takes nothing now.
        """
        del short
        seen = self._held_seen
        facts: list[HeldFact] = []
        while step := held_after(connection, seen, _STEP):
            facts += step
            seen = step[-1].held_id
        if facts:
            assert self._spare is not None, "without it the writer refuses everything"
            try:
                self._spare.append([_waiting(fact) for fact in facts])
            except OSError as error:
                self._error = error.strerror or "the medium failed"
                _LOG.error("spare.failed", detail=self._error)
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise (apsw.FullError if full else apsw.ReadOnlyError)(self._error) from error
            self._error = None
            self._held_seen = seen
            self._waiting += len(facts)

    def after_commit(self, connection: apsw.Connection) -> None:
        """The medium knows already."""

    def heads(self) -> list[LaneHead]:
        """Nothing is said to head office meanwhile."""
        return []

    def statuses(self) -> list[Status]:
        """The medium as a component, where there is one."""
        if self._spare is None:
            return []
        if self._error is not None:
            message = f"nothing is recorded: {self._error}"
            return [Status(component="spare", health=Health.ERROR, message=message)]
        message = f"{self._waiting} records wait for the disk to be repaired"
        return [Status(component="spare", health=Health.WARN, message=message)]

    def close(self) -> None:
        """Close the medium."""
        if self._spare is not None:
            self._spare.close()


def _waiting(fact: HeldFact) -> Waiting:
    return Waiting(
        lane=fact.lane,
        uid=fact.uid,
        recorded_at_ms=fact.recorded_at_ms,
        kind=fact.kind,
        body=fact.body,
        local=fact.local,
    )


def _genesis(edge_id: int) -> bytes:
    return hashlib.sha256(b"kopilka.spare\x00" + str(edge_id).encode()).digest()


def _decoded(data: bytes, decoder: msgspec.msgpack.Decoder[_T]) -> _T | None:
    try:
        return decoder.decode(data)
    except UNREADABLE:
        return None

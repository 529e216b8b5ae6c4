"""What the feed decides, without a database: cursors, answers, pages, horizons, pieces.

The rules stand here alone, so that the same code runs over PostgreSQL (``central.feed.store``) and
over any change log in memory. A twin of the store needs four things, each a few lines:

* a log of ``LogRow``; a transaction's rows are appended when it writes, and become readable when
  it and every transaction with a smaller ``xid`` has ended;
* ``publish``: take such rows, whole transactions only, through ``fold_log``, and give each news
  that comes out the next position (1, 2, 3, ... over all scopes) and ``entry_hash`` as its part of
  its scope's and topic's sum (a deleted key has no part in it);
* ``read``: ``read_cursor``, then ``answer_to``, then ``cut_page`` over the entries of the reader's
  two scopes whose position is greater, in order of position, each key once with its last state;
  a page that is complete carries the sums of both scopes, added;
* ``tend``: ``removable`` tombstones go, and the scope's horizon becomes the last one's position.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from shared.errors import InputError
from shared.limits import (
    FEED_CHUNK_RAW_BYTES_MAX,
    FEED_CURSOR_CHARS_MAX,
    FEED_PAGE_BYTES_MAX,
    FEED_PAGE_CHANGES_MAX,
    TOMBSTONE_KEEP_DAYS,
)
from shared.wire.feed import FeedChange, Operation

FIRST_LOAD_CHANGES_MAX: Final = 5_000
"""What an agent that knows nothing may be told page by page; more comes as a snapshot, which is
made once for all stores and goes on after a cut where it was."""
TOMBSTONE_AGE_MS_MIN: Final = 3_600_000
"""A deletion may be published before an older write of its key, by as much as the longest
transaction takes; until then it must be known."""
SNAPSHOT_AGE_MS_MAX: Final = 3_600_000
SNAPSHOT_BEHIND_MAX: Final = 5_000
"""A snapshot is given out again while it is fresh, or while little has changed since."""
CHUNK_RAW_BYTES_MIN: Final = FEED_CHUNK_RAW_BYTES_MAX // 4
_CHUNK_ENDS_ONE_IN: Final = 512
_MAC_BYTES: Final = 16
_CURSOR: Final = struct.Struct(">QQ")
_CURSOR_BYTES: Final = _CURSOR.size + _MAC_BYTES
_FIRST_RELEASE_CURSOR: Final = re.compile(r"\d{1,19}-\d{1,18}")
_CHANGE_FRAMING_BYTES: Final = 32
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a reader is: after ``position`` of central's ``generation``."""

    generation: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the feed is for one reader.

    ``head`` is the last position given out, ``horizon`` the position up to which tombstones were
    removed from the reader's scopes, ``entries`` how many keys they hold.
    """

    generation: int
    head: int
    horizon: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Answer with a page of what stands after this position."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Answer that the reader must begin again; ``lost``: central itself has lost its last state.

    A cursor that central signed and that is ahead of it was given out by a later central: this one
    was restored from a copy, and needs a new generation before it says anything else.
    """

    reason: str
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """A change as it was written: ``change_id`` grows with every write of one key."""

    xid: int
    change_id: int
    scope: str
    topic: str
    key: str
    operation: Operation
    payload: bytes


class Stated(Protocol):
    """The last state of a key, as the log is folded into it."""

    @property
    def change_id(self) -> int:
        """Of the last write, whether it said anything new or not."""
        ...

    @property
    def operation(self) -> Operation:
        """Put, or one of the tombstones."""
        ...

    @property
    def payload(self) -> bytes:
        """Empty for tombstones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """The last write of a key.

    ``news``: it gets a position, and its ``change_id`` is the version that readers see; otherwise
    only its ``change_id`` is remembered.
    """

    row: LogRow
    news: bool


class Sized(Protocol):
    """A row of a page."""

    @property
    def key(self) -> str:
        """The changed key."""
        ...

    @property
    def payload(self) -> bytes:
        """Its entry."""
        ...


_Row = TypeVar("_Row", bound=Sized)


def seal_cursor(cursor: Cursor, secret: bytes) -> str:
    """A cursor as a reader keeps it; nobody else can make one."""
    data = _CURSOR.pack(cursor.generation, cursor.position)
    return base64.urlsafe_b64encode(data + _mac(data, secret)).decode()


def read_cursor(text: str, secret: bytes) -> Cursor | None:
    """The cursor of a reader; None when another central, or the first release, gave it.

    Raises:
        InputError: ``bad_cursor``: it has the form of no central's cursor.
    """
    if _FIRST_RELEASE_CURSOR.fullmatch(text):
        return None
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        data = b""
    if len(text) > FEED_CURSOR_CHARS_MAX or len(data) != _CURSOR_BYTES:
        raise InputError("this cursor was not given by central", code="bad_cursor")
    body, mac = data[: _CURSOR.size], data[_CURSOR.size :]
    if not hmac.compare_digest(mac, _mac(body, secret)):
        return None
    generation, position = _CURSOR.unpack(body)
    return Cursor(generation=generation, position=position)


def answer_to(
    cursor: Cursor | None, standing: Standing, *, empty: bool, pages_only: bool = False
) -> Read | Reset:
    """How a reader gets from its cursor to the present.

    ``empty``: the reader knows nothing yet, so no tombstone is owed to it. ``pages_only``: it is of
    the first release and cannot begin anew, so it is told everything from the beginning instead;
    deletions that are no longer told it keeps until it is updated.
    """
    answer = _answer_to(cursor, standing, empty=empty)
    return Read(after=0) if pages_only and isinstance(answer, Reset) else answer


def _answer_to(cursor: Cursor | None, standing: Standing, *, empty: bool) -> Read | Reset:
    if empty:
        if standing.entries > FIRST_LOAD_CHANGES_MAX:
            return Reset(reason="first_load")
        return Read(after=0)
    if cursor is None or cursor.generation != standing.generation:
        return Reset(reason="other_generation")
    if cursor.position > standing.head:
        return Reset(reason="other_generation", lost=True)
    if cursor.position < standing.horizon:
        return Reset(reason="too_old")
    return Read(after=cursor.position)


def cut_page(
    rows: Sequence[_Row],
    *,
    more: bool,
    bytes_max: int = FEED_PAGE_BYTES_MAX,
    changes_max: int = FEED_PAGE_CHANGES_MAX,
) -> tuple[list[_Row], bool]:
    """The first of ``rows`` that make one page, and whether nothing stands after them.

    ``more``: there may be further rows. At least one row is given where there is one, so that a
    reader always comes on.
    """
    page: list[_Row] = []
    size_bytes = 0
    for row in rows[:changes_max]:
        size_bytes += change_bytes(row)
        if page and size_bytes > bytes_max:
            break
        page.append(row)
    return page, len(page) == len(rows) and not more


def change_bytes(row: Sized) -> int:
    """What a change takes on the wire, nearly: never less by more than its key's UTF-8."""
    return len(row.payload) + len(row.key) + _CHANGE_FRAMING_BYTES


def fold_log(rows: Iterable[LogRow], known: Mapping[tuple[str, str, str], Stated]) -> list[Folded]:
    """What the rows come to, once per key, in order of ``change_id``.

    The last write of a key is the one with the greatest ``change_id``: that is taken under the lock
    of whatever the change is about, while a transaction that began first may write last, and be
    published first. So an older write may come after a newer one; it counts for nothing, and for
    that the newer one is remembered even where it said nothing new.
    """
    last: dict[tuple[str, str, str], LogRow] = {}
    for row in rows:
        name = (row.scope, row.topic, row.key)
        if name not in last or row.change_id > last[name].change_id:
            last[name] = row
    folded: list[Folded] = []
    for name, row in last.items():
        state = known.get(name)
        if state is None or row.change_id > state.change_id:
            same = state is not None and (row.operation, row.payload) == (
                state.operation,
                state.payload,
            )
            folded.append(Folded(row=row, news=not same))
    return sorted(folded, key=lambda one: one.row.change_id)


def removable(tombstones: Iterable[tuple[int, int]], cursors: Iterable[int], *, now_ms: int) -> int:
    """Up to which position the tombstones of a scope may go; 0: none.

    Args:
        tombstones: (position, published_at_ms) of each.
        cursors: positions of all live readers of the scope.
        now_ms: the present.
    """
    passed = min(cursors, default=None)
    return max(
        (
            position
            for position, published_at_ms in tombstones
            if now_ms - published_at_ms > TOMBSTONE_KEEP_DAYS * _DAY_MS
            or (
                passed is not None
                and position <= passed
                and now_ms - published_at_ms > TOMBSTONE_AGE_MS_MIN
            )
        ),
        default=0,
    )


def snapshot_serves(*, as_of: int, horizon: int, head: int, age_ms: int) -> bool:
    """Whether a snapshot made before may be given out again.

    The pages after it must still be there, and should be few or recent.
    """
    if as_of < horizon or as_of > head:
        return False
    return head - as_of <= SNAPSHOT_BEHIND_MAX or age_ms <= SNAPSHOT_AGE_MS_MAX


class ChunkCutter:
    """Cuts sorted entries into pieces as they come.

    Where a piece ends is decided by the keys in it, so that an entry changed between two snapshots
    changes one piece, and all others keep their names and need not be fetched again.
    """

    def __init__(self) -> None:
        self._chunk: list[FeedChange] = []
        self._size_bytes = 0
        self._ended = False

    def add(self, change: FeedChange) -> list[FeedChange]:
        """Take an entry in; the piece before it, when that is whole now, else nothing."""
        added_bytes = change_bytes(change) + 3 * len(change.key) + len(change.topic)
        whole: list[FeedChange] = []
        if self._ended or self._size_bytes + added_bytes > FEED_CHUNK_RAW_BYTES_MAX:
            whole = self.rest()
        self._chunk.append(change)
        self._size_bytes += added_bytes
        self._ended = self._size_bytes >= CHUNK_RAW_BYTES_MIN and _ends_chunk(change.key)
        return whole

    def rest(self) -> list[FeedChange]:
        """The last piece."""
        chunk = self._chunk
        self._chunk, self._size_bytes, self._ended = [], 0, False
        return chunk


def _ends_chunk(key: str) -> bool:
    return (
        int.from_bytes(hashlib.sha256(key.encode()).digest()[-4:], "big") % (_CHUNK_ENDS_ONE_IN)
        == 0
    )


def _mac(data: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"kopilka.feed.cursor.v1" + data, "sha256")[:_MAC_BYTES]

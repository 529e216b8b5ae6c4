"""The second journal: the shop's records once more, appended on another medium before the answer.

Files are written only at their end, begin with where the chains stood, and are thrown away whole.
A torn tail is cut off when the journal is opened; anything else that cannot be read ends what the
journal is believed to remember.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.witness.layout import (
    Begun,
    Chained,
    Entry,
    Opened,
    Place,
    is_broken_inside,
    pack,
    read_entries,
)
from edge_agent.witness.policy import JournalFacts
from edge_agent.witness.slots import sync_folder
from shared.crypto.chain import chain_next
from shared.errors import UnavailableError
from shared.limits import JOURNAL_SEGMENT_BYTES_MAX

_NAME: Final = "records-{:09d}.journal"
_PATTERN: Final = "records-*.journal"


class Journal:
    """The journal of one folder, open for appending; raises OSError where the medium fails."""

    def __init__(self, folder: Path, edge_id: int) -> None:
        """Open the folder, made where there is none; nothing is written yet.

        Raises:
            UnavailableError: the medium does not take it.
        """
        self._folder = folder
        self._edge_id = edge_id
        self._descriptor: int | None = None
        self._size_bytes = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(
                f"the second journal cannot be opened: {error.strerror}",
                hint="Check journal_folder in edge.toml.",
                code="no_journal",
            ) from error

    def entries(self) -> Iterator[Entry]:
        """All entries of this edge in order, as far as each file can be read."""
        for path in self._files():
            data = path.read_bytes()
            for _, entry in read_entries(data):
                if isinstance(entry, Opened) and entry.edge_id != self._edge_id:
                    break
                yield entry

    def damaged(self) -> list[str]:
        """Names of files that were whole once and are not; raises OSError."""
        return [path.name for path in self._files() if is_broken_inside(path.read_bytes())]

    def append(self, entries: Sequence[Entry], heads: Sequence[Place]) -> None:
        """Append durably. ``heads``: where the chains stood before these entries."""
        if self._descriptor is None or self._size_bytes > JOURNAL_SEGMENT_BYTES_MAX:
            self._next_file(heads)
        assert self._descriptor is not None
        data = b"".join(map(pack, entries))
        written = 0
        while written < len(data):
            written += os.write(self._descriptor, data[written:])
        os.fdatasync(self._descriptor)
        self._size_bytes += len(data)

    def forget_before(self, instant_ms: int, is_unconfirmed: Callable[[bytes], bool]) -> int:
        """Remove files whose facts were all made before an instant and confirmed; how many went.

        ``is_unconfirmed``: of a fact by its uid. The last file stays, and so does one of which
        nothing can be read: a person may want to look at it.
        """
        removed = 0
        for path in self._files()[:-1]:
            if path.stat().st_mtime_ns // 1_000_000 >= instant_ms:
                break
            entries = [entry for _, entry in read_entries(path.read_bytes())]
            if not entries:
                continue
            if any(
                entry.recorded_at_ms >= instant_ms or is_unconfirmed(entry.uid)
                for entry in entries
                if not isinstance(entry, Opened | Begun)
            ):
                break
            path.unlink()
            removed += 1
        return removed

    def close(self) -> None:
        """Close the file that is written."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(_PATTERN))

    def _next_file(self, heads: Sequence[Place]) -> None:
        """Begin a file. A file with a torn tail is never written on: the next one begins whole."""
        self.close()
        files = self._files()
        number = int(files[-1].stem.partition("-")[2]) + 1 if files else 1
        self._descriptor = os.open(
            self._folder / _NAME.format(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
        )
        head = pack(Opened(edge_id=self._edge_id, heads=list(heads)))
        os.write(self._descriptor, head)
        self._size_bytes = len(head)
        sync_folder(self._folder)


@dataclass(slots=True, kw_only=True)
class _Lane:
    """What the journal was found to remember of a lane."""

    place: Place | None = None
    whole: bool = True
    meets: bool = False
    lacks: bool = False


def survey(entries: Iterator[Entry], database: Mapping[int, Place]) -> JournalFacts | None:
    """What a journal remembers, beside the database's heads by lane; None when it is empty."""
    lanes: dict[int, _Lane] = {}
    seen = False
    for entry in entries:
        seen = True
        if isinstance(entry, Opened):
            for place in entry.heads:
                _stand_at(lanes.setdefault(place.lane, _Lane()), place, database)
        elif isinstance(entry, Begun):
            lane = lanes.setdefault(entry.lane, _Lane())
            place = Place(lane=entry.lane, epoch=entry.epoch, seq=0, hash=entry.genesis)
            lane.place = place
            _meet(lane, database.get(entry.lane))
        elif isinstance(entry, Chained):
            _follow(lanes.setdefault(entry.lane, _Lane()), entry, database.get(entry.lane))
    if not seen:
        return None
    return JournalFacts(
        heads={
            number: lane.place
            for number, lane in lanes.items()
            if lane.place is not None and lane.whole
        },
        continues=frozenset(number for number, lane in lanes.items() if lane.whole and lane.meets),
        lacks=frozenset(number for number, lane in lanes.items() if lane.lacks or not lane.whole),
    )


def _stand_at(lane: _Lane, place: Place, database: Mapping[int, Place]) -> None:
    """A file says where it begins: where the one before ended, or something is missing between.

    What is missing does not count against what comes after it: the journal remembers from here on.
    """
    if lane.place != place:
        lane.meets = False
        before = lane.place
        # In one epoch only: a database that was put back begins another where it stands.
        lane.lacks |= before is not None and before.epoch == place.epoch and before.seq < place.seq
    lane.whole = True
    lane.place = place
    _meet(lane, database.get(place.lane))


def _follow(lane: _Lane, entry: Chained, database: Place | None) -> None:
    before = lane.place
    if (
        before is None
        or (entry.epoch, entry.seq) != (before.epoch, before.seq + 1)
        or chain_next(before.hash, entry.record) != entry.hash
    ):
        lane.whole = False
        return
    lane.place = Place(lane=entry.lane, epoch=entry.epoch, seq=entry.seq, hash=entry.hash)
    _meet(lane, database)


def _meet(lane: _Lane, database: Place | None) -> None:
    """Whether what follows can be put behind the database's head."""
    lane.meets = lane.meets or database is None or lane.place == database

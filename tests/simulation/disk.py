"""Media that remember what was committed, and forget in all the ways that media do.

A database is SQLite in memory, opened by the product's own code. A job runs within one instant, so
a crash finds either all of it or nothing; it can still fall between the commit and the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import apsw

from edge_agent.database.connection import open_writer
from edge_agent.database.writer import CommitGuard
from edge_agent.witness.layout import (
    Entry,
    Opened,
    Place,
    Statement,
    is_broken_inside,
    last_statement,
    pack,
    read_entries,
)
from shared.errors import AppError, UnavailableError
from tests.simulation.world import Dice, World

_MEMORY: Final = Path(":memory:")
SYNC_S: Final = (0.001, 0.015)
"""How long a cheap disk takes to make a commit durable."""
_Result = TypeVar("_Result")


@dataclass(slots=True)
class Media:
    """The disks of one machine: the shop's database, and a second medium for small files."""

    database: apsw.Connection = field(default_factory=lambda: _open(None))
    second: dict[str, bytes] = field(default_factory=dict)

    def image(self) -> MediaImage:
        """Both, as a backup or a thief takes them."""
        return MediaImage(database=self.database.serialize("main"), second=dict(self.second))


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaImage:
    """What was on the disks at one moment."""

    database: bytes
    second: dict[str, bytes]

    def media(self) -> Media:
        """Disks with this on them."""
        return Media(database=_open(self.database), second=dict(self.second))


class Writes:
    """The Writer's twin, as long as one process runs."""

    def __init__(
        self,
        world: World,
        owner: str,
        dice: Dice,
        connection: apsw.Connection,
        guard: CommitGuard,
    ) -> None:
        self.world = world
        self.owner = owner
        self.connection = connection
        self.guard = guard
        self.closed = False
        self._dice = dice

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """Do the job in a transaction; returns when it is durable.

        Raises:
            UnavailableError: the machine is down.
            AppError: the job's own; nothing of it is kept.
        """
        await asyncio.sleep(self._dice.uniform(*SYNC_S))
        if self.closed:
            raise UnavailableError("the database is closed")
        try:
            before = self.connection.total_changes()
            with self.connection:
                result = job(self.connection)
                told = self.connection.total_changes() != before or self.guard.is_due()
                if told:
                    self.guard.before_commit(self.connection)
            if told:
                self.guard.after_commit(self.connection)
        except AppError:
            raise
        except Exception as error:
            self.world.surprise(self.owner, error)
            raise
        await asyncio.sleep(0)
        return result


class Reads:
    """The Reader's twin: jobs see what was committed, and must not write."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """What the job finds.

        Raises:
            UnavailableError: the machine is down.
        """
        await asyncio.sleep(0)
        if self._writes.closed:
            raise UnavailableError("the database is closed")
        connection = self._writes.connection
        changes = connection.total_changes()
        result = job(connection)
        assert connection.total_changes() == changes, "a reader writes nothing"
        return result


class SlotFile:
    """``edge_agent.witness.slots.WitnessFile`` on a medium of bytes."""

    def __init__(self, second: dict[str, bytes]) -> None:
        self._second = second

    def read(self) -> Statement | None:
        return last_statement([self._second.get(f"slot{number}", b"") for number in range(2)])

    def write(self, statement: Statement) -> None:
        self._second[f"slot{statement.counter % 2}"] = pack(statement)

    def close(self) -> None:
        pass


class JournalFile:
    """``edge_agent.witness.journal.Journal`` on a medium of bytes: one file for each start."""

    def __init__(self, second: dict[str, bytes], edge_id: int) -> None:
        self._second = second
        self._edge_id = edge_id
        self._name: str | None = None

    def entries(self) -> Iterator[Entry]:
        for name in self._names():
            for _, entry in read_entries(self._second[name]):
                if isinstance(entry, Opened) and entry.edge_id != self._edge_id:
                    break
                yield entry

    def damaged(self) -> list[str]:
        return [name for name in self._names() if is_broken_inside(self._second[name])]

    def append(self, entries: Sequence[Entry], heads: Sequence[Place]) -> None:
        if self._name is None:
            self._name = f"journal{len(self._names()):06d}"
            self._second[self._name] = pack(Opened(edge_id=self._edge_id, heads=list(heads)))
        self._second[self._name] += b"".join(map(pack, entries))

    def forget_before(self, _instant_ms: int, _is_unconfirmed: Callable[[bytes], bool]) -> int:
        return 0

    def close(self) -> None:
        self._name = None

    def _names(self) -> list[str]:
        return sorted(name for name in self._second if name.startswith("journal"))


def _open(image: bytes | None) -> apsw.Connection:
    connection = open_writer(_MEMORY)
    connection.deserialize("main", _empty() if image is None else image)
    return connection


def _empty() -> bytes:
    """A new file with the schema in place, made once."""
    if not _EMPTY:
        connection = open_writer(_MEMORY)
        _EMPTY.append(connection.serialize("main"))
        connection.close()
    return _EMPTY[0]


_EMPTY: list[bytes] = []

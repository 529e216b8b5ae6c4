"""Open the shop's database at start: look at all media, decide, and do what was decided.

Nothing is thrown away: a damaged file is moved to the folder ``aside`` with its log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from edge_agent.clock.store import kept_floor
from edge_agent.clock.trusted import TrustedClock
from edge_agent.database.connection import is_sound, open_writer
from edge_agent.database.disk import is_damage, is_passing, write_log_anew
from edge_agent.outbox.held import enter_recovery, recovery_of
from edge_agent.outbox.store import find_stream, heads_of, known_hash, streams_of, verify_stream
from edge_agent.witness.guard import Guard, floor_of
from edge_agent.witness.journal import Journal, survey
from edge_agent.witness.layout import Place, Statement
from edge_agent.witness.policy import (
    Action,
    Database,
    FileState,
    JournalFacts,
    Start,
    decide_start,
)
from edge_agent.witness.rebuild import Replay, rebuild
from edge_agent.witness.slots import WitnessFile, sync_folder
from shared.clock import BootClock
from shared.errors import AppError, CorruptionError, UnavailableError
from shared.ids import Chance
from shared.logs import get_logger

ASIDE_FOLDER: Final = "aside"
RECOVERY_ID_BYTES: Final = 16
Lapse = Callable[[apsw.Connection], None]
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Where the shop's records are. ``journal``: the folder of the second journal, if wanted."""

    database: Path
    witness: Path
    journal: Path | None
    edge_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What is ready: the writer's guard, the trusted clock, and how the start was decided."""

    guard: Guard
    clock: TrustedClock
    start: Start
    rebuilt: int


def open_media(
    media: Media,
    replays: Mapping[str, Replay],
    *,
    clock: BootClock,
    chance: Chance,
    lapse: Lapse = lambda _connection: None,
) -> Opened:
    """Make the database one that may be written, and stand the guard at it.

    ``replays``: for each kind of fact, what makes its business rows again. ``lapse``: ends rights
    whose giving back is no fact of this agent's, and so was forgotten; with the rebuilding.

    Raises:
        CorruptionError: ``foreign_database``; it was not touched.
        UnavailableError: a medium that is wanted cannot be opened.
    """
    witness = WitnessFile(media.witness, flushed=_stands_alone(media))
    statement = own_statement(witness, media.edge_id)
    journal = None if media.journal is None else Journal(media.journal, media.edge_id)
    write_log_anew(media.database)
    found, connection = _look(media.database, statement)
    beside = Beside(witness=witness, journal=journal, statement=statement, edge_id=media.edge_id)
    start, facts = compare(found, beside)
    if connection is not None and start.rebuild and not _fits(connection, beside, replays):
        # New pages stand beside old ones in it, as a disk leaves them that drops what it was told
        # to keep. Each chain alone looks whole.
        connection.close()
        connection = None
        start, facts = compare(Database(state=FileState.DAMAGED), beside)
    if connection is None:
        if start.set_aside:
            _set_aside(media.database, clock.now_ms())
        connection = open_writer(media.database)
    try:
        return begin(
            connection, start, facts, beside, replays, clock=clock, chance=chance, lapse=lapse
        )
    except apsw.Error as error:
        raise UnavailableError(f"{media.database.name} cannot be written: {error}") from error
    finally:
        connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The media beside the database, open, and what the witness says of this edge."""

    witness: WitnessFile
    journal: Journal | None
    statement: Statement | None
    edge_id: int


def own_statement(witness: WitnessFile, edge_id: int) -> Statement | None:
    """What the witness says of this edge; of another one it says nothing that counts."""
    statement = witness.read()
    if statement is not None and statement.edge_id != edge_id:
        _LOG.warning("witness.of_another_edge", edge_id=statement.edge_id)
        return None
    return statement


def compare(found: Database, beside: Beside) -> tuple[Start, JournalFacts | None]:
    """How the agent starts, and what the journal remembers."""
    facts = None if beside.journal is None else survey(beside.journal.entries(), found.heads)
    start = decide_start(found, _places(beside.statement), facts)
    for note in start.notes:
        _LOG.info("start.noted", note=note)
    return start, facts


def begin(
    connection: apsw.Connection,
    start: Start,
    facts: JournalFacts | None,
    beside: Beside,
    replays: Mapping[str, Replay],
    *,
    clock: BootClock,
    chance: Chance,
    lapse: Lapse = lambda _connection: None,
) -> Opened:
    """Do in the database what was decided, and stand the guard at it."""
    trusted = TrustedClock(clock, kept_floor(connection), floor_of(beside.statement))
    guard = Guard(
        edge_id=beside.edge_id,
        clock=trusted,
        witness=beside.witness,
        journal=beside.journal,
        statement=beside.statement,
    )
    rebuilt: int | None = 0
    if start.rebuild:
        assert beside.journal is not None, "only a journal can give back"
        rebuilt = _rebuild(connection, beside.journal, replays, lapse)
        if rebuilt is None:
            start = Start(action=Action.RECOVER, reason="journal_unusable", notes=start.notes)
    if start.action is Action.RECOVER:
        enter_recovery(
            connection,
            start.reason,
            recovery_id=chance.token_bytes(RECOVERY_ID_BYTES),
            now_ms=trusted.trusted_now_ms(),
        )
        missing = _missing(connection, beside.statement)
        _LOG.error("recovery.lasts", reason=start.reason, **missing)
    elif rebuilt:
        _LOG.warning("database.rebuilt", records=rebuilt, reason=start.reason)
    guard.opened(connection, {} if facts is None else dict(facts.heads))
    return Opened(guard=guard, clock=trusted, start=start, rebuilt=rebuilt or 0)


def look_at(connection: apsw.Connection, statement: Statement | None) -> Database:
    """How an open database is, beside what the witness says.

    Raises:
        CorruptionError: it is damaged.
    """
    verify(connection)
    return _database(connection, statement)


def _stands_alone(media: Media) -> bool:
    """Whether the witness is the only one on another medium than the database's.

    The second journal tells as much, and is flushed itself.
    """
    try:
        database = media.database.parent.stat().st_dev
        return media.journal is None and media.witness.parent.stat().st_dev != database
    except OSError:
        return True


def _look(path: Path, statement: Statement | None) -> tuple[Database, apsw.Connection | None]:
    """How the database is, and a connection to it where it is whole.

    Raises:
        CorruptionError: ``foreign_database``.
        UnavailableError: it cannot be looked at; nothing is said of it.
    """
    if not path.exists():
        return Database(state=FileState.MISSING), None
    connection: apsw.Connection | None = None
    try:
        connection = open_writer(path)
        return look_at(connection, statement), connection
    except (AppError, apsw.Error, UnicodeDecodeError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, AppError):
            if not _is_damaged(error):
                raise
        elif not is_damage(error):
            raise UnavailableError(f"{path.name} cannot be read: {error}") from error
        _LOG.error("database.damaged", detail=str(error))
        return Database(state=FileState.DAMAGED), None


def _is_damaged(error: AppError) -> bool:
    return isinstance(error, CorruptionError) and error.stable_code != "foreign_database"


def verify(connection: apsw.Connection, next_part: Callable[[], None] = lambda: None) -> None:
    """Check the file, its sums, and the chains of all epochs; somebody may write meanwhile.

    It is done in parts, each of one moment, so that the log can be folded between them;
    ``next_part`` is called before each.

    Raises:
        CorruptionError: it is damaged.
        UnavailableError: it could not be looked at, which says nothing of it.
    """
    next_part()
    if not is_sound(connection):
        raise CorruptionError("the database file is damaged", code="damaged_database")
    try:
        for known in streams_of(connection):
            next_part()
            with connection:
                # Read anew: a record that came meanwhile stands in the chain and in the head.
                for head in streams_of(connection):
                    if head.stream_id == known.stream_id:
                        verify_stream(connection, head)
    except (apsw.Error, UnicodeDecodeError) as error:
        if is_damage(error):
            raise CorruptionError(f"the database is damaged: {error}") from error
        raise UnavailableError(f"the database cannot be checked: {error}") from error


def _database(connection: apsw.Connection, statement: Statement | None) -> Database:
    heads = {
        head.lane: Place(lane=head.lane, epoch=head.epoch, seq=head.seq, hash=head.hash)
        for head in heads_of(connection)
    }
    holds: dict[int, bool | None] = {}
    for place in [] if statement is None else statement.heads:
        stream = find_stream(connection, place.lane, place.epoch)
        if stream is not None and place.seq <= stream.seq:
            ours = known_hash(connection, stream, place.seq)
            holds[place.lane] = None if ours is None else ours == place.hash
    recovery = recovery_of(connection)
    return Database(
        state=FileState.WHOLE,
        heads=heads,
        holds=holds,
        recovering=None if recovery is None else recovery.reason,
        forgets=_forgets(connection, statement),
    )


def _forgets(connection: apsw.Connection, statement: Statement | None) -> bool:
    """Whether the witness heard of a commit that this database does not know of."""
    if statement is None or statement.kept_ms == 0:
        return False
    kept = kept_floor(connection)
    if kept is None:
        return True
    if kept.boot_id == statement.boot_id:
        return kept.boot_ns < statement.kept_boot_ns
    return kept.floor_ms < statement.kept_ms


def _places(statement: Statement | None) -> dict[int, Place] | None:
    return None if statement is None else {place.lane: place for place in statement.heads}


def _set_aside(path: Path, now_ms: int) -> None:
    """Move the file and its log away, under a name that says when."""
    aside = path.parent / ASIDE_FOLDER
    try:
        aside.mkdir(mode=0o700, exist_ok=True)
        for part in ("", "-wal", "-shm"):
            source = path.with_name(path.name + part)
            if source.exists():
                source.rename(aside / f"{path.name}.{now_ms}{part}")
        sync_folder(path.parent)
    except OSError as error:
        raise UnavailableError(f"{path.name} is damaged and cannot be put aside") from error


def _rebuild(
    connection: apsw.Connection, journal: Journal, replays: Mapping[str, Replay], lapse: Lapse
) -> int | None:
    """How many facts came back; None when the journal was of no use, and nothing was changed."""
    try:
        with connection:
            count = rebuild(connection, journal.entries(), replays)
            lapse(connection)
    except (CorruptionError, apsw.Error, OSError) as error:
        if is_passing(error):
            # Not the journal's fault. Nothing was changed, so the next start does it all.
            raise UnavailableError(f"the database cannot be rebuilt: {error}") from error
        _LOG.error("journal.unusable", detail=str(error))
        return None
    return count


def _fits(connection: apsw.Connection, beside: Beside, replays: Mapping[str, Replay]) -> bool:
    """Whether what the journal has more can be put into this database; it is not done yet."""
    assert beside.journal is not None, "only a journal can give back"
    trial = apsw.Connection(":memory:")
    try:
        with trial.backup("main", connection, "main") as copy:
            copy.step()
        rebuild(trial, beside.journal.entries(), replays)
    except (CorruptionError, apsw.Error) as error:
        if is_passing(error):
            raise UnavailableError(f"the database cannot be read: {error}") from error
        _LOG.error("database.mixed", detail=str(error))
        return False
    except OSError:
        return True  # a journal that cannot be read is not this database's fault
    finally:
        trial.close()
    return True


def _missing(connection: apsw.Connection, statement: Statement | None) -> dict[str, int]:
    """By the witness: how many records and unconfirmed spends the database may lack."""
    if statement is None:
        return {}
    heads = {head.lane: head for head in heads_of(connection)}
    records = sum(
        place.seq - (heads[place.lane].seq if place.lane in heads else 0)
        for place in statement.heads
        if place.lane not in heads or heads[place.lane].epoch == place.epoch
    )
    return {
        "records_missing": max(records, 0),
        "spends_unconfirmed": sum(lease.spend_count for lease in statement.leases),
        "amount_unconfirmed": sum(lease.spent_amount for lease in statement.leases),
    }

"""Open the shop's database at start: look at all media, decide, and do what was decided.

Nothing is thrown away: a damaged file is moved to the folder ``aside`` with its log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import apsw

from edge_agent.clock.store import kept_floor
from edge_agent.clock.trusted import TrustedClock
from edge_agent.database.connection import open_writer
from edge_agent.database.disk import is_passing, write_log_anew
from edge_agent.outbox.held import enter_recovery
from edge_agent.outbox.store import heads_of
from edge_agent.witness.guard import Guard, floor_of
from edge_agent.witness.journal import Journal, survey
from edge_agent.witness.layout import Place, Statement
from edge_agent.witness.look import look
from edge_agent.witness.policy import (
    Action,
    Database,
    FileState,
    JournalFacts,
    Start,
    decide_start,
    lacks_records,
)
from edge_agent.witness.rebuild import Replay, rebuild
from edge_agent.witness.slots import WitnessFile, read_witness, sync_folder
from shared.clock import BootClock
from shared.errors import CorruptionError, UnavailableError
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
        UnavailableError: the database cannot be opened or looked at; ``no_journal``: it lacks
            records, and the journal that may have them cannot be read.
    """
    beside = _open_beside(media)
    try:
        return _open_database(media, beside, replays, clock=clock, chance=chance, lapse=lapse)
    except BaseException:
        beside.close()
        raise


def _open_database(
    media: Media,
    beside: Beside,
    replays: Mapping[str, Replay],
    *,
    clock: BootClock,
    chance: Chance,
    lapse: Lapse,
) -> Opened:
    write_log_anew(media.database)
    found, connection = look(media.database, beside.statement)
    try:
        start, facts, beside = _compare_as_can_be(found, beside)
        if connection is not None and start.rebuild and not _fits(connection, beside, replays):
            # New pages stand beside old ones in it, as a disk leaves them that drops what it was
            # told to keep. Each chain alone looks whole.
            connection.close()
            connection = None
            start, facts, beside = _compare_as_can_be(Database(state=FileState.DAMAGED), beside)
        if connection is None:
            if start.set_aside:
                _set_aside(media.database, clock.now_ms())
            connection = open_writer(media.database)
        return begin(
            connection, start, facts, beside, replays, clock=clock, chance=chance, lapse=lapse
        )
    except apsw.Error as error:
        raise UnavailableError(f"{media.database.name} cannot be written: {error}") from error
    finally:
        if connection is not None:
            connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The media beside the database, open, and what the witness says of this edge.

    ``witness_error``, ``journal_error``: why one that is wanted is None.
    """

    witness: WitnessFile | None
    journal: Journal | None
    statement: Statement | None
    edge_id: int
    witness_error: str | None = None
    journal_error: str | None = None

    def close(self) -> None:
        """Close the media."""
        if self.witness is not None:
            self.witness.close()
        if self.journal is not None:
            self.journal.close()


def _open_beside(media: Media) -> Beside:
    """Open what can be opened: a shop sells without a stick that was pulled out or is read-only.

    What a witness says that cannot be written is believed all the same.
    """
    witness: WitnessFile | None = None
    journal: Journal | None = None
    witness_error = journal_error = None
    try:
        witness = WitnessFile(media.witness, flushed=_stands_alone(media))
        said = witness.read()
    except (UnavailableError, OSError) as error:
        if witness is not None:
            witness.close()
        witness, witness_error, said = None, str(error), read_witness(media.witness)
        _LOG.warning("witness.failed", detail=witness_error)
    if media.journal is not None:
        try:
            journal = Journal(media.journal, media.edge_id)
        except UnavailableError as error:
            journal_error = error.message
            _LOG.error("journal.failed", detail=journal_error)
    return Beside(
        witness=witness,
        journal=journal,
        statement=_of_edge(said, media.edge_id),
        edge_id=media.edge_id,
        witness_error=witness_error,
        journal_error=journal_error,
    )


def own_statement(witness: WitnessFile, edge_id: int) -> Statement | None:
    """What the witness says of this edge; of another one it says nothing that counts."""
    return _of_edge(witness.read(), edge_id)


def _of_edge(statement: Statement | None, edge_id: int) -> Statement | None:
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


def _compare_as_can_be(
    found: Database, beside: Beside
) -> tuple[Start, JournalFacts | None, Beside]:
    """Compare; without a journal that cannot be opened or read, where nothing is known to lack.

    Raises:
        UnavailableError: ``no_journal``: records are gone, and it may have them. To go on without
            it would leave them behind for good, since recovery is not looked at again.
    """
    if beside.journal is not None:
        try:
            return *compare(found, beside), beside
        except OSError as error:
            beside.journal.close()
            beside = replace(beside, journal=None, journal_error=error.strerror or str(error))
            _LOG.error("journal.failed", detail=beside.journal_error)
    if beside.journal_error is not None and lacks_records(found, _places(beside.statement)):
        raise UnavailableError(
            f"records are missing here that the second journal may have: {beside.journal_error}",
            hint="Put its medium back. Only if it is lost, remove journal_folder from edge.toml:"
            " the shop then sells without what is gone.",
            code="no_journal",
        )
    return *compare(found, beside), beside


def _journal_note(journal: Journal | None, facts: JournalFacts | None) -> str:
    """What a person has to know of a journal that is written, and yet would not give all back."""
    if journal is None:
        return ""
    try:
        damaged = journal.damaged()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if damaged:
        return f"{', '.join(damaged)} is damaged; kopilka-edge verify says what to do"
    if facts is not None and facts.lacks:
        return "records are missing in it; kopilka-edge verify says what to do"
    return ""


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
        witness_error=beside.witness_error,
        journal_error=beside.journal_error,
        journal_note=_journal_note(beside.journal, facts),
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


def _stands_alone(media: Media) -> bool:
    """Whether the witness is the only one on another medium than the database's.

    The second journal tells as much, and is flushed itself.
    """
    try:
        database = media.database.parent.stat().st_dev
        return media.journal is None and media.witness.parent.stat().st_dev != database
    except OSError:
        return True


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

"""Prove that a shop's records agree with themselves: file, indexes, chains, sums, other media.

Nothing is changed, and the agent may work meanwhile: the witness is read before the database, so
it can only be behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from edge_agent.database.connection import is_sound, open_reader
from edge_agent.database.migrate import is_of_this_release
from edge_agent.outbox.store import find_stream, known_hash, verify_chain
from edge_agent.witness.journal import Journal, survey
from edge_agent.witness.layout import Place, Statement
from edge_agent.witness.slots import read_witness
from shared.errors import CorruptionError, UnavailableError
from shared.sqlfile import load_queries
from shared.wire.stream import Lane

_QUERIES: Final = load_queries("edge_agent.witness")
JOURNAL_HINT: Final = (
    "The database has the records. Let the agent send them, back the database up, stop the agent, "
    "look at the medium, move the journal's files elsewhere and start: it begins a new journal."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was proven. ``records``: by lane, how many the chains have here.

    ``witness`` and ``journal``: how many chains they know of; None: there is no such medium.
    """

    records: dict[Lane, int]
    sales: int
    witness: int | None
    journal: int | None


def prove(database: Path, *, witness: Path, journal: Path | None, edge_id: int) -> Proof:
    """Read everything.

    Raises:
        CorruptionError: something does not agree, which the message names.
        UnavailableError: a file cannot be read.
    """
    statement = _own(read_witness(witness), edge_id)
    connection = open_reader(database)
    try:
        with connection:
            records, sales = prove_database(connection)
            if statement is not None:
                for place in statement.heads:
                    _known(connection, place, "the witness")
            remembered = _journal_heads(journal, edge_id)
            for place in remembered or []:
                _known(connection, place, "the journal")
    except apsw.Error as error:
        raise UnavailableError(f"{database.name} cannot be read: {error}") from error
    finally:
        connection.close()
    return Proof(
        records=records,
        sales=sales,
        witness=None if statement is None else len(statement.heads),
        journal=None if remembered is None else len(remembered),
    )


def prove_database(connection: apsw.Connection) -> tuple[dict[Lane, int], int]:
    """Records by lane, and sales whose record was looked for.

    Raises:
        CorruptionError: the file, an index, a sum, a reference or a chain is wrong.
    """
    found: Any = connection.execute(_QUERIES["integrity_check"]).fetchall()
    if found != [("ok",)]:
        raise CorruptionError(
            f"the database file is damaged: {found[0][0]}", code="damaged_database"
        )
    if not is_of_this_release(connection):
        raise CorruptionError(
            "tables or indexes are not those of this release", code="other_schema"
        )
    if not is_sound(connection):
        raise CorruptionError("a sum in the database is not that of its rows", code="wrong_sums")
    if connection.execute(_QUERIES["broken_references"]).fetchall():
        raise CorruptionError("a reference points nowhere", code="broken_reference")
    records = {lane: verify_chain(connection, int(lane)) for lane in Lane}
    row: Any = connection.execute(_QUERIES["sales"]).fetchone()
    sales, unrecorded = row
    if unrecorded:
        raise CorruptionError(f"{unrecorded} sales have no record", code="unrecorded_sales")
    return records, sales


def _known(connection: apsw.Connection, place: Place, who: str) -> None:
    """A place that another medium remembers stands in the chain here."""
    stream = find_stream(connection, place.lane, place.epoch)
    lane = Lane(place.lane).name.lower()
    if stream is None or stream.seq < place.seq:
        raise CorruptionError(
            f"{who} knows of more records of lane {lane}",
            hint="Start the agent: it puts them back or recovers.",
            code="database_behind",
        )
    known = known_hash(connection, stream, place.seq)
    if known is not None and known != place.hash:
        raise CorruptionError(
            f"{who} knows another record {place.seq} of lane {lane}", code="another_chain"
        )


def _journal_heads(folder: Path | None, edge_id: int) -> list[Place] | None:
    if folder is None or not folder.is_dir():
        return None
    journal = Journal(folder, edge_id)
    try:
        damaged, facts = journal.damaged(), survey(journal.entries(), {})
    except OSError as error:
        raise UnavailableError(f"the journal cannot be read: {error.strerror}") from error
    if damaged or (facts is not None and facts.lacks):
        lanes = [] if facts is None else [Lane(lane).name.lower() for lane in sorted(facts.lacks)]
        found = f"{', '.join(damaged)} is damaged" if damaged else f"lacks records of {lanes}"
        raise CorruptionError(
            f"the second journal is not whole: {found}",
            hint=JOURNAL_HINT,
            code="damaged_journal",
        )
    return [] if facts is None else list(facts.heads.values())


def _own(statement: Statement | None, edge_id: int) -> Statement | None:
    return None if statement is None or statement.edge_id != edge_id else statement

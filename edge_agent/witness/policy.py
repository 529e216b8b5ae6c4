"""What to do at start with what the media say. Pure.

The database is believed unless somebody remembers more than it, or it is damaged. Then the shop
recovers: it sells, but numbers and spends nothing until central gives a new epoch. What the
database lacks is first put back from the second journal, if that has all of it. Without a witness
the database is believed, and central's heads are the last that may know better.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.witness.layout import Place


class FileState(enum.StrEnum):
    """How the database file was found."""

    MISSING = "missing"
    DAMAGED = "damaged"
    WHOLE = "whole"


class Action(enum.StrEnum):
    """What follows."""

    GO_ON = "go_on"
    RECOVER = "recover"
    """Sell; number and spend nothing until central gives a new epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The database as found. ``heads`` by lane, of the present epoch.

    ``holds``: by lane, whether its chain has the witness's hash at the witness's number; None where
    that record is no longer kept or the witness is ahead. ``recovering``: why, from an earlier
    start. ``forgets``: the witness knows of a later commit, whatever it was about.
    """

    state: FileState
    heads: Mapping[int, Place] = field(default_factory=dict)
    holds: Mapping[int, bool | None] = field(default_factory=dict)
    recovering: str | None = None
    forgets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """The second journal. ``heads``: how far it goes by lane, each a whole chain.

    ``continues``: lanes in which it holds the database's head (or began with it, or after it), so
    that what follows there can be put behind it. ``lacks``: lanes of which records are missing
    between those that it has.
    """

    heads: Mapping[int, Place]
    continues: frozenset[int]
    lacks: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The decision. ``set_aside``: the file is kept under another name, and a new one made.

    ``rebuild``: first put what the journal has more into the database, business rows included.
    """

    action: Action
    reason: str = ""
    set_aside: bool = False
    rebuild: bool = False
    notes: tuple[str, ...] = ()


def decide_start(
    database: Database, witness: Mapping[int, Place] | None, journal: JournalFacts | None
) -> Start:
    """How the agent starts. ``witness``: its heads by lane; None: there is none to be read."""
    notes = () if witness is not None else ("witness_missing",)
    if database.state is not FileState.WHOLE:
        # What was only promised, and what was spent before the journal began, is forgotten: even
        # with every record back, rights of the old epoch are not to be believed.
        return Start(
            action=Action.RECOVER,
            reason=f"database_{database.state}",
            set_aside=database.state is FileState.DAMAGED,
            rebuild=journal is not None,
            notes=notes,
        )
    if database.recovering is not None:
        return Start(action=Action.RECOVER, reason=database.recovering, notes=notes)
    others = (witness or {}, {} if journal is None else journal.heads)
    if any(held is False for held in database.holds.values()) or any(
        database.heads[lane].number() == place.number() and database.heads[lane].hash != place.hash
        for heads in others
        for lane, place in heads.items()
        if lane in database.heads
    ):
        return Start(action=Action.RECOVER, reason="another_chain", notes=notes)
    behind = _behind(database.heads, witness or {})
    journal_ahead = journal is not None and bool(_behind(database.heads, journal.heads))
    if behind or journal_ahead:
        # The media hear of a commit after it, so the database was put back. The journal gives back
        # every record; what was only promised, to tills and to receipts not yet paid, is in none.
        rebuild = (
            journal is not None
            and _remembers_all(journal, witness)
            and _behind(database.heads, journal.heads) | behind <= journal.continues
        )
        who = "witness" if behind and not rebuild else "journal"
        return Start(
            action=Action.RECOVER,
            reason=f"database_behind_{who}",
            rebuild=rebuild,
            notes=notes,
        )
    if database.forgets:
        # All records are here. What was set aside for a receipt is none, and may be forgotten.
        return Start(action=Action.RECOVER, reason="database_behind_witness", notes=notes)
    if witness is not None and _behind(witness, database.heads):
        notes = (*notes, "witness_behind")
    return Start(action=Action.GO_ON, notes=notes)


def lacks_records(database: Database, witness: Mapping[int, Place] | None) -> bool:
    """Whether records are known to be gone that only a second journal can give back."""
    if database.state is not FileState.WHOLE:
        return True
    return database.recovering is None and bool(_behind(database.heads, witness or {}))


def _behind(heads: Mapping[int, Place], other: Mapping[int, Place]) -> frozenset[int]:
    """Lanes in which ``other`` knows more."""
    return frozenset(
        lane
        for lane, place in other.items()
        if lane not in heads or heads[lane].number() < place.number()
    )


def _remembers_all(journal: JournalFacts, witness: Mapping[int, Place] | None) -> bool:
    if witness is None:
        return bool(journal.heads)
    agree = all(
        place.hash == witness[lane].hash
        for lane, place in journal.heads.items()
        if lane in witness and place.number() == witness[lane].number()
    )
    return bool(journal.heads) and agree and not _behind(journal.heads, witness)

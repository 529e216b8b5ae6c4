"""Who is believed at start: laws over everything that database, witness and journal may say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.witness.layout import Place
from edge_agent.witness.policy import (
    Action,
    Database,
    FileState,
    JournalFacts,
    decide_start,
)
from tests.support.examples import examples

LANES = (0, 1, 2, 3)


def place(lane: int, epoch: int, seq: int, branch: int = 0) -> Place:
    return Place(lane=lane, epoch=epoch, seq=seq, hash=bytes([branch]) * 32)


_PLACES = st.fixed_dictionaries(
    {
        lane: st.builds(
            place,
            st.just(lane),
            st.integers(1, 2),
            st.integers(0, 4),
            st.integers(0, 1),
        )
        for lane in LANES
    }
)
_JOURNALS = st.builds(
    lambda heads, continues: JournalFacts(heads=heads, continues=frozenset(continues)),
    _PLACES,
    st.sets(st.sampled_from(LANES)),
)


@examples(1000)
@given(
    state=st.sampled_from(FileState),
    heads=_PLACES,
    witness=st.none() | _PLACES,
    journal=st.none() | _JOURNALS,
    recovering=st.none() | st.just("before"),
)
def test_nothing_is_numbered_while_somebody_remembers_more(
    state: FileState,
    heads: dict[int, Place],
    witness: dict[int, Place] | None,
    journal: JournalFacts | None,
    recovering: str | None,
) -> None:
    """Going on means: the database, after rebuilding, is behind nobody."""
    found = Database(state=state, heads=heads, recovering=recovering)
    start = decide_start(found, witness, journal)

    if start.action is Action.RECOVER:
        return
    assert state is FileState.WHOLE
    assert recovering is None
    after = dict(heads)
    if start.rebuild:
        assert journal is not None
        for lane, known in journal.heads.items():
            if known.number() > after[lane].number():
                assert lane in journal.continues
                after[lane] = known
    for others in (witness or {}, {} if journal is None else journal.heads):
        for lane, known in others.items():
            assert after[lane].number() >= known.number()
            if after[lane].number() == known.number():
                assert after[lane].hash == known.hash


@examples(300)
@given(heads=_PLACES, less=st.integers(0, 4))
def test_database_ahead_of_its_witness_is_believed(heads: dict[int, Place], less: int) -> None:
    """A power cut between the two leaves the witness behind; a lost one is no reason to stop."""
    witness = {
        lane: place(lane, known.epoch, max(known.seq - less, 0), known.hash[0])
        for lane, known in heads.items()
    }
    holds = dict.fromkeys(LANES, True)
    found = Database(state=FileState.WHOLE, heads=heads, holds=holds)

    assert decide_start(found, witness, None).action is Action.GO_ON
    assert decide_start(found, None, None).action is Action.GO_ON


def test_database_on_another_branch_than_its_witness_recovers() -> None:
    """Longer is not enough: an old copy that traded on has another record at that number."""
    found = Database(state=FileState.WHOLE, heads={1: place(1, 1, 9)}, holds={0: True, 1: False})

    start = decide_start(found, {1: place(1, 1, 5, 1)}, None)
    assert (start.action, start.reason) == (Action.RECOVER, "another_chain")


def test_damaged_file_is_kept_and_no_old_right_believed() -> None:
    """Even with all records back from the journal, what was only promised is forgotten."""
    journal = JournalFacts(heads={1: place(1, 1, 5)}, continues=frozenset({1}))
    start = decide_start(Database(state=FileState.DAMAGED), {1: place(1, 1, 5)}, journal)

    assert (start.action, start.set_aside, start.rebuild) == (Action.RECOVER, True, True)


def test_recovery_outlives_a_restart() -> None:
    """Only central ends it."""
    found = Database(state=FileState.WHOLE, heads={1: place(1, 1, 5)}, recovering="forked")

    start = decide_start(found, {1: place(1, 1, 5)}, None)
    assert (start.action, start.reason) == (Action.RECOVER, "forked")


def test_journal_and_witness_that_disagree_are_no_base_to_build_on() -> None:
    """One of them is of another branch, and nobody here can tell which."""
    found = Database(state=FileState.WHOLE, heads={1: place(1, 1, 5)})
    journal = JournalFacts(heads={1: place(1, 1, 7, 1)}, continues=frozenset({1}))

    assert decide_start(found, {1: place(1, 1, 7, 0)}, journal).action is Action.RECOVER
    assert decide_start(found, {1: place(1, 1, 7, 1)}, journal).rebuild

"""What central makes of batches and hellos, against the plain truth of who wrote what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.uplink.policy import (
    EPOCH_ISSUE_INTERVAL_MS,
    EdgeView,
    HashKey,
    Issue,
    Refuse,
    StreamHead,
    StreamState,
    Take,
    chain_of,
    decide,
    decide_hello,
    hashes_to_compare,
    seq_to_compare,
)
from shared.crypto.chain import chain_fold
from shared.errors import InputError
from shared.wire.enrol import HelloOrder, HelloRequest, LaneHead
from shared.wire.stream import Batch, Lane, RefusalCode
from tests.support.examples import examples

GENESIS = hashlib.sha256(b"genesis").digest()


def chained(records: list[bytes]) -> list[bytes]:
    """The hashes at 0, 1, 2 … of a chain."""
    return [chain_fold(GENESIS, records[:seq]) for seq in range(len(records) + 1)]


def batch_of(records: list[bytes], first: int, last: int) -> Batch:
    hashes = chained(records)
    return Batch(
        schema_version=1,
        first_seq=first,
        last_seq=last,
        previous_hash=hashes[first - 1],
        last_hash=hashes[last],
        raw_bytes=0,
        dictionary_id=0,
        frame=b"",
    )


@dataclass
class Central:
    """The smallest coat that obeys ``decide``: a list of records, and a state."""

    records: list[bytes] = field(default_factory=list)
    state: StreamState = StreamState.OPEN

    def head(self) -> StreamHead:
        return StreamHead(
            epoch=1,
            seq=len(self.records),
            hash=chained(self.records)[-1],
            state=self.state,
        )

    def take(self, records: list[bytes], first: int, last: int) -> Take | Refuse:
        batch = batch_of(records, first, last)
        head = self.head()
        compared = seq_to_compare(head, batch)
        known = chained(self.records)[compared] if compared >= 0 else None
        sent = records[first - 1 : last]
        answer = decide(head, 1, 1, batch, chain_of(batch, sent), known)
        if isinstance(answer, Take):
            self.records += sent[answer.skip :]
        elif answer.freeze:
            self.state = StreamState.FROZEN
        return answer


@given(
    length=st.integers(1, 12),
    runs=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=40),
)
@examples(200)
def test_any_multiset_of_runs_of_one_chain_gives_its_beginning(
    length: int, runs: list[tuple[int, int]]
) -> None:
    """Duplicates, overlaps and reordering: never a fork, never a record twice or out of place."""
    records = [str(number).encode() for number in range(length)]
    central = Central()
    for start, size in runs:
        first = min(start, length)
        last = min(first + size - 1, length)
        had = len(central.records)
        answer = central.take(records, first, last)
        if isinstance(answer, Refuse):
            assert answer.refusal.code is RefusalCode.GAP
            assert (first > had + 1, answer.refusal.seq) == (True, had)
        assert central.records == records[: max(had, last if first <= had + 1 else 0)]
    assert central.state is StreamState.OPEN


@given(
    common=st.integers(0, 6),
    tails=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    turns=st.lists(st.tuples(st.booleans(), st.integers(1, 11), st.integers(1, 11)), max_size=40),
)
@examples(300)
def test_of_two_copies_only_one_chain_is_ever_taken(
    common: int, tails: tuple[int, int], turns: list[tuple[bool, int, int]]
) -> None:
    """What central has is the beginning of one copy's chain; the other's first new one freezes."""
    beginning = [f"both {number}".encode() for number in range(common)]
    copies = [
        beginning + [f"{name} {number}".encode() for number in range(count)]
        for name, count in zip("ab", tails, strict=True)
    ]
    central = Central()
    for which, start, size in turns:
        records = copies[which]
        first = min(start, len(records))
        last = min(first + size - 1, len(records))
        had, state = list(central.records), central.state
        answer = central.take(records, first, last)
        fits = [copy for copy in copies if copy[: len(central.records)] == central.records]
        assert fits
        if isinstance(answer, Refuse) and answer.freeze:
            assert answer.evidence
            assert answer.refusal.code is RefusalCode.FORK
            assert records[: len(had)] != had[: len(records)]
        if state is StreamState.FROZEN:
            assert central.records == had


def test_epochs_are_central_s() -> None:
    """An older epoch is fenced and its bytes kept; one that was never issued is not known."""
    batch = batch_of([b"a"], 1, 1)
    hashes = chain_of(batch, [b"a"])
    head = StreamHead(epoch=2, seq=0, hash=GENESIS, state=StreamState.OPEN)

    fenced = decide(head, 2, 1, batch, hashes, GENESIS)
    unknown = decide(None, 2, 3, batch, hashes, None)

    assert isinstance(fenced, Refuse)
    assert isinstance(unknown, Refuse)
    assert (fenced.refusal.code, fenced.refusal.epoch) == (RefusalCode.FENCED, 2)
    assert unknown.refusal.code is RefusalCode.UNKNOWN_EPOCH
    assert (fenced.evidence, unknown.evidence) == (True, False)
    assert not fenced.freeze
    assert not unknown.freeze


def test_a_batch_that_contradicts_itself_is_no_batch() -> None:
    """The last hash follows from the records, or nothing is decided at all."""
    batch = batch_of([b"a", b"b"], 1, 2)

    for wrong, records in (
        (msgspec.structs.replace(batch, last_hash=GENESIS), [b"a", b"b"]),
        (msgspec.structs.replace(batch, previous_hash=b"short"), [b"a", b"b"]),
        (batch, [b"b", b"a"]),
    ):
        with pytest.raises(InputError):
            chain_of(wrong, records)


# --- hello

DAY_MS = EPOCH_ISSUE_INTERVAL_MS
RECOVERY = b"r" * 16
TRUE = [bytes([lane]) * 31 + bytes([seq]) for lane in Lane for seq in range(20)]


def at(lane: int, seq: int) -> bytes:
    """Central's own hash."""
    return TRUE[lane * 20 + seq]


def heads(seq: int, *, epoch: int = 1, other: bool = False) -> list[LaneHead]:
    return [
        LaneHead(lane=lane, epoch=epoch, seq=seq, hash=b"!" * 32 if other else at(lane.value, seq))
        for lane in Lane
    ]


def hello(
    seq: int,
    *,
    epoch: int = 1,
    recovering: bool = False,
    recovery_id: bytes = RECOVERY,
    witness: list[LaneHead] | None = None,
    proofs: list[LaneHead] | None = None,
    other: bool = False,
) -> HelloRequest:
    return HelloRequest(
        agent_version="1",
        started_at_ms=0,
        now_ms=0,
        heads=heads(seq, epoch=epoch, other=other),
        queue_depth=0,
        oldest_queued_at_ms=None,
        bundle_version=None,
        bundle_error=None,
        feed_cursor="",
        components=[],
        epoch=epoch,
        recovering=recovering,
        recovery_id=recovery_id if recovering else b"",
        witness=heads(seq, epoch=epoch) if witness is None else witness,
        proofs=proofs or [],
    )


def edge(
    seq: int,
    request: HelloRequest,
    *,
    epoch: int = 1,
    state: StreamState = StreamState.OPEN,
    last_issue: Issue | None = None,
    is_revoked: bool = False,
) -> EdgeView:
    known: dict[HashKey, bytes] = {
        (lane, in_epoch, number): at(lane, number)
        for lane, in_epoch, number in hashes_to_compare(request)
        if in_epoch == epoch and number <= seq
    }
    return EdgeView(
        is_revoked=is_revoked,
        is_frozen=False,
        newest_epoch=epoch,
        lanes={
            lane.value: StreamHead(epoch=epoch, seq=seq, hash=at(lane.value, seq), state=state)
            for lane in Lane
        },
        known=known,
        last_issue=last_issue,
    )


@pytest.mark.parametrize("central_seq", [0, 3, 5])
def test_streams_that_agree_go_on(central_seq: int) -> None:
    """Whether the edge is ahead, level, or was overtaken by its own batch."""
    for ours in (3, 5, 9):
        asked = hello(ours)
        assert decide_hello(asked, edge(central_seq, asked), 0).order is HelloOrder.CONTINUE


def test_the_longer_chain_with_its_witness_gets_an_epoch_once_a_day() -> None:
    """First told to prove, then given the epoch; within the day it has to enrol anew."""
    frozen = StreamState.FROZEN
    plain = hello(9)
    proving = hello(9, recovering=True, proofs=heads(5))
    bare = hello(9, recovering=True)

    told = decide_hello(plain, edge(5, plain, state=frozen), 0)
    unproved = decide_hello(bare, edge(5, bare, state=frozen), 0)
    given_ = decide_hello(proving, edge(5, proving, state=frozen), 0)
    before = Issue(epoch=1, recovery_id=b"o" * 16, issued_at_ms=0)
    again = [
        decide_hello(proving, edge(5, proving, state=frozen, last_issue=before), now_ms)
        for now_ms in (DAY_MS - 1, DAY_MS)
    ]

    assert (told.order, told.issue) == (HelloOrder.RECOVER, False)
    assert (unproved.order, unproved.issue) == (HelloOrder.RECOVER, False)
    assert (given_.order, given_.issue) == (HelloOrder.RECOVER, True)
    assert [one.order for one in again] == [HelloOrder.REENROL, HelloOrder.RECOVER]
    assert [one.issue for one in again] == [False, True]


def test_a_restored_database_whose_witness_remembers_gets_an_epoch() -> None:
    """Its chain is the beginning of central's; the witness has seen at least as much as central."""
    for witness_seq, order, issue in (
        (5, HelloOrder.RECOVER, True),
        (8, HelloOrder.RECOVER, True),
        (4, HelloOrder.REENROL, False),
        (3, HelloOrder.REENROL, False),
    ):
        asked = hello(3, recovering=True, witness=heads(witness_seq))
        decision = decide_hello(asked, edge(5, asked), 0)
        assert (decision.order, decision.issue) == (order, issue)


def test_a_witness_of_another_history_proves_nothing() -> None:
    """A hash that is not central's own is another copy's, wherever it is stated."""
    for asked in (
        hello(5, other=True),
        hello(9, recovering=True, proofs=heads(5, other=True)),
        hello(9, recovering=True, proofs=heads(5), witness=heads(5, other=True)),
    ):
        decision = decide_hello(asked, edge(5, asked), 0)
        assert (decision.order, decision.issue) == (HelloOrder.REENROL, False)
        assert decision.freeze == tuple(sorted(lane.value for lane in Lane))


def test_a_lost_reply_is_repeated_to_the_recovery_that_it_was_for() -> None:
    """Who began another recovery, or none, is another copy."""
    issued = Issue(epoch=2, recovery_id=RECOVERY, issued_at_ms=0)
    for asked, repeat, order in (
        (hello(9, recovering=True), True, HelloOrder.RECOVER),
        (hello(9, recovering=True, recovery_id=b"x" * 16), False, HelloOrder.REENROL),
        (hello(9), False, HelloOrder.REENROL),
    ):
        decision = decide_hello(asked, edge(0, asked, epoch=2, last_issue=issued), 1)
        assert (decision.order, decision.repeat, decision.issue) == (order, repeat, False)


def test_a_database_from_before_the_epoch_recovers_by_its_witness() -> None:
    """The witness stands in the newest epoch, so this is no old copy but a restored one."""
    issued = Issue(epoch=2, recovery_id=b"o" * 16, issued_at_ms=0)
    asked = hello(9, recovering=True, witness=heads(6, epoch=2))
    view = edge(5, asked, epoch=2, last_issue=issued)

    assert decide_hello(asked, view, DAY_MS).issue
    assert decide_hello(asked, view, DAY_MS - 1).order is HelloOrder.REENROL


def test_the_revoked_are_wiped_and_the_first_release_goes_on() -> None:
    """An agent that states no epoch is not judged by what it cannot say."""
    revoked = hello(3)
    old = msgspec.structs.replace(hello(3, other=True), epoch=0)

    assert decide_hello(revoked, edge(3, revoked, is_revoked=True), 0).order is HelloOrder.WIPE
    assert decide_hello(old, edge(3, old), 0).order is HelloOrder.CONTINUE

"""Decide on batches and hellos. Pure: the coat looks things up, asks here, and does as told.

Two shields stand at ingest: (stream, epoch, seq, hash) gives order, gaps and forks; the record's
uid gives idempotency whatever path, batch, epoch or file brings it. This module is the first.
An epoch is one number for all lanes of an edge. Two copies of one edge must never both go on, so a
new epoch is issued only to the one that shows the longer chain with central's last hash in it and a
witness that came as far, and at most once a day: with copies that take epochs from each other in
turn, every record of theirs would be a fencing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.crypto.chain import HASH_BYTES, chain_next
from shared.errors import InputError
from shared.wire.enrol import HelloOrder, HelloRequest, LaneHead
from shared.wire.stream import Batch, Lane, Refusal, RefusalCode

EPOCH_ISSUE_INTERVAL_MS: Final = 24 * 3_600_000
"""Between two epochs that one edge is given without a person."""
RECOVERY_ID_BYTES: Final = 16
_WITNESSED: Final = (Lane.MONEY, Lane.RECEIPTS, Lane.AUDIT)
"""Telemetry is a ring; nothing hangs on it, and no witness counts it."""

HashKey = tuple[int, int, int]
"""(lane, epoch, seq): where in an edge's streams a chain hash stands."""


class StreamState(enum.StrEnum):
    """What central lets happen to a stream."""

    OPEN = "open"
    FROZEN = "frozen"
    """Two copies wrote."""
    FENCED = "fenced"
    """A newer epoch was issued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """How far central has a stream (edge, lane, epoch)."""

    epoch: int
    seq: int
    hash: bytes
    state: StreamState


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Take the batch without its first ``skip`` records, which central has."""

    skip: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Do not take it. ``evidence``: keep its bytes; ``freeze``: the stream, and raise an alarm."""

    refusal: Refusal
    evidence: bool = False
    freeze: bool = False


def chain_of(batch: Batch, records: Sequence[bytes]) -> list[bytes]:
    """The chain's hash after each record, from the hash that the batch says stood before.

    Raises:
        InputError: the batch contradicts itself.
    """
    previous = batch.previous_hash
    if len(previous) != HASH_BYTES:
        raise InputError("a chain hash is 32 bytes", code="bad_batch")
    hashes: list[bytes] = []
    for record in records:
        previous = chain_next(previous, record)
        hashes.append(previous)
    if previous != batch.last_hash:
        raise InputError("the records do not give the batch's last hash", code="bad_batch")
    return hashes


def seq_to_compare(head: StreamHead, batch: Batch) -> int:
    """At which number ``decide`` must be told central's hash: the last that both sides have.

    Equal hashes there mean that everything before is equal too.
    """
    return min(batch.last_seq, head.seq)


def decide(
    head: StreamHead | None,
    newest_epoch: int,
    epoch: int,
    batch: Batch,
    hashes: Sequence[bytes],
    known_hash: bytes | None,
) -> Take | Refuse:
    """Whether a batch continues what central has.

    ``head``: of the stream the batch names, None where there is none; ``newest_epoch``: that
    central issued for the edge, 0 for none; ``hashes``: ``chain_of`` the batch; ``known_hash``:
    central's own at ``seq_to_compare``, None where it was not kept.
    """
    if epoch < newest_epoch:
        # Evidence, never thrown away: who wrote it sends it again as adopted.
        return _refuse(
            RefusalCode.FENCED,
            StreamHead(epoch=newest_epoch, seq=0, hash=b"", state=StreamState.FENCED),
            "the stream has a newer epoch",
            evidence=True,
        )
    if head is None:
        return _refuse(
            RefusalCode.UNKNOWN_EPOCH,
            StreamHead(epoch=newest_epoch, seq=0, hash=b"", state=StreamState.FENCED),
            "central never issued this epoch",
        )
    if head.state is not StreamState.OPEN:
        return _refuse(RefusalCode.FROZEN, head, "two copies wrote to this stream", evidence=True)
    if batch.first_seq > head.seq + 1:
        return _refuse(RefusalCode.GAP, head, "records before these are missing")
    skip = seq_to_compare(head, batch) - batch.first_seq + 1
    ours = hashes[skip - 1] if skip > 0 else batch.previous_hash
    if ours != known_hash:
        return _refuse(
            RefusalCode.FORK, head, "two copies of this agent wrote", evidence=True, freeze=True
        )
    return Take(skip=skip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An epoch that an edge was given without a person, and the recovery that it was given to."""

    epoch: int
    recovery_id: bytes
    issued_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeView:
    """What central knows of an edge when it says hello.

    ``lanes``: the heads in the newest epoch, by lane; ``known``: central's hashes at
    ``hashes_to_compare``, as far as they were kept.
    """

    is_revoked: bool
    is_frozen: bool
    newest_epoch: int
    lanes: Mapping[int, StreamHead]
    known: Mapping[HashKey, bytes]
    last_issue: Issue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloDecision:
    """What is asked of the edge, and what central does about it.

    ``issue``: give the edge a new epoch; ``repeat``: tell it the newest one's starts again;
    ``freeze``: lanes in which another copy has shown itself.
    """

    order: HelloOrder
    issue: bool = False
    repeat: bool = False
    freeze: tuple[int, ...] = ()
    detail: str = ""


def hashes_to_compare(hello: HelloRequest) -> Iterator[HashKey]:
    """Where ``decide_hello`` needs central's own hashes."""
    for head in (*hello.heads, *hello.witness, *hello.proofs):
        yield int(head.lane), head.epoch, head.seq


def decide_hello(hello: HelloRequest, edge: EdgeView, now_ms: int) -> HelloDecision:
    """What the edge has to do.

    An edge that finds central's heads beyond its own was restored from a copy and begins to recover
    by itself: a hello may have been overtaken by a batch, so only the edge can tell.
    """
    if edge.is_revoked:
        return HelloDecision(order=HelloOrder.WIPE, detail="this agent is revoked")
    if not hello.epoch:
        return HelloDecision(order=HelloOrder.CONTINUE)
    forked = tuple(sorted(_forked_lanes(hello, edge)))
    if forked:
        return HelloDecision(
            order=HelloOrder.REENROL,
            freeze=forked,
            detail="another copy of this agent has written to its streams",
        )
    if edge.is_frozen:
        return HelloDecision(order=HelloOrder.RECOVER, detail="a person has frozen this agent")
    claimed = max((head.epoch for head in hello.witness), default=hello.epoch)
    if hello.epoch > edge.newest_epoch:
        return HelloDecision(
            order=HelloOrder.REENROL, detail="central does not know this epoch any more"
        )
    if hello.epoch < edge.newest_epoch:
        if _repeats(hello, edge):
            return HelloDecision(
                order=HelloOrder.RECOVER, repeat=True, detail="this epoch was issued to this agent"
            )
        if claimed < edge.newest_epoch:
            return HelloDecision(
                order=HelloOrder.REENROL, detail="a newer epoch was given to another copy"
            )
    frozen = any(head.state is not StreamState.OPEN for head in edge.lanes.values())
    if not frozen and not hello.recovering and hello.epoch == edge.newest_epoch:
        return HelloDecision(order=HelloOrder.CONTINUE)
    if not hello.recovering or len(hello.recovery_id) != RECOVERY_ID_BYTES:
        return HelloDecision(order=HelloOrder.RECOVER, detail="prove the streams")
    return _decide_recovery(hello, edge, now_ms)


def _decide_recovery(hello: HelloRequest, edge: EdgeView, now_ms: int) -> HelloDecision:
    if not _proofs_are_current(hello, edge):
        return HelloDecision(order=HelloOrder.RECOVER, detail="prove the streams at these heads")
    if not all(_shows(hello, edge, lane) for lane in edge.lanes):
        return HelloDecision(
            order=HelloOrder.REENROL, detail="its chain or its witness is behind central's"
        )
    last = edge.last_issue
    if last is not None and now_ms - last.issued_at_ms < EPOCH_ISSUE_INTERVAL_MS:
        return HelloDecision(
            order=HelloOrder.REENROL, detail="an epoch was issued less than a day ago"
        )
    return HelloDecision(
        order=HelloOrder.RECOVER, issue=True, detail="a new epoch begins; older leases are dead"
    )


def _forked_lanes(hello: HelloRequest, edge: EdgeView) -> set[int]:
    """Lanes in which the edge states another hash than central's own at the same place."""
    forked: set[int] = set()
    for head in (*hello.heads, *hello.witness, *hello.proofs):
        known = edge.known.get((int(head.lane), head.epoch, head.seq))
        if known is not None and known != head.hash:
            forked.add(int(head.lane))
    return forked


def _repeats(hello: HelloRequest, edge: EdgeView) -> bool:
    last = edge.last_issue
    return (
        last is not None
        and last.epoch == edge.newest_epoch
        and bool(hello.recovery_id)
        and last.recovery_id == hello.recovery_id
    )


def _proofs_are_current(hello: HelloRequest, edge: EdgeView) -> bool:
    """Whether each lane is shown at central's present head, or is behind it and says so."""
    heads = _in_epoch(hello.heads, edge.newest_epoch)
    proofs = _in_epoch(hello.proofs, edge.newest_epoch)
    return all(
        head.seq == 0
        or lane not in heads
        or heads[lane].seq <= head.seq
        or (lane in proofs and proofs[lane].seq == head.seq)
        for lane, head in edge.lanes.items()
    )


def _shows(hello: HelloRequest, edge: EdgeView, lane: int) -> bool:
    """Whether the edge shows that of this lane nobody has more than it had itself.

    Its chain holds central's last hash, or is the beginning of central's chain (a database put
    back from a copy, whose witness remembers the rest). The witness of a copy stands where the
    copy was made, so it must have come as far as central has.
    """
    ours = edge.lanes[lane]
    if ours.seq == 0:
        return True
    epoch = edge.newest_epoch
    head = _in_epoch(hello.heads, epoch).get(lane)
    proof = _in_epoch(hello.proofs, epoch).get(lane)
    witness = _in_epoch(hello.witness, epoch).get(lane)
    if head is None:
        # The database was put back from before this epoch began; only the witness speaks for it.
        chain_agrees = hello.epoch < epoch
    elif head.seq >= ours.seq:
        shown = head if head.seq == ours.seq else proof
        chain_agrees = shown is not None and (shown.seq, shown.hash) == (ours.seq, ours.hash)
    else:
        chain_agrees = edge.known.get((lane, epoch, head.seq)) == head.hash
    if lane not in _WITNESSED:
        return chain_agrees
    if witness is None or witness.seq < ours.seq:
        return False
    return chain_agrees and (witness.seq > ours.seq or witness.hash == ours.hash)


def _in_epoch(heads: Sequence[LaneHead], epoch: int) -> dict[int, LaneHead]:
    return {int(head.lane): head for head in heads if head.epoch == epoch}


def _refuse(
    code: RefusalCode,
    head: StreamHead,
    detail: str,
    *,
    evidence: bool = False,
    freeze: bool = False,
) -> Refuse:
    return Refuse(
        refusal=Refusal(code=code, epoch=head.epoch, seq=head.seq, hash=head.hash, detail=detail),
        evidence=evidence,
        freeze=freeze,
    )

"""Stands at every group commit: trusted time goes in with it, the other media hear of it after it.

The writer's thread calls it; the callers of a group are answered when it is done. It never refuses
a commit: a medium that fails is told of, loudly, and while the second journal is one of them
nothing more is spent, for a spend must be durable on two media. A medium that failed is not
written again before the next start, which compares it with the database first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final

import apsw
import msgspec

from edge_agent.clock.policy import Floor
from edge_agent.clock.store import keep_floor
from edge_agent.clock.trusted import TrustedClock
from edge_agent.outbox.held import forget_telemetry, held_after, held_last, recovery_of
from edge_agent.outbox.store import Head, heads_of, is_unconfirmed, kept_after, known_hash
from edge_agent.witness.journal import Journal
from edge_agent.witness.layout import (
    SLOT_BYTES,
    Begun,
    Chained,
    Entry,
    LeaseTotal,
    Place,
    Statement,
    Waiting,
)
from edge_agent.witness.slots import WitnessFile
from shared.limits import WITNESS_LEASES_MAX
from shared.logs import get_logger
from shared.status import Health, Status
from shared.unreadable import UNREADABLE
from shared.wire.enrol import LaneHead
from shared.wire.facts import FactKind, LeaseSpent
from shared.wire.stream import Lane, Record

_LOG = get_logger(__name__)
TIME_KEPT_EVERY_MS: Final = 60_000
"""Between two commits that only put trusted time down."""
_STEP: Final = 500
_HEADS_BYTES: Final = 4_096
"""Far more than the heads of four lanes and the trusted time take in a slot."""
_TOTAL_BYTES: Final = 32
"""What a lease takes in a slot beside its name."""
_RECORD: Final = msgspec.msgpack.Decoder(Record)
_SPENT: Final = msgspec.msgpack.Decoder(LeaseSpent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spend:
    seq: int
    lease_id: str
    amount: int


class Guard:
    """The media beside the database. ``opened`` once, then the writer calls the other two."""

    def __init__(
        self,
        *,
        edge_id: int,
        clock: TrustedClock,
        witness: WitnessFile | None,
        journal: Journal | None,
        statement: Statement | None,
        witness_error: str | None = None,
        journal_error: str | None = None,
        journal_note: str = "",
    ) -> None:
        """``witness_error``, ``journal_error``: why a medium that is wanted is None.

        ``journal_note``: what is wrong with what the journal has from before.
        """
        self._edge_id = edge_id
        self._clock = clock
        self._witness = witness
        self._journal = journal
        self._statement = statement
        self._counter = 0 if statement is None else statement.counter
        self._kept: Floor | None = None
        self._seen: dict[int, Head] = {}
        self._held_seen = 0
        self._spends: deque[_Spend] = deque()
        self._recovering = False
        self._witness_error = witness_error
        self._journal_error = journal_error
        self._journal_note = journal_note
        self._wants_witness = witness is not None or witness_error is not None
        self._wants_journal = journal is not None or journal_error is not None

    @property
    def may_spend(self) -> bool:
        """Whether rights may be spent: no recovery lasts, and a journal that is wanted is written.

        Read from any thread.
        """
        return not self._recovering and self._journal_error is None

    def statement(self) -> Statement | None:
        """What the witness says now."""
        return self._statement

    def heads(self) -> list[LaneHead]:
        """How far the witness says that the records have come, as it crosses the wire."""
        if self._statement is None:
            return []
        return [
            LaneHead(lane=Lane(place.lane), epoch=place.epoch, seq=place.seq, hash=place.hash)
            for place in self._statement.heads
        ]

    def opened(self, connection: apsw.Connection, journal_heads: dict[int, Place]) -> None:
        """Bring both media up to the database, which was found to be good or is recovering.

        ``journal_heads``: how far the journal goes by lane.
        """
        self._recovering = recovery_of(connection) is not None
        heads = heads_of(connection)
        for head in heads:
            self._seen[head.lane] = head
            if head.lane == Lane.MONEY:
                self._note_spends(connection, head, head.acked_seq)
        self._held_seen = held_last(connection)
        if self._journal is not None:
            self._fill_journal(connection, heads, journal_heads)
        if heads and not self._recovering:
            self._keep_floor(connection)
            self._testify(heads)

    def is_due(self) -> bool:
        """Whether trusted time is put down though nothing is recorded.

        Somebody has asked for it since; a power cut takes no more of it than this.
        """
        if self._kept is None:
            return True
        return self._clock.trusted_now_ms() - self._kept.floor_ms >= TIME_KEPT_EVERY_MS

    def put_time_down(self, connection: apsw.Connection) -> None:
        """A writer's job for quiet hours: keeps trusted time though nothing happens."""
        self._keep_floor(connection)

    def before_commit(self, connection: apsw.Connection, *, short: bool = False) -> None:
        """Put trusted time down in the transaction; while room is short, telemetry goes."""
        if short:
            forget_telemetry(connection)
        self._keep_floor(connection)

    def after_commit(self, connection: apsw.Connection) -> None:
        """Tell the other media what is durable now."""
        try:
            self._tell(connection)
        except Exception as error:  # noqa: BLE001 - the writer's thread must outlive this
            # What was committed stays so; that the other media do not know is the next start's
            # affair.
            self._witness_error = self._journal_error = f"not told: {type(error).__name__}"
            _LOG.exception("guard.failed")

    def close(self) -> None:
        """Close the media."""
        if self._witness is not None:
            self._witness.close()
        if self._journal is not None:
            self._journal.close()

    def prune(self, connection: apsw.Connection, before_ms: int) -> int:
        """Throw away journal files whose facts are older than an instant and confirmed; a job.

        None in recovery: this database may not know what head office lacks.
        """
        if self._journal is None or self._journal_error is not None or self._recovering:
            return 0
        try:
            return self._journal.forget_before(before_ms, partial(is_unconfirmed, connection))
        except OSError as error:
            self._fail_journal(error)
            return 0

    def statuses(self) -> list[Status]:
        """The media and the recovery as components; a medium that is not configured is none."""
        found = [
            Status(
                component="records",
                health=Health.ERROR if self._recovering else Health.OK,
                message="recovering: selling goes on, nothing is spent" if self._recovering else "",
            )
        ]
        if self._wants_witness:
            found.append(_status("witness", self._witness_error, Health.WARN))
        if self._wants_journal:
            told = _status("journal", self._journal_error, Health.ERROR)
            if self._journal_error is None and self._journal_note:
                told = _status("journal", self._journal_note, Health.WARN)
            found.append(told)
        return found

    def _tell(self, connection: apsw.Connection) -> None:
        self._recovering = recovery_of(connection) is not None
        heads = heads_of(connection)
        changed = [head for head in heads if self._is_news(head)]
        waiting_last = held_last(connection)
        if self._journal is not None and (changed or waiting_last > self._held_seen):
            self._journal_commit(connection, changed)
        for head in changed:
            before = self._seen.get(head.lane)
            same = before is not None and before.stream_id == head.stream_id
            if head.lane == Lane.MONEY:
                if not same:
                    self._spends.clear()
                self._note_spends(connection, head, before.seq if same and before else 0)
        for head in heads:
            self._seen[head.lane] = head
        self._held_seen = waiting_last
        if changed or not self._recovering:
            # Though nothing was recorded: what was set aside is in no chain, and a database that
            # forgot it must not pass for one that has everything. In recovery the witness may
            # remember more than the database, and must not forget it.
            self._testify(heads)

    def _keep_floor(self, connection: apsw.Connection) -> None:
        self._kept = self._clock.floor()
        keep_floor(connection, self._kept)

    def _is_news(self, head: Head) -> bool:
        before = self._seen.get(head.lane)
        return before is None or (before.epoch, before.seq) != (head.epoch, head.seq)

    def _testify(self, heads: list[Head]) -> None:
        assert self._kept is not None, "a commit came before"
        self._counter += 1
        floor = self._clock.floor()
        leases, left_out = self._totals(heads)
        self._statement = Statement(
            edge_id=self._edge_id,
            counter=self._counter,
            heads=[_place(head) for head in heads],
            leases=leases,
            left_out=left_out,
            floor_ms=floor.floor_ms,
            boot_id=floor.boot_id,
            boot_ns=floor.boot_ns,
            kept_ms=self._kept.floor_ms,
            kept_boot_ns=self._kept.boot_ns,
            off_ms=floor.off_ms,
        )
        if self._witness is None or self._witness_error is not None:
            return
        try:
            self._witness.write(self._statement)
        except OSError as error:
            self._witness_error = error.strerror or "the medium failed"
            _LOG.error("witness.failed", detail=self._witness_error)

    def _totals(self, heads: list[Head]) -> tuple[list[LeaseTotal], int]:
        acked_seq = next((head.acked_seq for head in heads if head.lane == Lane.MONEY), 0)
        while self._spends and self._spends[0].seq <= acked_seq:
            self._spends.popleft()
        totals: dict[str, tuple[int, int]] = {}
        for spend in self._spends:
            count, amount = totals.get(spend.lease_id, (0, 0))
            totals[spend.lease_id] = (count + 1, amount + spend.amount)
        named: list[LeaseTotal] = []
        room_bytes = SLOT_BYTES - _HEADS_BYTES
        for lease_id, (count, amount) in sorted(totals.items(), key=lambda item: -item[1][1]):
            room_bytes -= len(lease_id.encode()) + _TOTAL_BYTES
            if len(named) == WITNESS_LEASES_MAX or room_bytes < 0:
                break
            named.append(LeaseTotal(lease_id=lease_id, spend_count=count, spent_amount=amount))
        return named, len(totals) - len(named)

    def _note_spends(self, connection: apsw.Connection, head: Head, after_seq: int) -> None:
        while kepts := kept_after(connection, head.stream_id, after_seq, _STEP):
            for kept in kepts:
                record = _RECORD.decode(kept.record)
                if record.kind != FactKind.LEASE_SPENT:
                    continue
                try:
                    spent = _SPENT.decode(record.body)
                except UNREADABLE:
                    continue  # central sets it aside; the writer must not end for it
                if spent.lease_id is not None:
                    self._spends.append(
                        _Spend(seq=kept.seq, lease_id=spent.lease_id, amount=spent.amount)
                    )
            after_seq = kepts[-1].seq

    def _fill_journal(
        self, connection: apsw.Connection, heads: list[Head], known: dict[int, Place]
    ) -> None:
        """Put what the database has more into the journal; a new one gets all that is kept."""
        entries: list[Entry] = []
        stood: list[Place] = []
        for head in heads:
            place = known.get(head.lane)
            if (
                place is not None
                and place.epoch == head.epoch
                and known_hash(connection, head, place.seq) == place.hash
            ):
                stood.append(place)
                entries += _entries(connection, head, place.seq)
            elif place is not None and place.epoch < head.epoch and head.pruned_seq == 0:
                stood.append(place)
                entries.append(Begun(lane=head.lane, epoch=head.epoch, genesis=head.genesis))
                entries += _entries(connection, head, 0)
            else:
                stood.append(
                    Place(
                        lane=head.lane,
                        epoch=head.epoch,
                        seq=head.pruned_seq,
                        hash=head.pruned_hash,
                    )
                )
                entries += _entries(connection, head, head.pruned_seq)
        entries += _waiting(connection, 0)
        self._append(entries, stood)

    def _journal_commit(self, connection: apsw.Connection, changed: list[Head]) -> None:
        entries: list[Entry] = []
        for head in changed:
            before = self._seen.get(head.lane)
            if before is None or before.stream_id != head.stream_id:
                entries.append(Begun(lane=head.lane, epoch=head.epoch, genesis=head.genesis))
                entries += _entries(connection, head, 0)
            else:
                entries += _entries(connection, head, before.seq)
        entries += _waiting(connection, self._held_seen)
        self._append(entries, [_place(head) for head in self._seen.values()])

    def _append(self, entries: list[Entry], stood: list[Place]) -> None:
        if self._journal is None or self._journal_error is not None or not entries:
            return
        try:
            self._journal.append(entries, stood)
        except OSError as error:
            self._fail_journal(error)

    def _fail_journal(self, error: OSError) -> None:
        self._journal_error = error.strerror or "the medium failed"
        _LOG.error("journal.failed", detail=self._journal_error)


def floor_of(statement: Statement | None) -> Floor | None:
    """Trusted time as the witness remembers it."""
    if statement is None:
        return None
    return Floor(
        floor_ms=statement.floor_ms,
        boot_id=statement.boot_id,
        boot_ns=statement.boot_ns,
        off_ms=statement.off_ms,
    )


def _place(head: Head) -> Place:
    return Place(lane=head.lane, epoch=head.epoch, seq=head.seq, hash=head.hash)


def _entries(connection: apsw.Connection, head: Head, after_seq: int) -> list[Entry]:
    found: list[Entry] = []
    while kepts := kept_after(connection, head.stream_id, after_seq, _STEP):
        found += [
            Chained(
                lane=head.lane,
                epoch=head.epoch,
                seq=kept.seq,
                hash=kept.hash,
                uid=kept.uid,
                recorded_at_ms=kept.recorded_at_ms,
                record=kept.record,
                local=kept.local,
            )
            for kept in kepts
        ]
        after_seq = kepts[-1].seq
    return found


def _waiting(connection: apsw.Connection, after: int) -> list[Entry]:
    found: list[Entry] = []
    while facts := held_after(connection, after, _STEP):
        found += [
            Waiting(
                lane=fact.lane,
                uid=fact.uid,
                recorded_at_ms=fact.recorded_at_ms,
                kind=fact.kind,
                body=fact.body,
                local=fact.local,
            )
            for fact in facts
        ]
        after = facts[-1].held_id
    return found


def _status(component: str, error: str | None, when_failed: Health) -> Status:
    return Status(
        component=component,
        health=Health.OK if error is None else when_failed,
        message=error or "",
    )

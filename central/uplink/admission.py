"""Who may send records now, how many, and when to come back. Pure: time and chance are arguments.

After an outage every shop comes back with a day of sales. What is more than can be waited for is
turned away by its headers alone, before its body is read. What waits is taken in turns: shops by
deficit round robin, so that one with a million records delays nobody; live batches before those
of a backlog, and a part of the turns is never given to a backlog, so that a sale made now does not
wait behind yesterday's. An acknowledgement tells its sender how much to send next and when, so that
the shops come in turn instead of knocking.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from shared.limits import BATCH_RECORDS_MAX

QUANTUM_RECORDS: Final = 100
"""Of a shop in one round."""
LIVE_RECORDS_MAX: Final = 50
"""A shop that is up to date sends what it sold in some seconds; a fuller batch is a backlog's."""
LIVE_PPM: Final = 300_000
"""Of the turns that no backlog is given."""
BATCH_RECORDS_MIN: Final = 20
"""Below this the cost of a batch outweighs its records."""
CYCLE_S: Final = 20
"""In which every shop with a backlog should have its turn; batches shrink for it."""
RETRY_S_MAX: Final = 60
ACTIVE_S: Final = 75
"""How long a shop that was heard of counts as one that will come again: more than it is told to
wait."""
_RATE_FIRST: Final = 1_000.0
"""Records a second, until some were measured."""
_RATE_WEIGHT: Final = 0.3
"""Of one measurement in the running mean."""
_MEASURED_NS: Final = 500_000_000
"""Busy time in one measurement of the rate."""
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """``turns``: batches worked on at a time; ``places``: batches that wait or are worked on."""

    turns: int = 10
    places: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Turned away: come back after this long."""

    retry_after_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What an acknowledgement tells its sender."""

    next_batch_records_max: int
    pause_ms: int


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """A batch that was let in. ``sender``: edge and lane, of which one batch is in at a time."""

    store_id: str
    sender: tuple[int, int]
    records: int
    live: bool
    ready: bool = False
    started_ns: int | None = None


@dataclass(slots=True)
class _Class:
    """The queues of live batches or of backlogs: stores in their round, each with its deficit."""

    queues: OrderedDict[str, deque[Ticket]] = field(default_factory=OrderedDict)
    deficits: dict[str, int] = field(default_factory=dict)
    working: int = 0

    def add(self, ticket: Ticket) -> None:
        self.queues.setdefault(ticket.store_id, deque()).append(ticket)

    def remove(self, ticket: Ticket) -> None:
        queue = self.queues.get(ticket.store_id)
        if queue is not None and ticket in queue:
            queue.remove(ticket)
            self._forget_empty(ticket.store_id)

    def take(self) -> Ticket | None:
        """The next batch by deficit round robin."""
        while self.queues:
            store_id, queue = next(iter(self.queues.items()))
            deficit = self.deficits.get(store_id, 0)
            if deficit >= queue[0].records:
                ticket = queue.popleft()
                self.deficits[store_id] = deficit - ticket.records
                self._forget_empty(store_id)
                return ticket
            self.deficits[store_id] = deficit + QUANTUM_RECORDS
            self.queues.move_to_end(store_id)
        return None

    def _forget_empty(self, store_id: str) -> None:
        if not self.queues[store_id]:
            del self.queues[store_id]
            self.deficits.pop(store_id, None)


class Admission:
    """The turns of one server. Not for threads."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._backlog_turns = max(1, self._bounds.turns * (1_000_000 - LIVE_PPM) // 1_000_000)
        self._live = _Class()
        self._backlog = _Class()
        self._in: dict[tuple[int, int], Ticket] = {}
        self._full: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._active: OrderedDict[str, int] = OrderedDict()
        self._rate = _RATE_FIRST
        self._done_records = 0
        self._busy_ns = 0
        self._busy_from_ns = 0

    @property
    def records_per_s(self) -> float:
        """How fast batches have been taken in lately."""
        return self._rate

    @property
    def waiting(self) -> int:
        """Batches that are in and not being worked on."""
        return len(self._in) - self._live.working - self._backlog.working

    def is_in(self, sender: tuple[int, int]) -> bool:
        """Whether a batch of this sender waits or is worked on."""
        return sender in self._in

    def arrive(
        self, store_id: str, sender: tuple[int, int], records: int, *, now_ns: int, spread: float
    ) -> Ticket | Wait:
        """Let a batch in by its headers, or say when to come back.

        ``spread``: a number in [0, 1) by chance, so that those turned away do not come together.
        """
        records = min(max(records, 1), BATCH_RECORDS_MAX)
        live = self._is_live(sender, records, now_ns)
        if live or 2 * records < self._batch_records(self._crowd(now_ns)):
            self._active.pop(store_id, None)  # that is all it has
        else:
            self._active[store_id] = now_ns
            self._active.move_to_end(store_id)
        if live:
            self._full.pop(sender, None)
        else:
            self._full[sender] = now_ns
            self._full.move_to_end(sender)
        if sender in self._in:
            return Wait(retry_after_s=1 + math.floor(2 * spread))
        # A backlog may not take the places that live batches would wait in.
        places = self._bounds.places
        if not live:
            places -= places * LIVE_PPM // 1_000_000
        if len(self._in) >= places:
            return Wait(retry_after_s=self._retry_after_s(now_ns, spread))
        ticket = Ticket(store_id=store_id, sender=sender, records=records, live=live)
        self._in[sender] = ticket
        return ticket

    def ready(self, ticket: Ticket) -> None:
        """Its body has been read: it may have a turn."""
        assert self._in.get(ticket.sender) is ticket, "only what was let in has a turn"
        ticket.ready = True
        (self._live if ticket.live else self._backlog).add(ticket)

    def start(self, now_ns: int) -> list[Ticket]:
        """The batches to begin now."""
        begun: list[Ticket] = []
        while (ticket := self._next()) is not None:
            if self._live.working + self._backlog.working == 1:
                self._busy_from_ns = now_ns
            ticket.started_ns = now_ns
            begun.append(ticket)
        return begun

    def leave(self, ticket: Ticket, *, now_ns: int, taken: bool) -> None:
        """A batch is done with (``taken``), or was given up at any time before."""
        if self._in.get(ticket.sender) is not ticket:
            return
        del self._in[ticket.sender]
        own = self._live if ticket.live else self._backlog
        if ticket.started_ns is None:
            own.remove(ticket)
            return
        own.working -= 1
        self._measure(ticket.records if taken else 0, now_ns)

    def advice(self, now_ns: int) -> Advice:
        """What to tell a sender whose batch was taken."""
        crowd = self._crowd(now_ns)
        if crowd <= self._backlog_turns:
            return Advice(next_batch_records_max=BATCH_RECORDS_MAX, pause_ms=0)
        records = self._batch_records(crowd)
        turn_s = (crowd - self._backlog_turns) * records / self._rate
        if not self._backlog.queues:
            turn_s /= 2  # turns would be idle
        return Advice(
            next_batch_records_max=records, pause_ms=min(round(turn_s * 1000), RETRY_S_MAX * 1000)
        )

    def _measure(self, records: int, now_ns: int) -> None:
        """Records over the time in which anything was worked on."""
        self._done_records += records
        self._busy_ns += max(now_ns - self._busy_from_ns, 0)
        self._busy_from_ns = now_ns
        if self._busy_ns >= _MEASURED_NS:
            rate = self._done_records * _NS / self._busy_ns
            self._rate = max(1.0, self._rate + _RATE_WEIGHT * (rate - self._rate))
            self._done_records = self._busy_ns = 0

    def _next(self) -> Ticket | None:
        working = self._live.working + self._backlog.working
        if working >= self._bounds.turns:
            return None
        ticket = self._live.take()
        if ticket is not None:
            self._live.working += 1
            return ticket
        if self._backlog.working >= self._backlog_turns:
            return None
        ticket = self._backlog.take()
        if ticket is not None:
            self._backlog.working += 1
        return ticket

    def _is_live(self, sender: tuple[int, int], records: int, now_ns: int) -> bool:
        """A sparse batch whose sender is not in the middle of a backlog."""
        horizon_ns = now_ns - ACTIVE_S * _NS
        while self._full and next(iter(self._full.values())) < horizon_ns:
            self._full.popitem(last=False)
        if records >= LIVE_RECORDS_MAX:
            return False
        # In a crowd batches are asked to be sparse; a much smaller one ends the backlog.
        told = self._batch_records(self._crowd(now_ns))
        return not (sender in self._full and 2 * records >= told)

    def _crowd(self, now_ns: int) -> int:
        """Shops with a backlog that were heard of lately."""
        horizon_ns = now_ns - ACTIVE_S * _NS
        while self._active and next(iter(self._active.values())) < horizon_ns:
            self._active.popitem(last=False)
        return len(self._active)

    def _batch_records(self, crowd: int) -> int:
        fair = round(self._rate * CYCLE_S / max(crowd, 1))
        return min(max(fair, BATCH_RECORDS_MIN), BATCH_RECORDS_MAX)

    def _retry_after_s(self, now_ns: int, spread: float) -> int:
        crowd = self._crowd(now_ns)
        turn_s = crowd * self._batch_records(crowd) / self._rate
        return min(1 + math.floor(turn_s * (0.5 + spread)), RETRY_S_MAX)

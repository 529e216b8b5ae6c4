"""Say hello and do what central orders: go on, prove the streams, begin an epoch, halt, forget.

Recovery is begun here and nowhere else while the agent runs: by central's order, or because
central's heads show that this database is an old copy. Only a new epoch ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import apsw

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.outbox.held import Recovery, enter_recovery, recovery_of
from edge_agent.outbox.store import Head, begin_epoch, head_of, heads_of, known_hash
from edge_agent.uplink.carried import Told, carried_of, put_central_key, put_heads
from edge_agent.uplink.feed_state import feed_cursor
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.plan import (
    BeginEpoch,
    Behind,
    Halt,
    Prove,
    Resend,
    Stop,
    Wipe,
    step_after_heads,
    step_after_hello,
)
from edge_agent.uplink.streams import Streams
from shared.clock import Clock
from shared.errors import ConflictError
from shared.frames import LAYOUT_COLUMNS, LAYOUT_RECORDS
from shared.ids import Chance
from shared.logs import get_logger
from shared.wire.enrol import HelloReply, HelloRequest, LaneHead, LaneStart
from shared.wire.stream import Lane

RECOVERY_ID_BYTES: Final = 16
BEHIND_HELLOS: Final = 2
"""Central must say twice that it has more, for one answer may have been another agent's."""
_LOG = get_logger(__name__)


class HelloCalls(Protocol):
    """What is asked of central."""

    async def hello(self, request: HelloRequest) -> HelloReply:
        """Tell and hear."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the database says of the streams when a hello is written."""

    heads: list[Head]
    proofs: list[LaneHead]
    recovery: Recovery | None

    @property
    def epoch(self) -> int:
        """Of the streams that take records; 0 when there are none."""
        return max((head.epoch for head in self.heads), default=0)


class Greeting:
    """One agent's hellos. ``wipe``: forgets keys, customers and leases on this machine.

    ``witness``: the heads that the second medium remembers; ``hear_time``: gets central's time, ms;
    ``on_flush``, ``on_hello``: there is something to send, or to say, now.
    """

    def __init__(
        self,
        edge_id: int,
        *,
        central: HelloCalls,
        writer: Writer,
        reader: Reader,
        link: LinkState,
        clock: Clock,
        chance: Chance,
        streams: Streams,
        witness: Callable[[], list[LaneHead]],
        hear_time: Callable[[int], None],
        wipe: Callable[[], Awaitable[None]],
        on_flush: Callable[[], None],
        on_hello: Callable[[], None],
    ) -> None:
        self._edge_id = edge_id
        self._central = central
        self._writer = writer
        self._reader = reader
        self._link = link
        self._clock = clock
        self._chance = chance
        self._streams = streams
        self._witness = witness
        self._hear_time = hear_time
        self._wipe = wipe
        self._on_flush = on_flush
        self._on_hello = on_hello
        self._theirs: list[LaneHead] = []
        self._file_key = b""
        self._behind = 0

    async def greet(
        self, make: Callable[[Account, list[LaneHead]], Awaitable[HelloRequest]]
    ) -> int:
        """Say hello with what ``make`` writes from the account and the witness; asked interval, s.

        Raises:
            ConflictError: ``must_enrol`` or ``revoked``: a person has to decide.
            UnavailableError: central cannot be reached.
        """
        told = self._theirs
        account = await self._reader.run(lambda connection: _account(connection, told))
        asked_ns = self._clock.mono_ns()
        request = await make(account, self._witness())
        async with self._link.call():
            reply = await self._central.hello(request)
        self._hear_time(reply.server_time_ms)
        self._theirs = reply.heads
        self._streams.frame_layout = min(max(reply.frame_layout, LAYOUT_RECORDS), LAYOUT_COLUMNS)
        await self._keep_file_key(reply.file_key)
        await self._obey(reply, account, told, asked_ns)
        return reply.hello_interval_s

    async def letter(
        self, make: Callable[[Account, list[LaneHead]], Awaitable[HelloRequest]]
    ) -> tuple[HelloRequest, Told]:
        """A hello for a file, and what has to be remembered of it until the answer comes."""

        def read(connection: apsw.Connection) -> tuple[Account, Told]:
            heads = list(carried_of(connection).heads) or self._theirs
            account = _account(connection, heads)
            told = Told(
                heads=heads,
                epoch=account.epoch,
                recovery_id=_recovery_id(account),
                acked={head.lane: head.acked_seq for head in account.heads},
                cursor=feed_cursor(connection),
            )
            return account, told

        account, told = await self._reader.run(read)
        return await make(account, self._witness()), told

    async def hear_letter(self, reply: HelloReply, told: Told) -> None:
        """Do what a carried reply orders, unless the streams have become others since.

        Raises:
            ConflictError: as ``greet``.
        """
        account = await self._reader.run(lambda connection: _account(connection, told.heads))
        await self._writer.run(lambda connection: put_heads(connection, reply.heads))
        if (account.epoch, _recovery_id(account)) != (told.epoch, told.recovery_id):
            return
        heads = [
            replace(head, acked_seq=min(told.acked.get(head.lane, 0), head.seq))
            for head in account.heads
        ]
        # The answer is to this agent's own question, so nobody has to say it twice.
        self._behind = BEHIND_HELLOS
        await self._obey(reply, replace(account, heads=heads), told.heads, self._clock.mono_ns())

    async def _keep_file_key(self, key: bytes) -> None:
        if key and key != self._file_key:
            await self._writer.run(lambda connection: put_central_key(connection, key))
            self._file_key = key

    async def recover(self, reason: str) -> None:
        """Number and spend nothing from now on, until central gives a new epoch."""
        recovery_id = self._chance.token_bytes(RECOVERY_ID_BYTES)
        now_ms = self._clock.now_ms()

        def enter(connection: apsw.Connection) -> bool:
            before = recovery_of(connection)
            enter_recovery(connection, reason, recovery_id=recovery_id, now_ms=now_ms)
            return before is None

        if await self._writer.run(enter):
            _LOG.error("recovery.began", reason=reason)
            self._on_hello()

    async def _obey(
        self, reply: HelloReply, account: Account, told: list[LaneHead], asked_ns: int
    ) -> None:
        step = step_after_hello(
            reply, epoch=account.epoch, recovering=account.recovery is not None, told=told
        )
        if isinstance(step, Wipe):
            await self._wipe()
            raise ConflictError(
                "central has revoked this agent: it forgot keys, customers and leases",
                hint="Its records are kept. Enrol it again if it may serve on.",
                code="revoked",
            )
        if isinstance(step, Halt):
            await self.recover("must_enrol")
            self._stop_all(account, step.reason)
            raise ConflictError(
                f"central asks that this agent be enrolled again: {step.reason}",
                hint="Run `kopilka-edge enrol --again` with a new token; nothing is lost.",
                code="must_enrol",
            )
        if isinstance(step, BeginEpoch):
            await self._begin_epoch(reply.starts)
        elif isinstance(step, Prove):
            await self.recover("ordered_by_central")
            self._stop_all(account, reply.detail)
            if step.at_once:
                self._on_hello()
        elif account.recovery is None:
            await self._compare(reply, account)
            # What was stopped after the hello was written waits for the next.
            self._streams.release(stopped_before_ns=asked_ns)

    async def _begin_epoch(self, starts: list[LaneStart]) -> None:
        begun = await self._writer.run(
            lambda connection: begin_epoch(connection, self._edge_id, starts)
        )
        if begun:
            _LOG.warning("epoch.began", epoch=starts[0].epoch)
        self._behind = 0
        self._streams.release(stopped_before_ns=self._clock.mono_ns())
        self._on_flush()
        self._on_hello()

    def _stop_all(self, account: Account, reason: str) -> None:
        for head in account.heads:
            self._streams.stop(head, reason)

    async def _compare(self, reply: HelloReply, account: Account) -> None:
        theirs = {int(head.lane): head for head in reply.heads}
        behind = ""
        for before in account.heads:
            if before.lane not in theirs:
                continue
            now = await self._reader.run(partial(head_of, lane=before.lane))
            step = step_after_heads(
                theirs[before.lane],
                epoch=before.epoch,
                seq=now.seq,
                acked_before=before.acked_seq,
                acked_now=now.acked_seq,
            )
            if isinstance(step, Behind):
                behind = step.reason
            elif isinstance(step, Resend | Stop):
                await self._streams.follow(now, step)
                self._on_flush()
        self._behind = self._behind + 1 if behind else 0
        if self._behind >= BEHIND_HELLOS:
            await self.recover(behind)
        elif behind:
            self._on_hello()


def _recovery_id(account: Account) -> bytes:
    return b"" if account.recovery is None else account.recovery.recovery_id


def _account(connection: apsw.Connection, theirs: list[LaneHead]) -> Account:
    heads = heads_of(connection)
    ours = {head.lane: head for head in heads}
    proofs = []
    for head in theirs:
        mine = ours.get(int(head.lane))
        if mine is None or mine.epoch != head.epoch or head.seq > mine.seq:
            continue
        shown = known_hash(connection, mine, head.seq)
        if shown is not None:
            proofs.append(LaneHead(lane=head.lane, epoch=mine.epoch, seq=head.seq, hash=shown))
    return Account(heads=heads, proofs=proofs, recovery=recovery_of(connection))


def lane_heads(heads: list[Head]) -> list[LaneHead]:
    """Heads as they cross the wire."""
    return [
        LaneHead(lane=Lane(head.lane), epoch=head.epoch, seq=head.seq, hash=head.hash)
        for head in heads
    ]

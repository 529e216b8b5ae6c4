"""A member from another store may want to pay with points: ask central for a lease for the visit.

It is asked for as soon as the card is read, while the goods are still being scanned, so that
nobody waits for it when the customer says how they pay. Only what this shop lacks is asked for,
only while central answers, and a till never waits longer than a cashier would notice. Without an
answer the sale takes what is here, which may be nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import apsw

from edge_agent.checkout.filling import Known
from edge_agent.checkout.pricing import LookUp
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call
from edge_agent.leases.policy import Right, Standing, is_open, spendable
from edge_agent.leases.store import rights_of
from edge_agent.loyalty.store import balances_of, put_loan
from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.logs import get_logger
from shared.wire.assets import points_asset
from shared.wire.feed import LeaseEntry
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.receipt import Receipt

LOAN_TIMEOUT_S: Final = 0.4
"""Less than what a till waits for its hub."""
ASK_AGAIN_NS: Final = 300_000_000
"""A till may calculate at every scanned article; central need not hear of each."""
MORE_COMES_NS: Final = 30 * 10**9
"""How long a customer may wait at the till for points that were asked back from another store."""
EXPECT_AGAIN_NS: Final = 60 * 10**9
"""Of one customer: while their goods are scanned, points are fetched once."""
EXPECTED_PER_MINUTE_MAX: Final = 60
"""Half of what central answers (``LOANS_PER_MINUTE_MAX`` there); the rest is for who pays now."""
OWNERS_REMEMBERED_MAX: Final = 1_000
_MINUTE_NS: Final = 60 * 10**9
_LOG = get_logger(__name__)


class Lends(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def borrow(self, request: LoanRequest) -> LoanReply:
        """Ask central for a lease."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lacking:
    """What to ask for. ``known``: leases that are here, whose rows say what is left of them."""

    request: LoanRequest
    known: frozenset[str]
    standing: Standing

    def usable(self, lease: LeaseEntry) -> int:
        """What may be spent of a lease before it is written here."""
        right = Right(
            lease_id=lease.lease_id,
            owner=lease.owner,
            asset=lease.asset,
            edge_id=lease.edge_id,
            epoch=lease.epoch,
            state=lease.state,
            spend_until_ms=lease.spend_until_ms,
            left=lease.granted,
        )
        is_new = lease.lease_id not in self.known and lease.asset == self.request.asset
        return spendable([right], self.standing) if is_new else 0


class Visits:
    """Brings visitors' points here. ``standing`` gives as whom this agent speaks."""

    def __init__(
        self,
        *,
        central: Lends,
        reader: Reader,
        writer: Writer,
        is_online: Callable[[], bool],
        standing: Callable[[apsw.Connection], Standing],
        clock: Clock,
    ) -> None:
        self._central = central
        self._reader = reader
        self._writer = writer
        self._is_online = is_online
        self._standing = standing
        self._clock = clock
        self._breaker = Breaker()
        self._asked_ns: dict[str, int] = {}
        self._more_until_ns: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._arriving: dict[str, dict[str, int]] = {}

    async def bring(self, owner: str) -> Mapping[str, int]:
        """Have as many of the owner's points here as central can give now; never raises for that.

        Whoever comes while central is being asked waits for the same answer.

        Returns:
            By asset, what was lent a moment ago and is still on its way to the disk. A sale that is
            recorded from now on is written after it.

        Raises:
            UnavailableError: this agent's own database could not be read.
        """
        running = self._running.get(owner)
        if running is None and self._is_online() and self._is_time(owner):
            running = asyncio.create_task(self._bring(owner), name="visit")
            self._running[owner] = running
            running.add_done_callback(lambda _: self._running.pop(owner, None))
        if running is not None:
            # A till that goes away takes nothing from those who wait for the same points.
            await asyncio.shield(running)
        return dict(self._arriving.get(owner, {}))

    async def close(self) -> None:
        """Ask no more; what was lent is written. Before the writer closes."""
        tasks = {*self._running.values(), *self._writing}
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(self, owner: str) -> None:
        lacking = await self._reader.run(lambda connection: self._lacking(connection, owner))
        await asyncio.gather(*(self._borrow(each) for each in lacking))

    async def _borrow(self, lacking: _Lacking) -> None:
        allowed, self._breaker = may_call(self._breaker, self._clock.mono_ns())
        if not allowed:
            return
        reply = await self._ask(lacking.request)
        if reply is None or reply.lease is None:
            return
        # Pricing need not wait for the disk: the record of a sale is written after the loan.
        owner, asset = lacking.request.owner, lacking.request.asset
        usable = lacking.usable(reply.lease)
        if usable > 0:
            self._arriving.setdefault(owner, {})[asset] = usable
        task = asyncio.create_task(self._keep(owner, asset, reply.lease), name="loan")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _keep(self, owner: str, asset: str, lease: LeaseEntry) -> None:
        try:
            await self._writer.run(partial(put_loan, entry=lease))
        except UnavailableError as error:
            # Central's feed tells of it again.
            _LOG.warning("loan.not_written", error=error.message)
        finally:
            arriving = self._arriving.get(owner, {})
            arriving.pop(asset, None)
            if not arriving:
                self._arriving.pop(owner, None)

    async def _ask(self, request: LoanRequest) -> LoanReply | None:
        try:
            async with asyncio.timeout(LOAN_TIMEOUT_S):
                reply = await self._central.borrow(request)
        except (TimeoutError, UnavailableError):
            self._breaker = after_failure(self._breaker, self._clock.mono_ns())
            return None
        except AppError:
            # An answer all the same: this member or this agent gets nothing.
            self._breaker = after_success(self._breaker)
            return None
        self._breaker = after_success(self._breaker)
        if reply.recalled:
            self._more_until_ns[request.owner] = self._clock.mono_ns() + MORE_COMES_NS
            if len(self._more_until_ns) > OWNERS_REMEMBERED_MAX:
                del self._more_until_ns[next(iter(self._more_until_ns))]
        return reply

    def _lacking(self, connection: apsw.Connection, owner: str) -> list[_Lacking]:
        standing = self._standing(connection)
        if not standing.may_spend:
            return []
        more_comes = self._clock.mono_ns() < self._more_until_ns.get(owner, 0)
        found: list[_Lacking] = []
        for account, balance_centi in balances_of(connection, owner).items():
            asset = points_asset(account)
            rights = rights_of(connection, owner, asset, standing)
            if balance_centi <= spendable(rights, standing):
                continue
            # Who is at home here is lent everything anyway; what lacks then was spent a moment ago,
            # and central's balance has not heard of it.
            if more_comes or not any(is_open(right, standing) for right in rights):
                request = LoanRequest(owner=owner, asset=asset, amount=balance_centi)
                known = frozenset(right.lease_id for right in rights)
                found.append(_Lacking(request=request, known=known, standing=standing))
        return found

    def _is_time(self, owner: str) -> bool:
        now_ns = self._clock.mono_ns()
        before_ns = self._asked_ns.pop(owner, None)
        if before_ns is not None and now_ns - before_ns < ASK_AGAIN_NS:
            self._asked_ns[owner] = before_ns
            return False
        self._asked_ns[owner] = now_ns
        if len(self._asked_ns) > OWNERS_REMEMBERED_MAX:
            del self._asked_ns[next(iter(self._asked_ns))]
        return True


class Expected:
    """Has a customer's points brought when their card is read. ``elsewhere``: of the agent's desk.

    Nobody waits for it: not the till, and not the thread that prices.
    """

    def __init__(
        self, elsewhere: Callable[[str], Awaitable[Mapping[str, int]]], clock: Clock
    ) -> None:
        self._elsewhere = elsewhere
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._expected_ns: dict[str, int] = {}
        self._begun_ns: deque[int] = deque(maxlen=EXPECTED_PER_MINUTE_MAX)

    def open(self) -> None:
        """Begin; inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()

    async def close(self) -> None:
        """Expect nobody any more."""
        self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def watching(self, look_up: LookUp) -> LookUp:
        """The same look-up, by which this hears of customers with more points than are here."""

        def watched(
            connection: apsw.Connection,
            receipt: Receipt,
            card: str | None,
            standing: Standing,
            elsewhere: Mapping[str, int],
        ) -> Known:
            known = look_up(connection, receipt, card, standing, elsewhere)
            loop = self._loop
            if receipt.spend is None and loop is not None and _lacks(known):
                assert known.customer is not None, "somebody lacks them"
                if threading.get_ident() == self._thread_id:
                    self._expect(known.customer.customer_id)
                else:
                    loop.call_soon_threadsafe(self._expect, known.customer.customer_id)
            return known

        return watched

    def _expect(self, owner: str) -> None:
        now_ns = self._clock.mono_ns()
        before_ns = self._expected_ns.get(owner)
        if self._loop is None or (before_ns is not None and now_ns - before_ns < EXPECT_AGAIN_NS):
            return
        full = len(self._begun_ns) == EXPECTED_PER_MINUTE_MAX
        if full and now_ns - self._begun_ns[0] < _MINUTE_NS:
            return
        self._begun_ns.append(now_ns)
        self._expected_ns.pop(owner, None)
        self._expected_ns[owner] = now_ns
        if len(self._expected_ns) > OWNERS_REMEMBERED_MAX:
            del self._expected_ns[next(iter(self._expected_ns))]
        task = self._loop.create_task(self._fetch(owner), name="expected")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, owner: str) -> None:
        try:
            await self._elsewhere(owner)
        except AppError as error:
            _LOG.warning("visitor.not_expected", error=error.message)


def _lacks(known: Known) -> bool:
    if known.customer is None or known.customer.blocked:
        return False
    return any(
        balance > known.spendable_centi.get(account, 0)
        for account, balance in known.balances_centi.items()
    )

"""A member from another store wants to pay with points: ask central for a lease for the visit.

Only what this shop lacks is asked for, only while central answers, and never for longer than a
cashier would notice. Without an answer the sale takes what is here, which may be nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import apsw

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call
from edge_agent.leases.policy import Standing, is_open, spendable
from edge_agent.leases.store import rights_of
from edge_agent.loyalty.store import balances_of, put_loan
from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.wire.assets import points_asset
from shared.wire.loan import LoanReply, LoanRequest

LOAN_TIMEOUT_S: Final = 0.4
"""Less than what a till waits for its hub."""
ASK_AGAIN_NS: Final = 300_000_000
"""A till may calculate at every scanned article; central need not hear of each."""
MORE_COMES_NS: Final = 30 * 10**9
"""How long a customer may wait at the till for points that were asked back from another store."""
OWNERS_REMEMBERED_MAX: Final = 1_000


class Lends(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def borrow(self, request: LoanRequest) -> LoanReply:
        """Ask central for a lease."""
        ...


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

    async def bring(self, owner: str) -> None:
        """Have as many of the owner's points here as central can give now; never raises for that.

        Raises:
            UnavailableError: this agent's own database could not be read or written.
        """
        if not self._is_online() or not self._is_time(owner):
            return
        for request in await self._reader.run(lambda connection: self._lacking(connection, owner)):
            allowed, self._breaker = may_call(self._breaker, self._clock.mono_ns())
            if not allowed:
                return
            reply = await self._ask(request)
            lease = None if reply is None else reply.lease
            if lease is not None:
                await self._writer.run(partial(put_loan, entry=lease))

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

    def _lacking(self, connection: apsw.Connection, owner: str) -> list[LoanRequest]:
        standing = self._standing(connection)
        if not standing.may_spend:
            return []
        more_comes = self._clock.mono_ns() < self._more_until_ns.get(owner, 0)
        found: list[LoanRequest] = []
        for account, balance_centi in balances_of(connection, owner).items():
            asset = points_asset(account)
            rights = rights_of(connection, owner, asset, standing)
            if balance_centi <= spendable(rights, standing):
                continue
            # Who is at home here is lent everything anyway; what lacks then was spent a moment ago,
            # and central's balance has not heard of it.
            if more_comes or not any(is_open(right, standing) for right in rights):
                found.append(LoanRequest(owner=owner, asset=asset, amount=balance_centi))
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

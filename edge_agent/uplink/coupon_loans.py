"""A customer shows a coupon of their own, and the right to use it is not here: ask central for it.

Central lends it for the visit, or asks it back from the store that has it; then the till that
calculates again in a second or two finds it here. Without an answer the coupon does not work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from edge_agent.checkout.desk import Writes
from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call
from edge_agent.loyalty.store import put_loan
from edge_agent.uplink.visits import ASK_AGAIN_NS, LOAN_TIMEOUT_S, Lends
from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.loan import LoanReply, LoanRequest

COUPONS_AT_ONCE_MAX: Final = 5
"""Of one receipt: central answers an agent so often a minute and no oftener."""
LIMIT_AMOUNT: Final = 10**15
"""All that a customer has left of a limit: central lends what is free of it."""
REMEMBERED_MAX: Final = 1_000


class CouponLoans:
    """Brings rights to personal coupons, and to limits of a customer where they are strict."""

    def __init__(
        self, *, central: Lends, writer: Writes, is_online: Callable[[], bool], clock: Clock
    ) -> None:
        self._central = central
        self._writer = writer
        self._is_online = is_online
        self._clock = clock
        self._breaker = Breaker()
        self._asked_ns: dict[tuple[str, str], int] = {}

    async def bring(self, owner: str, assets: Sequence[str]) -> None:
        """Have central lend these, if it can now; never raises for that.

        All are asked for at once, and nobody waits longer than for one.

        Raises:
            UnavailableError: this agent's own database could not be written.
        """
        lacking = [
            asset
            for asset in dict.fromkeys(assets[:COUPONS_AT_ONCE_MAX])
            if self._is_online() and self._is_time((owner, asset))
        ]
        await asyncio.gather(*(self._borrow(owner, asset) for asset in lacking))

    async def _borrow(self, owner: str, asset: str) -> None:
        allowed, self._breaker = may_call(self._breaker, self._clock.mono_ns())
        if not allowed:
            return
        is_limit = asset_parts(asset)[0] == AssetKind.LIMIT
        amount = LIMIT_AMOUNT if is_limit else 1
        reply = await self._ask(LoanRequest(owner=owner, asset=asset, amount=amount))
        if reply is not None and reply.lease is not None:
            await self._writer.run(partial(put_loan, entry=reply.lease))

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
        return reply

    def _is_time(self, key: tuple[str, str]) -> bool:
        now_ns = self._clock.mono_ns()
        before_ns = self._asked_ns.pop(key, None)
        if before_ns is not None and now_ns - before_ns < ASK_AGAIN_NS:
            self._asked_ns[key] = before_ns
            return False
        self._asked_ns[key] = now_ns
        if len(self._asked_ns) > REMEMBERED_MAX:
            del self._asked_ns[next(iter(self._asked_ns))]
        return True

"""A campaign's budget runs short in this shop: ask central for more of it, when no till waits.

Pricing only notes what it lacked. Central lends out of what it has kept, or asks another shop's
unused part back; then it says so, and is asked again a moment later. Where nothing is left it is
asked ever more seldom.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from edge_agent.database.writer import Writer
from edge_agent.loyalty.store import put_loan
from edge_agent.uplink.visits import Lends
from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.wire.loan import LoanRequest

ROUND_S: Final = 0.5
AGAIN_S_MIN: Final = 2.0
"""How long an online shop takes to give back what central asks it for, and some."""
AGAIN_S_MAX: Final = 600.0
WANTED_MAX: Final = 500
"""Budgets that run short at one time; the one that was missed longest ago is let go."""


@dataclass(slots=True, kw_only=True)
class _Want:
    amount: int
    next_ns: int = 0
    wait_s: float = AGAIN_S_MIN
    granted: int = -1
    noted: bool = True


class BudgetAsks:
    """What tills missed, and when central may be asked for it again."""

    def __init__(
        self, *, central: Lends, writer: Writer, is_online: Callable[[], bool], clock: Clock
    ) -> None:
        self._central = central
        self._writer = writer
        self._is_online = is_online
        self._clock = clock
        self._wants: OrderedDict[tuple[str, str], _Want] = OrderedDict()

    def want_more(self, promotion: str, asset: str, amount: int) -> None:
        """A receipt wanted so much, and little or nothing is left. Any thread may say so."""
        key = (promotion, asset)
        want = self._wants.get(key)
        if want is None:
            self._wants[key] = _Want(amount=amount)
            if len(self._wants) > WANTED_MAX:
                self._wants.popitem(last=False)
        else:
            want.amount, want.noted = amount, True

    async def round(self) -> None:
        """Ask for what was missed and whose time it is, then rest a little.

        Raises:
            UnavailableError: this agent's own database could not be written.
        """
        await asyncio.sleep(ROUND_S)
        if self._is_online():
            now_ns = self._clock.mono_ns()
            for key, want in list(self._wants.items()):
                if want.noted and now_ns >= want.next_ns:
                    await self._ask(key, want)

    async def _ask(self, key: tuple[str, str], want: _Want) -> None:
        want.noted = False
        promotion, asset = key
        request = LoanRequest(owner=promotion, asset=asset, amount=want.amount)
        lease, recalled = None, False
        try:
            reply = await self._central.borrow(request)
            lease, recalled = reply.lease, reply.recalled
        except UnavailableError:
            want.noted = True
        except AppError:
            pass  # an answer all the same: this shop gets nothing of it
        if lease is not None:
            await self._writer.run(partial(put_loan, entry=lease))
        gained = lease is not None and lease.granted > want.granted
        want.granted = want.granted if lease is None else lease.granted
        # What is on its way back is fetched, whether or not a customer asks once more.
        want.noted = want.noted or recalled
        want.wait_s = AGAIN_S_MIN if gained or recalled else min(want.wait_s * 2, AGAIN_S_MAX)
        want.next_ns = self._clock.mono_ns() + int(want.wait_s * 10**9)

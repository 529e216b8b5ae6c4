"""Ask head office about a sale: through the hub where this agent is a till, else directly.

A short call, for a cashier waits with the goods on the counter. Nobody but head office is believed
about what other shops have sold; the hub only carries the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call
from shared.clock import Clock
from shared.errors import AppError, BusyError, UnavailableError
from shared.wire.sales import SALES_OFFLINE, SaleAsk, SaleReply

SALE_TIMEOUT_S: Final = 3.0
_RETRY_AFTER_S: Final = 15.0


class TellsSales(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def find_sale(self, asked: SaleAsk) -> SaleReply:
        """Ask central about a sale."""
        ...


class SalesLine:
    """The question's way. After three failures in a row the line is left alone for a moment.

    ``through_hub``: the hub's answer, None where it has none; only a till has it.
    """

    def __init__(
        self,
        *,
        central: TellsSales,
        clock: Clock,
        through_hub: Callable[[SaleAsk], Awaitable[SaleReply | None]] | None = None,
    ) -> None:
        self._central = central
        self._clock = clock
        self._through_hub = through_hub
        self._breaker = Breaker()

    async def find(self, asked: SaleAsk) -> SaleReply:
        """What head office says.

        Raises:
            AppError: head office refuses, with its own code.
            UnavailableError: ``sales_offline``: nobody answers.
        """
        if self._through_hub is not None:
            reply = await self._through_hub(asked)
            if reply is not None:
                return reply
        allowed, self._breaker = may_call(self._breaker, self._clock.mono_ns())
        if not allowed:
            raise _offline()
        try:
            async with asyncio.timeout(SALE_TIMEOUT_S):
                reply = await self._central.find_sale(asked)
        except BusyError:
            self._breaker = after_success(self._breaker)
            raise
        except (TimeoutError, UnavailableError) as error:
            self._breaker = after_failure(self._breaker, self._clock.mono_ns())
            raise _offline() from error
        except AppError:
            self._breaker = after_success(self._breaker)
            raise
        self._breaker = after_success(self._breaker)
        return reply


def _offline() -> UnavailableError:
    return UnavailableError(
        "head office does not answer", code=SALES_OFFLINE, retry_after_s=_RETRY_AFTER_S
    )

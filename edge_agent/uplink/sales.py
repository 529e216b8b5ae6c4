"""Ask head office about a sale: through the hub where this agent is a till, else directly.

A short call, for a cashier waits with the goods on the counter. Nobody but head office is believed
about what other shops have sold; the hub only carries the question.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from edge_agent.lan.short_calls import ShortCalls
from shared.clock import Clock
from shared.errors import BusyError, UnavailableError
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
        self._through_hub = through_hub
        self._calls = ShortCalls(clock=clock, timeout_s=SALE_TIMEOUT_S)

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
        if not self._calls.may_ask():
            raise _offline()
        try:
            return await self._calls.ask(self._central.find_sale(asked))
        except BusyError:
            raise
        except UnavailableError as error:
            raise _offline() from error


def _offline() -> UnavailableError:
    return UnavailableError(
        "head office does not answer", code=SALES_OFFLINE, retry_after_s=_RETRY_AFTER_S
    )

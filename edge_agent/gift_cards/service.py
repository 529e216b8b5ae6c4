"""A till asks head office about a gift card: a short call, no answer means no gift card.

What is on a card is known at head office alone, and no shop has a right to spend it unasked, so
without the line a card neither pays nor is sold. Nothing is kept here, so nothing can be doubled
here: a till that got no answer repeats its operation id, and head office knows whether it was done.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call
from shared.clock import Clock
from shared.errors import AppError, BusyError, UnavailableError
from shared.wire.gift_cards import GiftAction, GiftReply, GiftRequest

GIFT_CARD_TIMEOUT_S: Final = 4.0
"""A cashier waits so long with a card in the hand; head office needs a tenth of a second."""
_RETRY_AFTER_S: Final = 15.0


class AsksCentral(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def gift_card(self, action: GiftAction, request: GiftRequest) -> GiftReply:
        """Ask central about a gift card."""
        ...


class GiftCards:
    """Forwards tills' calls. After three failures in a row the line is left alone for a moment."""

    def __init__(self, *, central: AsksCentral, clock: Clock) -> None:
        self._central = central
        self._clock = clock
        self._breaker = Breaker()

    async def ask(self, action: GiftAction, request: GiftRequest) -> GiftReply:
        """What head office says.

        Raises:
            AppError: head office refuses, with its own code.
            BusyError: too many wrong guesses.
            UnavailableError: ``gift_cards_offline``: it is not known whether anything was done.
        """
        allowed, self._breaker = may_call(self._breaker, self._clock.mono_ns())
        if not allowed:
            raise _offline()
        try:
            async with asyncio.timeout(GIFT_CARD_TIMEOUT_S):
                reply = await self._central.gift_card(action, request)
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
        "head office does not answer, and it alone knows gift cards",
        code="gift_cards_offline",
        hint="Repeat it with the same operation_id. To give up, reverse that operation_id until "
        "it is answered, and take another payment.",
        retry_after_s=_RETRY_AFTER_S,
    )

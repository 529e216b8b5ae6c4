"""A till asks head office about a gift card: a short call, no answer means no gift card.

What is on a card is known at head office alone, and no shop has a right to spend it unasked, so
without the line a card neither pays nor is sold. Nothing is kept here, so nothing can be doubled
here: a till that got no answer repeats its operation id, and head office knows whether it was done.
"""

from __future__ import annotations

from typing import Final, Protocol

from edge_agent.lan.short_calls import ShortCalls
from shared.clock import Clock
from shared.errors import BusyError, UnavailableError
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
        self._calls = ShortCalls(clock=clock, timeout_s=GIFT_CARD_TIMEOUT_S)

    async def ask(self, action: GiftAction, request: GiftRequest) -> GiftReply:
        """What head office says.

        Raises:
            AppError: head office refuses, with its own code.
            BusyError: too many wrong guesses.
            UnavailableError: ``gift_cards_offline``: it is not known whether anything was done.
        """
        if not self._calls.may_ask():
            raise _offline()
        try:
            return await self._calls.ask(self._central.gift_card(action, request))
        except BusyError:
            raise
        except UnavailableError as error:
            raise _offline() from error


def _offline() -> UnavailableError:
    return UnavailableError(
        "head office does not answer, and it alone knows gift cards",
        code="gift_cards_offline",
        hint="Repeat it with the same operation_id. To give up, reverse that operation_id until "
        "it is answered, and take another payment.",
        retry_after_s=_RETRY_AFTER_S,
    )

"""Who may look at a card: numbers and PINs are guessed slowly, whoever guesses, restart or not.

What was tried is counted in the database, each count in a transaction of its own that stands
whatever becomes of the operation.
"""

from __future__ import annotations

from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.gift_cards import policy, store
from central.gift_cards.pins import Pins
from central.gift_cards.policy import Card, Guesses
from shared.clock import Clock
from shared.errors import BusyError, ForbiddenError, InputError, NotFoundError
from shared.logs import get_logger

_LOG = get_logger(__name__)


class Guessing:
    """Lets those pass who know a card."""

    def __init__(self, pool: Pool, clock: Clock, pins: Pins) -> None:
        self._pool = pool
        self._clock = clock
        self._pins = pins

    async def known(self, card_tag: bytes, edge_id: int) -> Card:
        """The card, or a miss of the agent's; before an operation, in a transaction of its own."""
        agent = f"edge:{edge_id}"

        async def work(connection: Connection) -> Card | int:
            now_ms = self._clock.now_ms()
            guesses = (await store.lock_guesses(connection, [agent]))[agent]
            if wait_ms := policy.wait_ms(guesses, now_ms):
                return wait_ms
            card = await store.find_card(connection, card_tag)
            if card is None:
                await store.put_guesses(connection, agent, policy.after_miss(guesses, now_ms))
                return 0
            return card

        found = await in_transaction(self._pool, work)
        if isinstance(found, Card):
            return found
        if found:
            raise _agent_waits(found)
        raise NotFoundError("there is no gift card of this number", code="unknown_gift_card")

    async def proved(self, number: str, pin: str | None, edge_id: int) -> bytes:
        """The tag of a card of which the asker knows the number, and the PIN where it has one.

        A try is noted before the PIN is looked at, so that parallel ones do not slip past, and
        forgotten when the PIN was right; the count is in the database and survives a restart.
        """
        number = policy.plain_number(number)
        card_tag = self._pins.tag(number)
        card = await self.known(card_tag, edge_id)
        if card.pin_hash is None:
            return card_tag
        if pin is None:
            raise InputError("this card has a PIN", code="pin_required", pointer="/pin")
        pin = policy.plain_pin(pin)
        subject = f"card:{card.owner}"

        async def note(connection: Connection) -> int:
            now_ms = self._clock.now_ms()
            guesses = (await store.lock_guesses(connection, [subject]))[subject]
            if wait_ms := policy.wait_ms(guesses, now_ms):
                return wait_ms
            await store.put_guesses(connection, subject, policy.after_wrong_pin(guesses, now_ms))
            return 0

        if wait_ms := await in_transaction(self._pool, note):
            raise _pin_waits(wait_ms)
        if not await self._pins.is_right(card.pin_hash, number, pin):
            await in_transaction(self._pool, lambda each: self._miss(each, edge_id))
            _LOG.warning("gift_card.wrong_pin", edge_id=edge_id)
            raise ForbiddenError("this PIN is wrong", code="wrong_pin", pointer="/pin")
        await in_transaction(self._pool, lambda each: store.put_guesses(each, subject, Guesses()))
        return card_tag

    async def _miss(self, connection: Connection, edge_id: int) -> None:
        agent = f"edge:{edge_id}"
        guesses = (await store.lock_guesses(connection, [agent]))[agent]
        missed = policy.after_miss(guesses, self._clock.now_ms())
        await store.put_guesses(connection, agent, missed)


def _pin_waits(wait_ms: int) -> BusyError:
    return BusyError(
        "too many wrong PINs: this card waits",
        code="pin_wait",
        hint="Take another payment; Retry-After says when the card may be tried again.",
        retry_after_s=-(-wait_ms // 1000),
    )


def _agent_waits(wait_ms: int) -> BusyError:
    return BusyError(
        "too many wrong numbers and PINs from this shop",
        code="gift_cards_wait",
        hint="Take another payment; Retry-After says when gift cards work again.",
        retry_after_s=-(-wait_ms // 1000),
    )

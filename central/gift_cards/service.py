"""Gift cards at head office: sold, asked about, redeemed, undone; each operation once.

What is on a card is decided by its row and its account in the database, which one transaction at a
time may change: of two shops that redeem the same money at once, the later is refused. Refusals are
not kept: the same operation may be tried again, and is decided anew.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import msgspec

from central.accounts import store as ledger
from central.accounts.books import Books, Purse
from central.accounts.needs import Needs
from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.gift_cards import policy, posting, store
from central.gift_cards.guessing import Guessing
from central.gift_cards.pins import Pins
from central.gift_cards.policy import Card
from central.gift_cards.store import Operation, Place
from shared.clock import Clock
from shared.errors import (
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
)
from shared.logs import get_logger
from shared.unreadable import UNREADABLE
from shared.wire.gift_cards import (
    GiftAction,
    GiftActivate,
    GiftBalance,
    GiftRedeem,
    GiftReply,
    GiftReverse,
)

UID_BYTES: Final = 16
CALLS_PER_MINUTE_MAX: Final = 600
"""Of one agent: a hundred tills with a gift card each ten seconds."""
_MINUTE_NS: Final = 60 * 10**9
_NOTHING: Final = GiftReply(amount_minor=0, balance_minor=0, currency="", active=False)
_LOG = get_logger(__name__)
_T = TypeVar("_T", GiftActivate, GiftBalance, GiftRedeem, GiftReverse)
_R = TypeVar("_R")


class GiftCards:
    """Answers agents about gift cards."""

    def __init__(self, pool: Pool, clock: Clock, pins: Pins) -> None:
        self._pool = pool
        self._clock = clock
        self._pins = pins
        self._guessing = Guessing(pool, clock, pins)
        self._key_checked = False
        self._asked: dict[int, deque[int]] = {}

    async def ask(
        self, action: GiftAction, body: bytes, *, store_id: str, edge_id: int
    ) -> GiftReply:
        """Do what an agent asks for.

        Raises:
            InputError: the body is none of this action, or a field of it is not what it should be.
            NotFoundError: no card has this number.
            ForbiddenError: ``wrong_pin``.
            ConflictError: the card, or an operation of that id, stands otherwise.
            BusyError: ``pin_wait``, ``gift_cards_wait``: too many wrong guesses; or too many calls.
            UnavailableError: others hold the same rows for too long.
            CorruptionError: the key is not that of these cards.
        """
        self._count(edge_id)
        if not self._key_checked:
            async with self._pool.connection() as connection:
                await store.check_key(connection, self._pins.key_check)
            self._key_checked = True
        if action is GiftAction.ACTIVATE:
            return await self._activate(_decoded(body, GiftActivate), store_id, edge_id)
        if action is GiftAction.BALANCE:
            return await self._balance(_decoded(body, GiftBalance), store_id, edge_id)
        if action is GiftAction.REDEEM:
            return await self._redeem(_decoded(body, GiftRedeem), store_id, edge_id)
        return await self._reverse(_decoded(body, GiftReverse), store_id, edge_id)

    def _count(self, edge_id: int) -> None:
        now_ns = self._clock.mono_ns()
        asked = self._asked.setdefault(edge_id, deque(maxlen=CALLS_PER_MINUTE_MAX))
        if len(asked) == CALLS_PER_MINUTE_MAX and now_ns - asked[0] < _MINUTE_NS:
            raise BusyError(retry_after_s=1 + (_MINUTE_NS - (now_ns - asked[0])) // 10**9)
        asked.append(now_ns)

    async def _activate(self, asked: GiftActivate, store_id: str, edge_id: int) -> GiftReply:
        operation_id = policy.named(asked.operation_id, "/operation_id")
        policy.named(asked.receipt_id, "/receipt_id")
        card_tag = self._pins.tag(policy.plain_number(asked.number))
        told = _sha256_of(GiftAction.ACTIVATE, asked.receipt_id, card_tag, asked.amount_minor)

        async def repeated(connection: Connection, place: Place) -> GiftReply | None:
            return await _repeat(connection, place, operation_id, told)

        async def work(connection: Connection, place: Place) -> GiftReply:
            card = await self._locked(connection, card_tag)
            if (known := await _repeat(connection, place, operation_id, told)) is not None:
                return known
            policy.check_currency(card, place.currency)
            policy.check_sale(card, asked.amount_minor, place.today)
            books, purse = await _open(connection, card)
            posting.sell(books, purse, store_id, _uid(place, operation_id), asked.amount_minor)
            await ledger.save(connection, books, now_ms=self._clock.now_ms())
            last_day = await store.mark_sold(connection, card_tag, place.today)
            sold = replace(card, active=True, expires_on=last_day)
            reply = _reply(sold, asked.amount_minor, posting.balance_of(books, purse))
            done = Operation(
                action=GiftAction.ACTIVATE,
                card_tag=card_tag,
                body_sha256=told,
                amount_minor=asked.amount_minor,
                reply=reply,
                receipt_id=asked.receipt_id,
            )
            await store.add_operation(
                connection, place, operation_id, done, now_ms=self._clock.now_ms()
            )
            return reply

        if (known := await self._at(store_id, edge_id, repeated)) is not None:
            return known
        await self._guessing.known(card_tag, edge_id)
        return await self._at(store_id, edge_id, work)

    async def _balance(self, asked: GiftBalance, store_id: str, edge_id: int) -> GiftReply:
        card_tag = await self._guessing.proved(asked.number, asked.pin, edge_id)

        async def work(connection: Connection, place: Place) -> GiftReply:
            card = await self._locked(connection, card_tag)
            policy.check_currency(card, place.currency)
            books, purse = await _open(connection, card)
            return _reply(card, 0, posting.balance_of(books, purse))

        return await self._at(store_id, edge_id, work)

    async def _redeem(self, asked: GiftRedeem, store_id: str, edge_id: int) -> GiftReply:
        operation_id = policy.named(asked.operation_id, "/operation_id")
        policy.named(asked.receipt_id, "/receipt_id")
        card_tag = self._pins.tag(policy.plain_number(asked.number))
        # Without the PIN: who knows an operation id must not learn by it whether a PIN is right.
        told = _sha256_of(GiftAction.REDEEM, asked.receipt_id, card_tag, asked.amount_minor)

        async def repeated(connection: Connection, place: Place) -> GiftReply | None:
            return await _repeat(connection, place, operation_id, told)

        async def work(connection: Connection, place: Place) -> GiftReply:
            card = await self._locked(connection, card_tag)
            if (known := await _repeat(connection, place, operation_id, told)) is not None:
                return known
            policy.check_currency(card, place.currency)
            policy.check_use(card, place.today)
            books, purse = await _open(connection, card)
            balance_minor = posting.balance_of(books, purse)
            amount_minor = policy.amount_of(card, asked.amount_minor, balance_minor)
            posting.redeem(books, purse, store_id, _uid(place, operation_id), amount_minor)
            await ledger.save(connection, books, now_ms=self._clock.now_ms())
            reply = _reply(card, amount_minor, posting.balance_of(books, purse))
            done = Operation(
                action=GiftAction.REDEEM,
                card_tag=card_tag,
                body_sha256=told,
                amount_minor=amount_minor,
                reply=reply,
                receipt_id=asked.receipt_id,
            )
            await store.add_operation(
                connection, place, operation_id, done, now_ms=self._clock.now_ms()
            )
            return reply

        if (known := await self._at(store_id, edge_id, repeated)) is not None:
            return known
        await self._guessing.proved(asked.number, asked.pin, edge_id)
        return await self._at(store_id, edge_id, work)

    async def _reverse(self, asked: GiftReverse, store_id: str, edge_id: int) -> GiftReply:
        operation_id = policy.named(asked.operation_id, "/operation_id")

        async def work(connection: Connection, place: Place) -> GiftReply:
            known = await store.find_operation(connection, store_id, operation_id)
            if known is not None and known.card_tag is not None:
                # The card first, as everybody does; then what was done may have been undone.
                card = await self._locked(connection, known.card_tag)
                known = await store.find_operation(connection, store_id, operation_id)
                assert known is not None, "operations are never deleted"
                if known.reversed is None:
                    return await self._undo(connection, place, operation_id, known, card)
            if known is not None:
                assert known.reversed is not None, "what was never done was reversed"
                return known.reversed
            never = Operation(
                action=GiftAction.REVERSE,
                card_tag=None,
                body_sha256=b"",
                amount_minor=0,
                reply=_NOTHING,
                reversed=_NOTHING,
            )
            await store.add_operation(
                connection, place, operation_id, never, now_ms=self._clock.now_ms()
            )
            return _NOTHING

        return await self._at(store_id, edge_id, work)

    async def _undo(
        self, connection: Connection, place: Place, operation_id: str, known: Operation, card: Card
    ) -> GiftReply:
        books, purse = await _open(connection, card)
        uid, amount_minor = _uid(place, operation_id), known.amount_minor
        if known.action is GiftAction.REDEEM:
            posting.give_back(books, purse, place.store_id, uid, amount_minor)
        else:
            if not posting.take_back(books, purse, place.store_id, uid, amount_minor):
                raise ConflictError(
                    "the card was used since it was sold",
                    code="gift_card_used",
                    hint="Reverse what it paid for first.",
                )
            last_day = await store.mark_unsold(connection, card.card_tag)
            card = replace(card, active=False, expires_on=last_day)
        now_ms = self._clock.now_ms()
        await ledger.save(connection, books, now_ms=now_ms)
        reply = _reply(card, amount_minor, posting.balance_of(books, purse))
        await store.mark_reversed(connection, place.store_id, operation_id, reply, now_ms=now_ms)
        return reply

    async def _locked(self, connection: Connection, card_tag: bytes) -> Card:
        card = await store.find_card(connection, card_tag, lock=True)
        if card is None:
            raise NotFoundError("there is no gift card of this number", code="unknown_gift_card")
        return card

    async def _at(
        self,
        store_id: str,
        edge_id: int,
        work: Callable[[Connection, Place], Awaitable[_R]],
    ) -> _R:
        async def there(connection: Connection) -> _R:
            now_ms = self._clock.now_ms()
            return await work(
                connection, await store.place_of(connection, store_id, edge_id, now_ms)
            )

        return await in_transaction(self._pool, there)


async def _open(connection: Connection, card: Card) -> tuple[Books, Purse]:
    purse = Purse(card.owner, card.asset)
    return await ledger.load(connection, Needs(purses={purse})), purse


async def _repeat(
    connection: Connection, place: Place, operation_id: str, body_sha256: bytes
) -> GiftReply | None:
    """The reply that this operation got before; None: it is new."""
    known = await store.find_operation(connection, place.store_id, operation_id)
    if known is None:
        return None
    if known.reversed is not None:
        raise ConflictError(
            "this operation was reversed",
            code="operation_reversed",
            hint="A new operation needs a new operation_id.",
        )
    if known.body_sha256 != body_sha256:
        raise ConflictError(
            "an operation of this id was done with other contents",
            code="operation_changed",
            hint="A new operation needs a new operation_id.",
        )
    return known.reply


def _reply(card: Card, amount_minor: int, balance_minor: int) -> GiftReply:
    return GiftReply(
        amount_minor=amount_minor,
        balance_minor=balance_minor,
        currency=card.currency,
        active=card.active,
        expires_on=card.expires_on,
        whole_only=card.whole_only,
    )


def _uid(place: Place, operation_id: str) -> bytes:
    named = f"{place.store_id}\x00{operation_id}".encode()
    return hashlib.sha256(b"kopilka.gift_card.operation.v1" + named).digest()[:UID_BYTES]


def _sha256_of(action: GiftAction, receipt_id: str, tag: bytes, amount_minor: int | None) -> bytes:
    told = msgspec.msgpack.encode([action.value, receipt_id, tag, amount_minor])
    return hashlib.sha256(told).digest()


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNREADABLE as error:
        raise InputError("the body is no request of this kind", code="bad_gift_card") from error

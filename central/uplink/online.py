"""Points for those who sell without an agent: set aside at head office, captured or given back.

Everything is decided by the rows of the owner, which one transaction at a time may hold: of two
shops that ask for the same points at once, the later is told what is left. A hold is the store's
that asked for it; nobody else hears of it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, TypeVar

import msgspec

from central.accounts import books as told
from central.accounts import holds
from central.accounts import store as ledger
from central.accounts.books import Books, Hold, Origin, Purse
from central.accounts.lending import recall
from central.accounts.needs import Needs
from central.accounts.service import lend_home
from central.customers.store import known_customers
from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.fleet.channels import PREFIX, Channel, find_channel
from shared.clock import Clock
from shared.errors import BusyError, ConflictError, InputError, NotFoundError, UnauthorizedError
from shared.unreadable import UNREADABLE
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.holds import CaptureAsk, HoldAsk, HoldReply, HoldState

CALLS_PER_MINUTE_MAX: Final = 1_200
"""Of one channel: twenty customers a second who pay with points, with their captures and voids."""
CHANNELS_REMEMBERED_MAX: Final = 1_000
NO_EDGE: Final = 0
"""A channel is no agent."""
_MINUTE_NS: Final = 60 * 10**9
_KINDS: Final = frozenset({AssetKind.POINTS, AssetKind.COUPON, AssetKind.LIMIT})
"""What members own. Gift cards have a flow of their own, with their PINs."""
_TOKEN_CHARS_MAX: Final = 100
_T = TypeVar("_T", HoldAsk, CaptureAsk)


class OnlineHolds:
    """Answers channels."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._calls: OrderedDict[str, deque[int]] = OrderedDict()

    async def caller_of(self, authorization: str | None) -> Channel:
        """The channel that shows this Authorization header.

        Raises:
            UnauthorizedError: there is no token, or it is nobody's (any more).
            BusyError: the channel asked too often.
        """
        scheme, _, token = (authorization or "").partition(" ")
        channel = None
        can_be = token.startswith(PREFIX) and token.isascii() and len(token) <= _TOKEN_CHARS_MAX
        if scheme == "Bearer" and can_be:
            async with self._pool.connection() as connection:
                channel = await find_channel(connection, token)
        if channel is None:
            raise UnauthorizedError("the channel's token is missing or wrong", code="bad_token")
        self._count(channel.channel_id)
        return channel

    async def hold(self, channel: Channel, uid: bytes, body: bytes) -> HoldReply:
        """Set an amount aside, all of it or nothing.

        Raises:
            InputError: the body is no such request, or asks for what is not held this way.
            NotFoundError: there is no such member; or the uid is another store's.
            ConflictError: ``hold_differs``: the uid is that of another hold.
            UnavailableError: others hold the same rows for too long.
        """
        asked = _decoded(body, HoldAsk)
        kind, name = asset_parts(asked.asset)
        if kind not in _KINDS or not name or "\x00" in asked.asset + asked.owner:
            raise InputError(f"nothing of kind {kind!r} is held", code="bad_hold", pointer="/asset")
        purse = Purse(asked.owner, asked.asset)

        async def work(connection: Connection) -> HoldReply:
            now_ms = self._clock.now_ms()
            if not await known_customers(connection, [asked.owner]):
                raise NotFoundError("there is no such member", code="unknown_customer")
            books = await ledger.load(connection, Needs(purses={purse}, holds={uid}))
            known = _own(books, uid, channel)
            if known is not None:
                _check_same(books, known, purse, asked.amount)
                return _reply(known)
            answer = holds.hold(
                books,
                _origin(channel),
                uid,
                purse.owner,
                purse.asset,
                asked.amount,
                expires_at_ms=now_ms + 1000 * asked.expires_in_s,
            )
            for lease in answer.reserved:
                recall(books, lease)
            held = books.hold(uid)
            await ledger.save(connection, books, now_ms=now_ms)
            if held is not None:
                return _reply(held)
            return HoldReply(
                state=HoldState.REFUSED,
                amount=asked.amount,
                available=answer.available,
                recalled=bool(answer.reserved),
            )

        return await in_transaction(self._pool, work)

    async def capture(self, channel: Channel, uid: bytes, body: bytes) -> HoldReply:
        """The sale was made and took so much; what was held beyond it is free again.

        Raises:
            InputError: the body is no such request; ``more_than_held``.
            NotFoundError: this store has no such hold.
            ConflictError: ``hold_released``: its time was over, or it was taken back;
                ``capture_differs``: it was captured with another amount.
            UnavailableError: others hold the same rows for too long.
        """
        asked = _decoded(body, CaptureAsk)

        async def work(connection: Connection) -> HoldReply:
            books = await ledger.load(connection, Needs(holds={uid}))
            known = _own(books, uid, channel)
            if known is None:
                raise _unknown()
            if known.state is told.HoldState.RELEASED:
                raise ConflictError(
                    "these points are no longer set aside",
                    code="hold_released",
                    hint="Hold them anew, or let the customer pay the rest otherwise.",
                )
            if known.state is told.HoldState.CAPTURED:
                if known.captured_amount != asked.amount:
                    raise ConflictError("captured with another amount", code="capture_differs")
                return _reply(known)
            if asked.amount > known.amount:
                raise InputError(
                    f"only {known.amount} are held", code="more_than_held", pointer="/amount"
                )
            holds.capture(books, _origin(channel), uid, known.owner, known.asset, asked.amount)
            return await self._save(connection, books, uid)

        return await in_transaction(self._pool, work)

    async def void(self, channel: Channel, uid: bytes) -> HoldReply:
        """Nothing came of the sale; a hold that comes later under this uid is refused.

        Raises:
            NotFoundError: the uid is another store's.
            ConflictError: ``already_captured``: goods that come back are a return.
            UnavailableError: others hold the same rows for too long.
        """

        async def work(connection: Connection) -> HoldReply:
            books = await ledger.load(connection, Needs(holds={uid}))
            known = _own(books, uid, channel)
            if known is not None and known.state is told.HoldState.CAPTURED:
                raise ConflictError("the sale was made", code="already_captured")
            holds.release(books, _origin(channel), uid)
            return await self._save(connection, books, uid)

        return await in_transaction(self._pool, work)

    async def _save(self, connection: Connection, books: Books, uid: bytes) -> HoldReply:
        now_ms = self._clock.now_ms()
        decided = books.hold(uid)
        assert decided is not None, "it was just decided"
        await lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
        await ledger.save(connection, books, now_ms=now_ms)
        return _reply(decided)

    def _count(self, channel_id: str) -> None:
        now_ns = self._clock.mono_ns()
        calls = self._calls.setdefault(channel_id, deque(maxlen=CALLS_PER_MINUTE_MAX))
        self._calls.move_to_end(channel_id)
        if len(self._calls) > CHANNELS_REMEMBERED_MAX:
            self._calls.popitem(last=False)
        if len(calls) == CALLS_PER_MINUTE_MAX and now_ns - calls[0] < _MINUTE_NS:
            raise BusyError(retry_after_s=1 + (_MINUTE_NS - (now_ns - calls[0])) // 10**9)
        calls.append(now_ns)


def _own(books: Books, uid: bytes, channel: Channel) -> Hold | None:
    known = books.hold(uid)
    if known is not None and known.store_id != channel.store_id:
        raise _unknown()
    return known


def _unknown() -> NotFoundError:
    return NotFoundError("there is no such hold of yours", code="unknown_hold")


def _check_same(books: Books, known: Hold, purse: Purse, amount: int) -> None:
    if known.state is told.HoldState.RELEASED and not known.amount:
        return  # taken back before it was asked for: nobody knows what it would have been
    asked = Purse(books.owner_of(purse.owner), purse.asset), amount
    if asked != (Purse(books.owner_of(known.owner), known.asset), known.amount):
        raise ConflictError("this uid is that of another hold", code="hold_differs")


def _origin(channel: Channel) -> Origin:
    return Origin(edge_id=NO_EDGE, store_id=channel.store_id)


def _reply(known: Hold) -> HoldReply:
    return HoldReply(
        state=HoldState(known.state.value),
        amount=known.amount,
        captured_amount=known.captured_amount,
        expires_at_ms=known.expires_at_ms,
    )


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise InputError(str(error), code="bad_hold") from error

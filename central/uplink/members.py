"""Members over the uplink: who may ask for whom, how often, and new ones."""

from __future__ import annotations

from collections import deque
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from central.database.pool import Pool
from central.members.finding import find_members
from central.members.keys import MemberSecret
from central.members.registering import Registering
from central.uplink.enrol import Caller, Enrolment
from central.uplink.reading import UID_BYTES, Stream, check_registered
from shared.clock import Clock
from shared.crypto.phones import PHONE_HASH_BYTES
from shared.crypto.tags import CARD_TAG_BYTES
from shared.errors import BusyError, InputError, NotFoundError
from shared.unreadable import UNREADABLE
from shared.wire.members import (
    MEMBERS_PATH,
    FindReply,
    FindRequest,
    MemberKeys,
    RegisterReply,
    RegisterRequest,
)
from shared.wire.stream import Lane

CALLS_PER_MINUTE_MAX: Final = 120
"""Of one agent: a stolen one cannot go through the phones of a town."""
_MINUTE_NS: Final = 60 * 10**9
_MSGPACK: Final = "application/msgpack"
_T = TypeVar("_T")


class Members:
    """Answers agents about members."""

    def __init__(self, pool: Pool, clock: Clock, secret: MemberSecret) -> None:
        self._pool = pool
        self._clock = clock
        self._secret = secret
        self._registering = Registering(pool, clock, secret)
        self._asked: dict[int, deque[int]] = {}

    def keys(self) -> MemberKeys:
        """What an agent needs to know members by more than their cards."""
        return self._secret.agent_keys(self._clock.now_ms())

    async def find(self, edge_id: int, body: bytes) -> FindReply:
        """Who has a phone, or a card.

        Raises:
            InputError: the body is no such question.
            BusyError: the agent asked too often.
        """
        request = _decoded(body, FindRequest)
        sizes = {
            None if value is None else len(value) == size
            for value, size in (
                (request.phone_hash, PHONE_HASH_BYTES),
                (request.card_tag, CARD_TAG_BYTES),
            )
        }
        if sizes != {None, True}:
            raise InputError("ask by a phone's hash or by a card's tag", code="bad_question")
        self._count(edge_id)
        return await find_members(self._pool, request)

    async def register(self, caller: Caller, body: bytes) -> RegisterReply:
        """Make a member, or find the one who has the phone.

        Raises:
            InputError: the body is no registration, or its phone is none.
            BusyError: the agent asked too often.
            ConflictError: ``registration_differs``.
            UnavailableError: others hold the same rows for too long.
        """
        request = _decoded(body, RegisterRequest)
        if len(request.uid) != UID_BYTES:
            raise InputError("a uid is 16 bytes", code="bad_uid")
        stream = Stream(
            edge_id=caller.edge_id, store_id=caller.store_id, lane=int(Lane.RECEIPTS), epoch=1
        )
        check_registered(stream, request.fact)
        self._count(caller.edge_id)
        return await self._registering.register(caller.edge_id, request.uid, request.fact)

    def _count(self, edge_id: int) -> None:
        now_ns = self._clock.mono_ns()
        asked = self._asked.setdefault(edge_id, deque(maxlen=CALLS_PER_MINUTE_MAX))
        if len(asked) == CALLS_PER_MINUTE_MAX and now_ns - asked[0] < _MINUTE_NS:
            raise BusyError(retry_after_s=1 + (_MINUTE_NS - (now_ns - asked[0])) // 10**9)
        asked.append(now_ns)


class MembersApi:
    """The addresses; without ``members`` there is nothing under them."""

    def __init__(self, members: Members | None, enrolment: Enrolment) -> None:
        self._members = members
        self._enrolment = enrolment

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.get(f"{MEMBERS_PATH}/keys", self.keys),
            web.post(f"{MEMBERS_PATH}/find", self.find),
            web.post(f"{MEMBERS_PATH}/register", self.register),
        ]

    async def keys(self, request: web.Request) -> web.Response:
        """The keys of an agent."""
        await self._caller(request)
        return _reply(self._there().keys())

    async def find(self, request: web.Request) -> web.Response:
        """Who this is."""
        caller = await self._caller(request)
        return _reply(await self._there().find(caller.edge_id, await request.read()))

    async def register(self, request: web.Request) -> web.Response:
        """Somebody wants to be a member."""
        caller = await self._caller(request)
        return _reply(await self._there().register(caller, await request.read()))

    async def _caller(self, request: web.Request) -> Caller:
        return await self._enrolment.edge_of(request.headers.get("Authorization"))

    def _there(self) -> Members:
        if self._members is None:
            raise NotFoundError("this central has no members of shops")
        return self._members


def _reply(reply: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.msgpack.encode(reply), content_type=_MSGPACK)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNREADABLE as error:
        raise InputError("the body is no such question", code="bad_question") from error

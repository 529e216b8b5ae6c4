"""New members at the till: made by head office at once, or by this shop until head office decides.

Without a line the shop names the member itself and records that, as it records sales; the phone is
sealed to head office and stands nowhere in clear. What the name earns is the member's, whoever
that turns out to be.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final, Protocol

import apsw
import msgspec

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.loyalty.newcomers import Newcomer, newcomer_of_operation, put_newcomer
from edge_agent.members.finding import Finding, Phone, offline
from edge_agent.members.keys import KeyRing
from edge_agent.members.replay import local_of
from edge_agent.members.requests import RegisterMember
from edge_agent.outbox.store import Fact, append_fact
from shared.crypto.sealing import SEAL_KEY_BYTES, seal
from shared.crypto.tags import card_tag
from shared.errors import ConflictError, UnavailableError
from shared.ids import Chance
from shared.logs import get_logger
from shared.wire.facts import FactKind
from shared.wire.members import MemberRegistered, RegisterReply, RegisterRequest, newcomer_id
from shared.wire.stream import Lane

REGISTER_TIMEOUT_S: Final = 4.0
"""A form is being filled in; head office hashes the phone for a tenth of a second."""
_UID_BYTES: Final = 16
_LOG = get_logger(__name__)


class AsksCentral(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def register_member(self, request: RegisterRequest) -> RegisterReply:
        """Have central make a member."""
        ...


class Registering:
    """Makes members."""

    def __init__(
        self,
        *,
        edge_id: int,
        store_id: str,
        keys: KeyRing,
        finding: Finding,
        central: AsksCentral,
        writer: Writer,
        reader: Reader,
        is_online: Callable[[], bool],
        trusted_now_ms: Callable[[], int],
        chance: Chance,
        on_recorded: Callable[[], None],
    ) -> None:
        """``on_recorded``: a record waits to be sent; must not wait itself."""
        self._edge_id = edge_id
        self._store_id = store_id
        self._keys = keys
        self._finding = finding
        self._central = central
        self._writer = writer
        self._reader = reader
        self._is_online = is_online
        self._trusted_now_ms = trusted_now_ms
        self._chance = chance
        self._on_recorded = on_recorded

    async def known(self, asked: RegisterMember, phone: Phone) -> Newcomer | None:
        """What became of this operation already.

        Raises:
            ConflictError: ``operation_changed``: it was about another card or phone.
        """
        found = await self._reader.run(
            lambda reader: newcomer_of_operation(reader, asked.operation_id)
        )
        if found is None:
            return None
        other = None not in (found.phone_tag, phone.tag) and found.phone_tag != phone.tag
        card = None if asked.card is None else card_tag(asked.card)
        if other or found.phone_end != phone.end or found.card_tag not in (None, card):
            raise ConflictError(
                "this operation made another member",
                code="operation_changed",
                hint="A new operation needs a new id.",
            )
        return found

    async def register(self, asked: RegisterMember, phone: Phone) -> Newcomer:
        """Make a member; durable before it returns.

        Raises:
            UnavailableError: ``members_offline``; the disk refuses.
            AppError: head office refuses, with its own code.
        """
        seal_key = self._keys.seal_key
        if seal_key is None:
            raise offline()
        # Made of the operation, so that a repeat names the same record even on another disk.
        uid = self._uid(asked.operation_id)
        fact = MemberRegistered(
            customer_id=newcomer_id(self._edge_id, uid),
            store_id=self._store_id,
            register=asked.register or "",
            registered_at_ms=self._trusted_now_ms(),
            sealed_phone=seal(
                phone.plain.encode("ascii"), seal_key, self._chance.token_bytes(SEAL_KEY_BYTES)
            ),
            card_tag=None if asked.card is None else card_tag(asked.card),
            consents=list(asked.consents),
            cashier=asked.cashier or "",
        )
        reply = await self._ask(uid, fact)
        made = _newcomer(asked.operation_id, uid, fact, phone, reply)
        if reply is None:
            await self._writer.run(lambda connection: _record(connection, made, fact))
            self._on_recorded()
        else:
            await self._writer.run(lambda connection: put_newcomer(connection, made))
        return made

    async def _ask(self, uid: bytes, fact: MemberRegistered) -> RegisterReply | None:
        if not self._is_online():
            return None
        try:
            async with asyncio.timeout(REGISTER_TIMEOUT_S):
                return await self._central.register_member(RegisterRequest(uid=uid, fact=fact))
        except (TimeoutError, UnavailableError):
            # Whether it was done or not: the record says the same under the same uid.
            _LOG.info("member.registered_offline")
            return None

    def _uid(self, operation_id: str) -> bytes:
        name = f"kopilka.newcomer.v1 {self._edge_id} {operation_id}".encode()
        return hashlib.sha256(name).digest()[:_UID_BYTES]


def _newcomer(
    operation_id: str,
    uid: bytes,
    fact: MemberRegistered,
    phone: Phone,
    reply: RegisterReply | None,
) -> Newcomer:
    taken = fact.card_tag is not None if reply is None else reply.card_taken
    return Newcomer(
        operation_id=operation_id,
        uid=uid,
        customer_id=fact.customer_id,
        owner=None if reply is None else reply.found.entry.customer_id,
        is_new=reply is None or reply.is_new,
        card_taken=taken,
        phone_end=phone.end,
        phone_tag=phone.tag,
        # Another member's card, or one that is given to nobody, is not this member's here either.
        card_tag=fact.card_tag if taken else None,
        registered_at_ms=fact.registered_at_ms,
    )


def _record(connection: apsw.Connection, made: Newcomer, fact: MemberRegistered) -> None:
    if newcomer_of_operation(connection, made.operation_id) is not None:
        return  # two calls of one operation at one moment
    append_fact(
        connection,
        Lane.RECEIPTS,
        Fact(
            uid=made.uid,
            kind=FactKind.MEMBER_REGISTERED,
            body=msgspec.msgpack.encode(fact),
            recorded_at_ms=made.registered_at_ms,
            local=local_of(made.operation_id, made.phone_end, made.phone_tag),
        ),
    )
    put_newcomer(connection, made)

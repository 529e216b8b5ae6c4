"""Members whom shops made: they become members here, or one who has the same phone.

A shop without a line names a new member itself. What that name earns meanwhile waits in the ledger
under it; then either the name itself becomes a member's (it is adopted), or everything goes to the
member of that phone, and the name is an alias for ever (it is merged). Each is done once, by the
uid of the record.

A card is given only to a member who is made by the same registration. Who knows somebody's phone
number could otherwise give himself a card to that member's points.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import msgspec
from psycopg.types.json import Jsonb

from central.accounts import service as accounts
from central.coupons import merging as coupons
from central.customers.store import announce_customers, put_customers
from central.database.pool import Connection, Pool, row_of, rows_of, run
from central.database.retry import in_transaction
from central.limits import uses
from central.members.finding import found_of
from central.members.keys import MemberSecret
from shared.clock import Clock
from shared.crypto.phones import plain_phone, slow_hash
from shared.errors import AppError, ConflictError, InputError
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.unreadable import UNREADABLE
from shared.wire.feed import CustomerEntry
from shared.wire.members import MemberRegistered, RegisterReply, newcomer_edge

SETTLED_PER_ROUND_MAX: Final = 500
_OWNERS_MAX: Final = 1
_FACT: Final = msgspec.msgpack.Decoder(MemberRegistered)
_QUERIES: Final = load_queries("central.members")
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phone:
    """A phone that was opened, with its slow hash."""

    plain: str
    slow: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What became of a registration."""

    owner: str
    is_new: bool
    card_taken: bool


class Registering:
    """Settles registrations, those that are asked at once and those that came as records."""

    def __init__(self, pool: Pool, clock: Clock, secret: MemberSecret) -> None:
        self._pool = pool
        self._clock = clock
        self._secret = secret

    async def register(self, edge_id: int, uid: bytes, fact: MemberRegistered) -> RegisterReply:
        """Make a member, or find who has the phone; the same uid always gets the same answer.

        Raises:
            InputError: the phone is not sealed to us, or is none.
            ConflictError: ``registration_differs``: the uid is that of another registration;
                ``name_taken``: the name is that of another member, or of another store's.
            UnavailableError: others hold the same rows for too long.
        """
        phone = await self._opened(fact)
        body = msgspec.msgpack.encode(fact)

        async def work(connection: Connection) -> RegisterReply:
            await put_registration(connection, edge_id, uid, body)
            settled = await self._settle(connection, uid, fact, phone, body)
            found = await found_of(connection, [settled.owner])
            return RegisterReply(
                found=found[0], is_new=settled.is_new, card_taken=settled.card_taken
            )

        return await in_transaction(self._pool, work)

    async def settle_waiting(self) -> int:
        """Settle what came as records; how many. What cannot be is set aside with its reason."""
        async with self._pool.connection() as connection:
            rows = await rows_of(
                connection, _QUERIES["unsettled"], {"limit": SETTLED_PER_ROUND_MAX}
            )
        for row in rows:
            await self._settle_record(bytes(row["record_uid"]))
        return len(rows)

    async def _settle_record(self, uid: bytes) -> None:
        async with self._pool.connection() as connection:
            row = await row_of(connection, _QUERIES["registration"], {"record_uid": uid})
        if row is None or row["settled"]:
            return
        try:
            fact = _FACT.decode(bytes(row["body"]))
            phone = await self._opened(fact)
        except (AppError, *UNREADABLE) as error:
            code = error.stable_code if isinstance(error, AppError) else "unreadable"
            await self._refuse(uid, row["edge_id"], code)
            return

        async def work(connection: Connection) -> None:
            await self._settle(connection, uid, fact, phone, None)

        try:
            await in_transaction(self._pool, work)
        except ConflictError as error:
            await self._refuse(uid, row["edge_id"], error.stable_code)

    async def _refuse(self, uid: bytes, edge_id: int, code: str) -> None:
        _LOG.warning("registration.refused", code=code, edge_id=edge_id)
        async with self._pool.connection() as connection:
            await _note(connection, uid, None, failure=code)

    async def _opened(self, fact: MemberRegistered) -> _Phone:
        try:
            plain = plain_phone(self._secret.opener.open(fact.sealed_phone).decode("ascii"))
        except UnicodeDecodeError as error:
            raise InputError("what was sealed is no phone", code="bad_phone") from error
        slow = await asyncio.to_thread(slow_hash, plain, self._secret.phone_salt)
        return _Phone(plain=plain, slow=slow)

    async def _settle(
        self,
        connection: Connection,
        uid: bytes,
        fact: MemberRegistered,
        phone: _Phone,
        body: bytes | None,
    ) -> _Settled:
        """``body``: what was asked under this uid; None: the fact is the one that is kept."""
        row = await row_of(connection, _QUERIES["registration"], {"record_uid": uid})
        assert row is not None, "it was put down before"
        if row["settled"]:
            if row["owner"] is None:
                raise ConflictError("this registration was refused", code="registration_differs")
            return _Settled(
                owner=await _owner_of(connection, row["owner"]),
                is_new=row["is_new"],
                card_taken=row["card_taken"],
            )
        if body is not None and bytes(row["body"]) != body:
            raise ConflictError("this uid told of another member", code="registration_differs")
        await _check_name(connection, fact.customer_id, row["edge_id"])
        await run(connection, _QUERIES["lock_phone"], {"phone_hash": phone.slow})
        owners = await rows_of(
            connection,
            _QUERIES["owners_of_phone"],
            {"phone_hash": phone.slow, "limit": _OWNERS_MAX},
        )
        if owners:
            settled = await self._merge(connection, fact, owners[0]["customer_id"])
        else:
            settled = await self._adopt(connection, fact, phone, row["edge_id"])
        await _note(connection, uid, settled)
        return settled

    async def _adopt(
        self, connection: Connection, fact: MemberRegistered, phone: _Phone, edge_id: int
    ) -> _Settled:
        entry = CustomerEntry(
            customer_id=fact.customer_id,
            card_tags=[] if fact.card_tag is None else [fact.card_tag],
        )
        await put_customers(connection, [(entry, fact.store_id)])
        await run(
            connection,
            _QUERIES["put_phone"],
            {
                "customer_id": fact.customer_id,
                "phone": phone.plain,
                "phone_hash": phone.slow,
                "phone_tag": self._secret.phone_tag(phone.slow),
                "consents": Jsonb(fact.consents),
                "edge_id": edge_id,
            },
        )
        await announce_customers(connection, [fact.customer_id])
        taken = False
        if fact.card_tag is not None:
            owner = await row_of(connection, _QUERIES["owner_of_card"], {"card_tag": fact.card_tag})
            taken = owner is not None and owner["customer_id"] == fact.customer_id
        return _Settled(owner=fact.customer_id, is_new=True, card_taken=taken)

    async def _merge(self, connection: Connection, fact: MemberRegistered, owner: str) -> _Settled:
        alias, now_ms = fact.customer_id, self._clock.now_ms()
        if alias != owner:
            await accounts.merge_customers(connection, alias, owner, now_ms=now_ms)
            await coupons.merge_customers(connection, alias, owner, now_ms=now_ms)
            await uses.merge_customers(connection, alias, owner)
            await put_customers(
                connection, [(CustomerEntry(customer_id=alias, card_tags=[]), fact.store_id)]
            )
        taken = False
        if fact.card_tag is not None:
            held = await row_of(connection, _QUERIES["owner_of_card"], {"card_tag": fact.card_tag})
            taken = held is not None and held["customer_id"] == owner
        return _Settled(owner=owner, is_new=False, card_taken=taken)


async def put_registration(connection: Connection, edge_id: int, uid: bytes, body: bytes) -> None:
    """Keep what a shop told, for ``Registering`` to settle; a repeat changes nothing."""
    await run(
        connection,
        _QUERIES["put_registration"],
        {"record_uid": uid, "edge_id": edge_id, "body": body},
    )


async def _check_name(connection: Connection, customer_id: str, told_by: int) -> None:
    name = {
        "customer_id": customer_id,
        "given_by": newcomer_edge(customer_id),
        "told_by": told_by,
    }
    row = await row_of(connection, _QUERIES["name"], name)
    assert row is not None, "the statement always answers"
    if row["taken"] or not row["own"]:
        raise ConflictError("this name is somebody else's", code="name_taken")


async def _owner_of(connection: Connection, customer_id: str) -> str:
    row = await row_of(connection, _QUERIES["owner_of"], {"customer_id": customer_id})
    assert row is not None, "the statement always answers"
    return str(row["customer_id"])


async def _note(
    connection: Connection, uid: bytes, settled: _Settled | None, *, failure: str | None = None
) -> None:
    await run(
        connection,
        _QUERIES["settle"],
        {
            "record_uid": uid,
            "owner": None if settled is None else settled.owner,
            "is_new": settled is not None and settled.is_new,
            "card_taken": settled is not None and settled.card_taken,
            "failure": failure,
        },
    )

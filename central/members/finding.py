"""Who has a phone or a card, for shops that do not know them; and phones of members imported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.types.json import Jsonb

from central.customers.store import announce_customers, entries_of
from central.database.pool import Connection, Pool, rows_of, run_many
from central.members.keys import MemberSecret
from shared.crypto.phones import slow_hash
from shared.sqlfile import load_queries
from shared.wire.members import HITS_MAX, FindReply, FindRequest, MemberFound

_QUERIES: Final = load_queries("central.members")


async def find_members(pool: Pool, request: FindRequest) -> FindReply:
    """Up to ``HITS_MAX`` members, who were there first; nobody: an empty list."""
    async with pool.connection() as connection:
        if request.phone_hash is not None:
            rows = await rows_of(
                connection,
                _QUERIES["owners_of_phone"],
                {"phone_hash": request.phone_hash, "limit": HITS_MAX},
            )
        else:
            rows = await rows_of(
                connection, _QUERIES["owner_of_card"], {"card_tag": request.card_tag}
            )
        return FindReply(
            members=await found_of(connection, [str(row["customer_id"]) for row in rows])
        )


async def found_of(connection: Connection, ids: Sequence[str]) -> list[MemberFound]:
    """These members as a cashier may see them, in this order; who is none is left out."""
    entries = await entries_of(connection, list(ids))
    rows = await rows_of(connection, _QUERIES["shown"], {"ids": list(ids)})
    shown = {row["customer_id"]: row for row in rows}
    return [
        MemberFound(
            entry=entries[each],
            phone_end=shown[each]["phone_end"],
            registered_on=shown[each]["registered_on"],
        )
        for each in ids
        if each in entries
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneOf:
    """A member's phone, as ``plain_phone`` gives it."""

    customer_id: str
    phone: str


async def hash_phones(secret: MemberSecret, phones: Sequence[PhoneOf]) -> list[dict[str, Any]]:
    """The rows of these phones; a tenth of a second each, in a thread."""

    def hashed(each: PhoneOf) -> dict[str, Any]:
        slow = slow_hash(each.phone, secret.phone_salt)
        return {
            "customer_id": each.customer_id,
            "phone": each.phone,
            "phone_hash": slow,
            "phone_tag": secret.phone_tag(slow),
            "consents": Jsonb([]),
            "edge_id": None,
        }

    return [await asyncio.to_thread(hashed, each) for each in phones]


async def put_phones(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the phones of members who are there, and tell the shops.

    Several members may share one; the shops are told of a phone that one member alone has.
    """
    if not rows:
        return
    await run_many(connection, _QUERIES["put_phone"], list(rows))
    hashes = [each["phone_hash"] for each in rows]
    found = await rows_of(connection, _QUERIES["members_of_phones"], {"phone_hashes": hashes})
    await announce_customers(connection, [row["customer_id"] for row in found])

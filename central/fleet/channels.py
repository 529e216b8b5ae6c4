"""Channels: those who sell for a store without an agent, such as a web shop, and their tokens."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from central.database.pool import Connection, row_of, run
from central.fleet.store import secret_sha256, store_known
from shared.errors import InputError, NotFoundError
from shared.ids import Chance
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.sqlfile import load_queries

PREFIX: Final = "kch_"
"""Tells a channel's token from an agent's credential."""
TOKEN_BYTES: Final = 20
_QUERIES: Final = load_queries("central.fleet", "channels.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Who asks, and the store whose sales these are."""

    channel_id: str
    store_id: str


async def issue_channel(
    connection: Connection, channel_id: str, store_id: str, chance: Chance
) -> str:
    """A new token for a channel, which is made if need be; it is shown once and kept as a hash.

    Raises:
        InputError: the channel's name cannot be one.
        NotFoundError: there is no such store.
    """
    if not channel_id.isprintable() or not 0 < len(channel_id) <= IDENTIFIER_CHARS_MAX:
        raise InputError(f"a channel's name is 1 to {IDENTIFIER_CHARS_MAX} printable characters")
    if not await store_known(connection, store_id):
        raise NotFoundError(f"there is no store {store_id}")
    token = PREFIX + base64.b32encode(chance.token_bytes(TOKEN_BYTES)).decode().lower()
    parameters = {
        "channel_id": channel_id,
        "store_id": store_id,
        "token_sha256": secret_sha256(token),
    }
    await run(connection, _QUERIES["put_channel"], parameters)
    return token


async def revoke_channel(connection: Connection, channel_id: str) -> None:
    """Believe a channel's token no longer.

    Raises:
        NotFoundError: no channel of that name has one.
    """
    if not await run(connection, _QUERIES["revoke_channel"], {"channel_id": channel_id}):
        raise NotFoundError(f"there is no channel {channel_id}")


async def find_channel(connection: Connection, token: str) -> Channel | None:
    """The channel that shows this token."""
    parameters = {"token_sha256": secret_sha256(token)}
    row = await row_of(connection, _QUERIES["channel"], parameters)
    return None if row is None else Channel(channel_id=row["channel_id"], store_id=row["store_id"])

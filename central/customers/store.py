"""Keep members and tell the shops; card numbers become tags and are not kept."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from psycopg.types.json import Jsonb

from central.database.pool import Connection, rows_of, run_many
from central.feed import store as feed
from shared.sqlfile import load_queries
from shared.wire.feed import CustomerEntry, Topic

_QUERIES = load_queries("central.customers")


async def put_customers(
    connection: Connection, customers: list[tuple[CustomerEntry, str | None]]
) -> None:
    """Store members, each with the id of their home store, and announce them to every shop.

    The tags are of cards; they are added to those that the member has.
    """
    await run_many(
        connection,
        _QUERIES["put"],
        [
            msgspec.structs.asdict(entry)
            | {"segments": Jsonb(entry.segments), "home_store_id": home_store_id}
            for entry, home_store_id in customers
        ],
    )
    await run_many(
        connection,
        _QUERIES["put_card"],
        [
            {"card_tag": tag, "customer_id": entry.customer_id}
            for entry, _ in customers
            for tag in entry.card_tags
        ],
    )
    await announce_customers(connection, [entry.customer_id for entry, _ in customers])


async def announce_customers(connection: Connection, ids: Sequence[str]) -> None:
    """Tell every shop what it may know of these members now."""
    entries = await entries_of(connection, list(ids))
    await feed.put(connection, feed.EVERY_STORE, Topic.CUSTOMER, {**entries})


async def entries_of(connection: Connection, ids: list[str]) -> dict[str, CustomerEntry]:
    """These members as a store may know them; who is none is left out."""
    return {
        row["customer_id"]: CustomerEntry(
            customer_id=row["customer_id"],
            card_tags=[bytes(tag) for tag in row["tags"]],
            segments=row["segments"],
            level=row["level"],
            card_category=row["card_category"],
            blocked=row["blocked"],
            merged_into=row["merged_into"],
        )
        for row in await rows_of(connection, _QUERIES["entries"], {"ids": ids})
    }


async def known_customers(connection: Connection, ids: list[str]) -> set[str]:
    """Which of these ids are members."""
    rows = await rows_of(connection, _QUERIES["known"], {"ids": ids})
    return {row["customer_id"] for row in rows}

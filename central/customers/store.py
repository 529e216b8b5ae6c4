"""Keep members and tell the shops; card numbers become tags and are not kept."""

from __future__ import annotations

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
    """Store members, each with the id of their home store, and announce them to every shop."""
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
    await feed.put(
        connection,
        feed.EVERY_STORE,
        Topic.CUSTOMER,
        {entry.customer_id: entry for entry, _ in customers},
    )


async def known_customers(connection: Connection, ids: list[str]) -> set[str]:
    """Which of these ids are members."""
    rows = await rows_of(connection, _QUERIES["known"], {"ids": ids})
    return {row["customer_id"] for row in rows}

"""Write and read the change feed.

A page ends below the oldest running transaction (the snapshot's xmin): a slow writer's rows would
otherwise get a smaller place than rows already handed out, and be missed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from central.database.pool import Connection, rows_of, run_many
from shared.errors import InputError
from shared.limits import FEED_CURSOR_CHARS_MAX, FEED_PAGE_BYTES_MAX
from shared.sqlfile import load_queries
from shared.wire.feed import FeedChange, FeedPage, Operation, Topic

EVERY_STORE: Final = "*"
PAGE_CHANGES: Final = 1_000
_QUERIES = load_queries("central.feed")
_CURSOR = re.compile(r"(\d{1,19})-(\d{1,18})")


async def put(
    connection: Connection, scope: str, topic: Topic, entries: dict[str, msgspec.Struct]
) -> None:
    """Announce the present state of every key; ``scope``: a store id or EVERY_STORE."""
    await run_many(
        connection,
        _QUERIES["put"],
        [
            {
                "scope": scope,
                "topic": topic.value,
                "key": key,
                "operation": Operation.PUT.value,
                "payload": msgspec.msgpack.encode(entry),
            }
            for key, entry in sorted(entries.items())
        ],
    )


async def page(connection: Connection, store_id: str, cursor: str) -> FeedPage:
    """What a store has to know after ``cursor`` (empty: from the beginning).

    Raises:
        InputError: the cursor is none of ours.
    """
    xid, change_id = _read_cursor(cursor)
    rows = await rows_of(
        connection,
        _QUERIES["page"],
        {"store_id": store_id, "xid": xid, "change_id": change_id, "limit": PAGE_CHANGES},
    )
    changes: list[FeedChange] = []
    size_bytes = 0
    for row in rows:
        size_bytes += len(row["payload"]) + len(row["key"]) + 32
        if changes and size_bytes > FEED_PAGE_BYTES_MAX:
            return FeedPage(cursor=cursor, changes=changes, complete=False)
        cursor = f"{row['xid']}-{row['change_id']}"
        changes.append(
            FeedChange(
                topic=row["topic"],
                key=row["key"],
                operation=Operation(row["operation"]),
                version=row["change_id"],
                payload=row["payload"],
            )
        )
    return FeedPage(cursor=cursor, changes=changes, complete=len(rows) < PAGE_CHANGES)


def _read_cursor(cursor: str) -> tuple[str, int]:
    if not cursor:
        return "0", 0
    found = _CURSOR.fullmatch(cursor) if len(cursor) <= FEED_CURSOR_CHARS_MAX else None
    if found is None:
        raise InputError("this cursor was not given by central", code="bad_cursor")
    return found[1], int(found[2])

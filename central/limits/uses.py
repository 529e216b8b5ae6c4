"""What each customer has used of limited promotions: counted once a record, told to every shop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final

from psycopg.rows import DictRow

from central.database.arrays import as_arrays
from central.database.pool import Connection, rows_of, run
from central.feed import store as feed
from central.limits.policy import Sold, UseKey, added, keys_of, overshoots
from shared.limits import PAST_USES_KEEP_DAYS
from shared.sqlfile import load_queries
from shared.uses import last_day_of
from shared.wire.facts import Incident
from shared.wire.feed import Topic, UseEntry, key_of_use

TOLD_DAYS: Final = 2
"""How long shops are told of a period that is over: somewhere it is still the day before."""
BATCH: Final = 1_000
"""Counts in one transaction of a job."""
_QUERIES: Final = load_queries("central.limits")


async def count(connection: Connection, sales: Sequence[Sold]) -> list[list[Incident]]:
    """Count what new records used, and tell the shops; for each, the limits it went beyond.

    Only members are counted, under the name they have now.
    """
    names = sorted({sold.customer_id for sold in sales if sold.uses})
    if not names:
        return [[] for _ in sales]
    owners = {row["name"]: row["owner"] for row in await _rows(connection, "names", names=names)}
    known = [
        Sold(
            edge_id=sold.edge_id,
            customer_id=owners.get(sold.customer_id, ""),
            uses=sold.uses if sold.customer_id in owners else (),
        )
        for sold in sales
    ]
    sums = added(known)
    if not sums:
        return [[] for _ in sales]
    await _rows(connection, "lock_counts", names=sorted({key.customer_id for key, _ in sums}))
    rows = await _add(connection, sums)
    await _tell(connection, [row for row in rows if row["told"]])
    keys = sorted({key for sold in known for key in keys_of(sold)}, key=_order)
    found = await _rows(connection, "used", **_columns(keys))
    return overshoots(known, {_key(row): row["amount"] for row in found})


async def merge_customers(connection: Connection, alias: str, owner: str) -> None:
    """Count what one customer used as the other's too, now; what comes later follows by itself.

    Call it when the ledger knows the alias.
    """
    rows = await rows_of(connection, _QUERIES["uses_of"], {"customer_id": alias})
    if not rows:
        return
    await run(connection, _QUERIES["drop_uses"], {"customer_id": alias})
    await _untell(connection, [row for row in rows if row["told"]])
    sums = {
        (
            UseKey(
                customer_id=owner,
                promotion=row["promotion"],
                measure=row["measure"],
                period=row["period"],
            ),
            row["edge_id"],
        ): row["amount"]
        for row in rows
    }
    await _tell(connection, [row for row in await _add(connection, sums) if row["told"]])


async def forget_past(connection: Connection, today: str) -> int:
    """Tell the shops no more of periods that are over, and forget those long past; how many.

    Bounded; what is beyond the bound is done in the next turn.
    """
    day = dt.date.fromisoformat(today)
    before = (day - dt.timedelta(days=TOLD_DAYS)).isoformat()
    rows = await _rows(connection, "untell_uses", before=before, limit=BATCH)
    await _untell(connection, rows)
    long_past = (day - dt.timedelta(days=PAST_USES_KEEP_DAYS)).isoformat()
    gone = await run(connection, _QUERIES["forget_uses"], {"before": long_past, "limit": BATCH})
    return len(rows) + gone


async def _add(connection: Connection, sums: dict[tuple[UseKey, int], int]) -> list[DictRow]:
    ordered = sorted(sums, key=lambda each: (*_order(each[0]), each[1]))
    return await _rows(
        connection,
        "add_uses",
        **_columns([key for key, _ in ordered]),
        edges=[edge_id for _, edge_id in ordered],
        amounts=[sums[each] for each in ordered],
        last_dates=[last_day_of(key.period) for key, _ in ordered],
    )


async def _tell(connection: Connection, rows: Iterable[DictRow]) -> None:
    entries = [_entry(row, row["amount"]) for row in rows]
    await feed.put(
        connection, feed.EVERY_STORE, Topic.USE, {key_of_use(entry): entry for entry in entries}
    )


async def _untell(connection: Connection, rows: Iterable[DictRow]) -> None:
    keys = [key_of_use(_entry(row, 0)) for row in rows]
    await feed.delete(connection, feed.EVERY_STORE, Topic.USE, keys)


def _entry(row: DictRow, amount: int) -> UseEntry:
    return UseEntry(
        customer_id=row["customer_id"],
        promotion=row["promotion"],
        measure=row["measure"],
        period=row["period"],
        edge_id=row["edge_id"],
        amount=amount,
    )


def _key(row: DictRow) -> UseKey:
    return UseKey(
        customer_id=row["customer_id"],
        promotion=row["promotion"],
        measure=row["measure"],
        period=row["period"],
    )


def _order(key: UseKey) -> tuple[str, ...]:
    return (key.customer_id, key.promotion, key.measure, key.period)


def _columns(keys: Sequence[UseKey]) -> dict[str, list[str]]:
    return {
        "customers": [key.customer_id for key in keys],
        "promotions": [key.promotion for key in keys],
        "measures": [key.measure for key in keys],
        "periods": [key.period for key in keys],
    }


async def _rows(connection: Connection, name: str, **parameters: Any) -> list[DictRow]:
    return await rows_of(connection, _QUERIES[name], as_arrays(parameters))

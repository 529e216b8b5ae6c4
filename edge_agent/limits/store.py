"""Uses of limited promotions in SQLite. Functions take a connection and share its transaction.

Two sources say what a customer has used: central, of all edges, and this edge of itself. An edge's
count only grows, so the greater of the two is the newer. The edge's own word makes the limit hold
here while nobody else is heard of; central's makes it hold for a file that was put back.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec
from msgspec.structs import asdict

from edge_agent.clock.store import kept_floor
from shared.engine.program import Limits
from shared.limits import LAN_USES_MAX, PAST_USES_KEEP_DAYS
from shared.sqlfile import load_queries
from shared.uses import Measure, counted, last_day_of, period_of
from shared.wire.facts import PromotionUse
from shared.wire.feed import UseEntry, key_of_use

FORGOTTEN_PER_SALE_MAX: Final = 20
"""Counts of periods long past; a sale adds fewer than it takes away."""
THIS_EDGE: Final = 0
"""In the rows of what was used here: whoever this edge is now."""
_QUERIES: Final = load_queries("edge_agent.limits")
_ENCODE: Final = msgspec.msgpack.Encoder().encode


def put_told(connection: apsw.Connection, entries: Sequence[UseEntry]) -> None:
    """Keep what central says."""
    rows = [asdict(entry) | {"key": key_of_use(entry)} for entry in entries]
    connection.executemany(_QUERIES["put_told"], rows)


def forget_told(connection: apsw.Connection, keys: Sequence[str]) -> None:
    """Central says nothing of these keys any more."""
    connection.executemany(_QUERIES["forget_told"], [{"key": key} for key in keys])


def told_entries(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, bytes]:
    """The payloads that what is kept of some keys would have come in."""
    rows: list[Any] = connection.execute(
        _QUERIES["told_entries"], {"keys": json.dumps(list(keys))}
    ).fetchall()
    return {
        key: _ENCODE(
            UseEntry(
                customer_id=customer_id,
                promotion=promotion,
                measure=measure,
                period=period,
                edge_id=edge_id,
                amount=amount,
            )
        )
        for key, customer_id, promotion, measure, period, edge_id, amount in rows
    }


def used_by(
    connection: apsw.Connection,
    customer_id: str,
    offered: Mapping[str, Limits],
    business_date: str,
    edge_id: int,
    more: Sequence[UseEntry] = (),
) -> dict[str, dict[Measure, int]]:
    """What a customer has used of these promotions in the periods of a day, everywhere.

    ``edge_id``: who this edge is now. ``more``: counts that another edge of the shop told.
    """
    periods = {
        name: period_of(limits.per_customer.per, business_date)
        for name, limits in offered.items()
        if limits.per_customer is not None
    }
    if not periods:
        return {}
    asked = {"customer_id": customer_id, "promotions": json.dumps(list(periods))}
    told: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    own: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for promotion, measure, period, at, amount in _rows(connection, "told", asked):
        if period == periods[promotion]:
            told[promotion, measure].append((at, amount))
    for entry in more:
        if entry.customer_id == customer_id and entry.period == periods.get(entry.promotion):
            told[entry.promotion, entry.measure].append((entry.edge_id, entry.amount))
    for promotion, measure, period, at, amount in _rows(connection, "own", asked):
        if period == periods[promotion]:
            own[promotion, measure][edge_id if at == THIS_EDGE else at] = amount
    used: dict[str, dict[Measure, int]] = {}
    for key in {*told, *own}:
        promotion, measure = key
        if measure in Measure.__members__.values():
            sums = used.setdefault(promotion, {})
            sums[Measure(measure)] = counted(told.get(key, ()), own.get(key, {}))
    return used


def add_own(
    connection: apsw.Connection,
    customer_id: str,
    uses: Iterable[PromotionUse],
    *,
    business_date: str,
    edge_id: int | None = None,
) -> None:
    """A sale used so much, in its own transaction; ``edge_id``: who this edge is now.

    Without it the sale is an old one, told again by the second journal: central may have counted
    it already, so nothing is concluded from what central says.
    """
    for use in uses:
        values: dict[str, Any] = {
            "customer_id": customer_id,
            "promotion": use.promotion,
            "measure": use.measure,
            "period": use.period,
        }
        known = None
        if edge_id is not None:
            known = connection.execute(_QUERIES["told_of"], values | {"edge_id": edge_id}).get
        values |= {"amount": use.amount, "known": known or 0}
        connection.execute(_QUERIES["add_own"], values | {"last_date": last_day_of(use.period)})
    # A till's calendar that is ahead says nothing about what is over.
    today = dt.date.fromisoformat(business_date)
    floor = kept_floor(connection)
    if floor is not None:
        today = min(today, dt.datetime.fromtimestamp(floor.floor_ms / 1000, dt.UTC).date())
    before = today - dt.timedelta(days=PAST_USES_KEEP_DAYS)
    connection.execute(
        _QUERIES["forget_own"],
        {"before_date": before.isoformat(), "limit": FORGOTTEN_PER_SALE_MAX},
    )


def own_uses(connection: apsw.Connection, customer_id: str, edge_id: int) -> list[UseEntry]:
    """What this edge (now ``edge_id``), and those that told it, have counted of a customer."""
    rows: list[Any] = connection.execute(
        _QUERIES["own_of_customer"], {"customer_id": customer_id, "limit": LAN_USES_MAX}
    ).fetchall()
    return [
        UseEntry(
            customer_id=customer_id,
            promotion=promotion,
            measure=measure,
            period=period,
            edge_id=edge_id if at == THIS_EDGE else at,
            amount=amount,
        )
        for promotion, measure, period, at, amount in rows
    ]


def hear_uses(connection: apsw.Connection, entries: Sequence[UseEntry]) -> None:
    """Another edge of this shop says what it has counted; of two words the greater is the newer.

    The periods were checked.
    """
    rows = [asdict(entry) | {"last_date": last_day_of(entry.period)} for entry in entries]
    connection.executemany(_QUERIES["put_own"], rows)


def name_owner(connection: apsw.Connection, edge_id: int) -> None:
    """The folder is to become another edge: what was used here so far is of ``edge_id``."""
    connection.execute(_QUERIES["name_owner"], {"edge_id": edge_id})


def _rows(connection: apsw.Connection, name: str, asked: dict[str, str]) -> list[Any]:
    return connection.execute(_QUERIES[name], asked).fetchall()

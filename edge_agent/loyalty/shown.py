"""Cards and balances of a checkpoint that is shown before it is in its places, in SQLite.

What waits is kept as it came (``feed_staged``), and that does not tell whose a card is, or what an
account holds. So both are worked out ahead; the views ``shown_card`` and ``shown_balance`` look
here first while a checkpoint is being merged. The cards come out as ``store.put_customers`` and
``forget_customers`` leave them, which the merge then calls in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import apsw

from edge_agent.loyalty.newcomers import forget_newcomers_named
from shared.sqlfile import load_queries
from shared.wire.feed import BalanceEntry, CustomerEntry

_QUERIES: Final = load_queries("edge_agent.loyalty", "shown.sql")


def expect_cards(
    connection: apsw.Connection, members: Sequence[CustomerEntry], gone: Sequence[str]
) -> None:
    """Work out whose each card will be when these members are kept, and those are forgotten."""
    tags = [tag.hex() for entry in members for tag in entry.card_tags]
    keys = [*gone, *(entry.customer_id for entry in members)]
    rows: list[Any] = connection.execute(
        _QUERIES["cards_touched"], {"keys": json.dumps(keys), "tags": json.dumps(tags)}
    ).fetchall()
    before: dict[bytes, str] = dict(rows)
    left = set(gone)
    owner: dict[bytes, str | None] = {
        tag: None if customer_id in left else customer_id for tag, customer_id in before.items()
    }
    cards: dict[str, set[bytes]] = {}
    for tag, customer_id in before.items():
        cards.setdefault(customer_id, set()).add(tag)
    for entry in members:
        for tag in cards.get(entry.customer_id, set()).difference(entry.card_tags):
            if owner.get(tag) == entry.customer_id:
                owner[tag] = None
        owner.update(dict.fromkeys(entry.card_tags, entry.customer_id))
    changed = [(tag, whose) for tag, whose in owner.items() if before.get(tag) != whose]
    connection.executemany(_QUERIES["expect_card"], changed)


def expect_balances(
    connection: apsw.Connection, entries: Sequence[BalanceEntry], gone: Sequence[str]
) -> None:
    """Work out what accounts will hold; ``gone``: named as in the feed."""
    rows: list[tuple[str, str, int | None, int]] = [
        (entry.customer_id, entry.account, entry.available_centi, entry.as_of_ms)
        for entry in entries
    ]
    parts = (key.rpartition("/") for key in gone)
    rows += [(customer_id, account, None, 0) for customer_id, _, account in parts]
    connection.executemany(_QUERIES["expect_balance"], rows)


def move_members(
    connection: apsw.Connection, kept: Sequence[tuple[str, bytes]], gone: Sequence[str]
) -> None:
    """Keep members as the bytes their entries came in, and forget others; cards come after."""
    connection.executemany(_QUERIES["forget_member"], [(each,) for each in gone])
    forget_newcomers_named(connection, gone)
    connection.executemany(_QUERIES["put_member"], kept)


def move_cards(connection: apsw.Connection, limit: int) -> bool:
    """Give some cards to their owners, who are all here; True when no more wait."""
    rows: list[Any] = connection.execute(_QUERIES["next_cards"], {"limit": limit}).fetchall()
    connection.executemany(_QUERIES["move_card"], [row for row in rows if row[1] is not None])
    connection.executemany(_QUERIES["forget_card"], [(tag,) for tag, who in rows if who is None])
    connection.executemany(_QUERIES["drop_card"], [(tag,) for tag, _ in rows])
    return len(rows) < limit


def move_balances(connection: apsw.Connection, limit: int) -> bool:
    """Keep some balances; True when no more wait."""
    rows: list[Any] = connection.execute(_QUERIES["next_balances"], {"limit": limit}).fetchall()
    connection.executemany(_QUERIES["move_balance"], [row for row in rows if row[2] is not None])
    gone = [row[:2] for row in rows if row[2] is None]
    connection.executemany(_QUERIES["forget_balance"], gone)
    connection.executemany(_QUERIES["drop_balance"], [row[:2] for row in rows])
    return len(rows) < limit


def sweep(connection: apsw.Connection, limit: int) -> bool:
    """Forget some of what was worked out; True when nothing is left."""
    connection.execute(_QUERIES["sweep_cards"], {"limit": limit})
    connection.execute(_QUERIES["sweep_balances"], {"limit": limit})
    return not connection.execute(_QUERIES["any_expected"]).get

"""Members whom this shop made: known here by name, card and phone before the feed tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import apsw

from shared.sqlfile import load_queries
from shared.wire.feed import CustomerEntry

_QUERIES: Final = load_queries("edge_agent.loyalty", "newcomers.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """One of them. ``uid``: of the record that tells of it.

    ``owner`` None: head office has not said who it is. ``phone_end``: the last two digits;
    ``phone_tag`` None: no key was here to make one. ``card_tag`` None where the card is not theirs.
    """

    operation_id: str
    uid: bytes
    customer_id: str
    owner: str | None
    is_new: bool
    card_taken: bool
    phone_end: str
    phone_tag: bytes | None
    card_tag: bytes | None
    registered_at_ms: int

    def entry(self) -> CustomerEntry:
        """As the feed would tell of them, until it does."""
        return CustomerEntry(
            customer_id=self.owner or self.customer_id,
            card_tags=[] if self.card_tag is None else [self.card_tag],
        )


def put_newcomer(connection: apsw.Connection, newcomer: Newcomer) -> None:
    """Keep one; the first of an operation stays."""
    connection.execute(_QUERIES["put"], asdict(newcomer))


def newcomer_of_operation(connection: apsw.Connection, operation_id: str) -> Newcomer | None:
    """What became of a till's operation."""
    return _one(connection, "by_operation", {"operation_id": operation_id})


def newcomer_named(connection: apsw.Connection, customer_id: str) -> Newcomer | None:
    """Who was given this name here."""
    return _one(connection, "by_name", {"customer_id": customer_id})


def newcomer_tagged(connection: apsw.Connection, tag: bytes) -> Newcomer | None:
    """Whose this phone or card is, while the feed tells nothing of them."""
    return _one(connection, "by_tag", {"tag": tag})


def newcomers_waiting(connection: apsw.Connection) -> int:
    """Of how many head office has said nothing yet."""
    return int(connection.execute(_QUERIES["waiting"]).get)


def forget_newcomers(connection: apsw.Connection, before_ms: int, limit: int) -> None:
    """Forget some of those whom the feed has told of long ago."""
    connection.execute(_QUERIES["forget_past"], {"before_ms": before_ms, "limit": limit})


def forget_newcomers_named(connection: apsw.Connection, ids: Iterable[str]) -> None:
    """Keep nothing of members who left."""
    connection.executemany(_QUERIES["forget_named"], [(each,) for each in ids])


def _one(connection: apsw.Connection, query: str, parameters: dict[str, Any]) -> Newcomer | None:
    row: Any = connection.execute(_QUERIES[query], parameters).fetchone()
    if row is None:
        return None
    operation_id, uid, customer_id, owner, is_new, card_taken, end, phone, card, at_ms = row
    return Newcomer(
        operation_id=operation_id,
        uid=uid,
        customer_id=customer_id,
        owner=owner,
        is_new=bool(is_new),
        card_taken=bool(card_taken),
        phone_end=end,
        phone_tag=phone,
        card_tag=card,
        registered_at_ms=at_ms,
    )

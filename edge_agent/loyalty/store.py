"""Members, balances and leases in SQLite; keys and entries are those of ``shared.wire.feed``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apsw
import msgspec
from msgspec.structs import asdict

from edge_agent.database.showing import tables_suffice
from edge_agent.loyalty.newcomers import (
    Newcomer,
    forget_newcomers_named,
    newcomer_named,
    newcomer_tagged,
)
from shared.sqlfile import load_queries
from shared.unreadable import UNREADABLE
from shared.wire.feed import BalanceEntry, CustomerEntry, LeaseEntry

_QUERIES: Final = load_queries("edge_agent.loyalty")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_CUSTOMER: Final = msgspec.msgpack.Decoder(CustomerEntry)


def put_customers(
    connection: apsw.Connection, members: Sequence[tuple[CustomerEntry, bytes]]
) -> None:
    """Keep many members, each as the bytes the entry came in.

    Cards that an entry does not name are its member's no longer; one that two name is the later's.
    """
    connection.executemany(
        _QUERIES["put_customer"], [(entry.customer_id, payload) for entry, payload in members]
    )
    rows: list[Any] = connection.execute(
        _QUERIES["cards_touched"],
        {
            "keys": json.dumps([entry.customer_id for entry, _ in members]),
            "tags": json.dumps([tag.hex() for entry, _ in members for tag in entry.card_tags]),
        },
    ).fetchall()
    before: dict[bytes, str] = dict(rows)
    # Nearly always the cards are as they were, and nothing is written.
    owner = dict(before)
    cards: dict[str, set[bytes]] = {}
    for tag, customer_id in before.items():
        cards.setdefault(customer_id, set()).add(tag)
    for entry, _ in members:
        for tag in cards.get(entry.customer_id, set()).difference(entry.card_tags):
            if owner.get(tag) == entry.customer_id:
                del owner[tag]
        owner.update(dict.fromkeys(entry.card_tags, entry.customer_id))
    connection.executemany(_QUERIES["forget_card"], [(tag,) for tag in before if tag not in owner])
    connection.executemany(
        _QUERIES["put_card"], [pair for pair in owner.items() if before.get(pair[0]) != pair[1]]
    )


def forget_customers(connection: apsw.Connection, ids: Iterable[str]) -> None:
    """Keep nothing of many members; what they bought stays recorded."""
    gone = list(ids)
    connection.executemany(_QUERIES["forget_customer"], [(each,) for each in gone])
    forget_newcomers_named(connection, gone)


def customer_entries(connection: apsw.Connection, ids: Iterable[str]) -> dict[str, bytes]:
    """What is kept of these members; one who lost a card, or has one too many, is left out."""
    names = {"keys": json.dumps(list(ids))}
    rows: list[Any] = connection.execute(_QUERIES["customer_entries"], names).fetchall()
    cards: dict[str, set[bytes]] = {}
    for tag, customer_id in connection.execute(_QUERIES["cards_of"], names):
        cards.setdefault(str(customer_id), set()).add(tag)
    found: dict[str, bytes] = {}
    for customer_id, payload in rows:
        try:
            tags = set(_CUSTOMER.decode(payload).card_tags)
        except UNREADABLE:
            continue
        if tags == cards.get(customer_id, set()):
            found[customer_id] = payload
    return found


def put_balances(connection: apsw.Connection, entries: Iterable[BalanceEntry]) -> None:
    """Keep what central says many accounts hold."""
    connection.executemany(
        _QUERIES["put_balance"],
        [
            (entry.customer_id, entry.account, entry.available_centi, entry.as_of_ms)
            for entry in entries
        ],
    )


def forget_balances(connection: apsw.Connection, keys: Iterable[str]) -> None:
    """Keep nothing of many accounts, named as in the feed: customer id ``/`` account."""
    # An account's name has no slash; a customer id may.
    parts = (key.rpartition("/") for key in keys)
    connection.executemany(
        _QUERIES["forget_balance"], [(customer_id, account) for customer_id, _, account in parts]
    )


def balance_entries(connection: apsw.Connection, keys: Iterable[str]) -> dict[str, bytes]:
    """What is kept of these accounts, as the feed would bring it."""
    rows: list[Any] = connection.execute(
        _QUERIES["balance_entries"], {"keys": json.dumps(list(keys))}
    ).fetchall()
    return {
        key: _ENCODE(
            BalanceEntry(
                customer_id=customer_id,
                account=account,
                available_centi=available_centi,
                as_of_ms=as_of_ms,
            )
        )
        for key, customer_id, account, available_centi, as_of_ms in rows
    }


def put_customer(connection: apsw.Connection, entry: CustomerEntry) -> None:
    """Keep a member; cards that the entry does not name are theirs no longer."""
    member = {"customer_id": entry.customer_id}
    connection.execute(_QUERIES["put_customer"], {**member, "entry": _ENCODE(entry)})
    connection.execute(_QUERIES["forget_cards"], member)
    for tag in entry.card_tags:
        connection.execute(_QUERIES["put_card"], {**member, "card_tag": tag})


def forget_customer(connection: apsw.Connection, customer_id: str) -> None:
    """Keep nothing of a member; what they bought stays recorded."""
    connection.execute(_QUERIES["forget_customer"], {"customer_id": customer_id})


def customer_by_id(connection: apsw.Connection, customer_id: str) -> CustomerEntry | None:
    """The member of this id, also of one who was merged into another or was made here just now."""
    found = connection.execute(_shown(connection, "customer"), {"customer_id": customer_id}).get
    if not isinstance(found, bytes):
        return _made_here(connection, newcomer_named(connection, customer_id))
    entry = _CUSTOMER.decode(found)
    if entry.merged_into is None:
        return entry
    owner = connection.execute(
        _shown(connection, "customer"), {"customer_id": entry.merged_into}
    ).get
    return _CUSTOMER.decode(owner) if isinstance(owner, bytes) else entry


def customer_by_card(connection: apsw.Connection, tag: bytes) -> CustomerEntry | None:
    """The member with a card or a phone of this tag, or who was made here with it just now."""
    found = connection.execute(_shown(connection, "customer_by_card"), {"card_tag": tag}).get
    if isinstance(found, bytes):
        return _CUSTOMER.decode(found)
    return _made_here(connection, newcomer_tagged(connection, tag))


def is_told(connection: apsw.Connection, customer_id: str) -> bool:
    """Whether head office has told of this name, be it a member's or an alias."""
    found = connection.execute(_shown(connection, "customer"), {"customer_id": customer_id}).get
    return isinstance(found, bytes)


def _shown(connection: apsw.Connection, query: str) -> str:
    return _QUERIES[f"{query}_settled" if tables_suffice(connection) else query]


def _made_here(connection: apsw.Connection, newcomer: Newcomer | None) -> CustomerEntry | None:
    """What is known of whom this shop made: of the member whom head office said it is, if any."""
    if newcomer is None:
        return None
    owner = newcomer.entry().customer_id
    found = connection.execute(_shown(connection, "customer"), {"customer_id": owner}).get
    return _CUSTOMER.decode(found) if isinstance(found, bytes) else newcomer.entry()


def put_balance(connection: apsw.Connection, entry: BalanceEntry) -> None:
    """Keep what central says an account holds."""
    connection.execute(_QUERIES["put_balance"], asdict(entry))


def forget_balance(connection: apsw.Connection, customer_id: str, account: str) -> None:
    """Keep nothing of an account."""
    connection.execute(_QUERIES["forget_balance"], {"customer_id": customer_id, "account": account})


def balances_of(connection: apsw.Connection, customer_id: str) -> dict[str, int]:
    """The member's points by account in hundredths, as central last told them."""
    query = _shown(connection, "balances")
    rows: list[Any] = connection.execute(query, {"customer_id": customer_id}).fetchall()
    return dict(rows)


def put_lease(connection: apsw.Connection, entry: LeaseEntry, version: int) -> None:
    """Keep a right to spend as it is told; ``version`` is that of its feed change."""
    connection.execute(
        _QUERIES["put_lease"], {**asdict(entry), "state": entry.state.value, "version": version}
    )


def put_loan(connection: apsw.Connection, entry: LeaseEntry) -> None:
    """Keep a lease that central gave in answer to a request, ahead of the feed."""
    values = asdict(entry) | {"state": entry.state.value}
    connection.execute(_QUERIES["put_loan"], values)


def forget_lease(connection: apsw.Connection, lease_id: str) -> None:
    """Keep no such right; what was used of it stays recorded."""
    connection.execute(_QUERIES["forget_lease"], {"lease_id": lease_id})

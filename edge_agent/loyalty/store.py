"""Members, balances and leases in SQLite; keys and entries are those of ``shared.wire.feed``."""

from __future__ import annotations

from typing import Any, Final

import apsw
import msgspec
from msgspec.structs import asdict

from shared.sqlfile import load_queries
from shared.wire.feed import BalanceEntry, CustomerEntry, LeaseEntry

_QUERIES: Final = load_queries("edge_agent.loyalty")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_CUSTOMER: Final = msgspec.msgpack.Decoder(CustomerEntry)


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
    """The member of this id."""
    found = connection.execute(_QUERIES["customer"], {"customer_id": customer_id}).get
    return _CUSTOMER.decode(found) if isinstance(found, bytes) else None


def customer_by_card(connection: apsw.Connection, tag: bytes) -> CustomerEntry | None:
    """The member with a card of this tag (``shared.crypto.tags.card_tag``)."""
    found = connection.execute(_QUERIES["customer_by_card"], {"card_tag": tag}).get
    return _CUSTOMER.decode(found) if isinstance(found, bytes) else None


def put_balance(connection: apsw.Connection, entry: BalanceEntry) -> None:
    """Keep what central says an account holds."""
    connection.execute(_QUERIES["put_balance"], asdict(entry))


def forget_balance(connection: apsw.Connection, customer_id: str, account: str) -> None:
    """Keep nothing of an account."""
    connection.execute(_QUERIES["forget_balance"], {"customer_id": customer_id, "account": account})


def balances_of(connection: apsw.Connection, customer_id: str) -> dict[str, int]:
    """The member's points by account in hundredths, as central last told them."""
    rows: list[Any] = connection.execute(
        _QUERIES["balances"], {"customer_id": customer_id}
    ).fetchall()
    return dict(rows)


def put_lease(connection: apsw.Connection, entry: LeaseEntry, version: int) -> None:
    """Keep a right to spend; ``version`` is that of its feed change. Grants never shrink."""
    connection.execute(
        _QUERIES["put_lease"], {**asdict(entry), "state": entry.state.value, "version": version}
    )


def forget_lease(connection: apsw.Connection, lease_id: str) -> None:
    """Keep no such right; what was used of it stays recorded."""
    connection.execute(_QUERIES["forget_lease"], {"lease_id": lease_id})


def spendable_of(connection: apsw.Connection, owner: str, now_ms: int) -> dict[str, int]:
    """What may be spent here without asking, by asset in its unit: granted less used."""
    rows: list[Any] = connection.execute(
        _QUERIES["spendable"], {"owner": owner, "now_ms": now_ms}
    ).fetchall()
    return dict(rows)

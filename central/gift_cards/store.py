"""Gift cards, their operations and the guesses of their PINs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, rows_of, run
from central.database.retry import LostRaceError
from central.gift_cards.policy import Card, Guesses
from shared.errors import CorruptionError
from shared.sqlfile import load_queries
from shared.wire.gift_cards import GiftAction, GiftReply

_QUERIES: Final = load_queries("central.gift_cards")
_FIELDS: Final = (
    "card_tag",
    "currency",
    "pin_hash",
    "face_minor_min",
    "face_minor_max",
    "valid_days",
    "whole_only",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an operation happens: its store, agent, currency and shop day (ISO)."""

    store_id: str
    edge_id: int
    currency: str
    today: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a store asked for under an id.

    ``card_tag`` None: it was reversed before it was heard of, and will never be done. ``reversed``:
    the reply to its reversal.
    """

    action: GiftAction
    card_tag: bytes | None
    body_sha256: bytes
    amount_minor: int
    reply: GiftReply
    reversed: GiftReply | None = None
    receipt_id: str = ""


async def check_key(connection: Connection, key_check: bytes) -> None:
    """The key of the tags must be the one that the cards were registered with.

    Raises:
        CorruptionError: it is another; every card would be unknown.
    """
    await run(connection, _QUERIES["put_key_check"], {"key_check": key_check})
    row = await row_of(connection, _QUERIES["key_check"])
    if row is None or bytes(row["key_check"]) != key_check:
        raise CorruptionError(
            "gift-cards.key is not the key that the gift cards were registered with",
            code="gift_card_key",
            hint="Put the file back from the copy of head office's folder.",
        )


async def known_tags(connection: Connection, tags: Sequence[bytes]) -> set[bytes]:
    """Which of these are registered."""
    rows = await rows_of(connection, _QUERIES["known_tags"], as_arrays({"tags": list(tags)}))
    return {bytes(row["card_tag"]) for row in rows}


async def add_cards(connection: Connection, cards: Sequence[Card]) -> int:
    """Register cards, ``expires_on`` as their printed last day; how many are new."""
    columns: dict[str, list[Any]] = {
        name: [getattr(card, name) for card in cards] for name in _FIELDS
    }
    columns["last_date"] = [card.expires_on for card in cards]
    return await run(connection, _QUERIES["add_cards"], as_arrays(columns))


async def find_card(connection: Connection, card_tag: bytes, *, lock: bool = False) -> Card | None:
    """A card; with ``lock`` it is the caller's until the transaction ends."""
    query = _QUERIES["lock_card" if lock else "card"]
    row = await row_of(connection, query, {"card_tag": card_tag})
    return None if row is None else Card(**{**row, "card_tag": bytes(row["card_tag"])})


async def mark_sold(connection: Connection, card_tag: bytes, today: str) -> str | None:
    """The card is sold; its last day."""
    row = await row_of(connection, _QUERIES["mark_sold"], {"card_tag": card_tag, "today": today})
    assert row is not None, "the card is locked"
    return None if row["expires_on"] is None else str(row["expires_on"])


async def mark_unsold(connection: Connection, card_tag: bytes) -> str | None:
    """Its sale was undone; its printed last day."""
    row = await row_of(connection, _QUERIES["mark_unsold"], {"card_tag": card_tag})
    assert row is not None, "the card is locked"
    return None if row["expires_on"] is None else str(row["expires_on"])


async def place_of(connection: Connection, store_id: str, edge_id: int, now_ms: int) -> Place:
    """Where an agent stands."""
    row = await row_of(connection, _QUERIES["place"], {"store_id": store_id, "now_ms": now_ms})
    assert row is not None, "an agent's store is known"
    return Place(store_id=store_id, edge_id=edge_id, currency=row["currency"], today=row["today"])


async def find_operation(
    connection: Connection, store_id: str, operation_id: str
) -> Operation | None:
    """What a store asked for under this id."""
    row = await row_of(
        connection, _QUERIES["operation"], {"store_id": store_id, "operation_id": operation_id}
    )
    if row is None:
        return None
    return Operation(
        action=GiftAction(row["action"]),
        card_tag=None if row["card_tag"] is None else bytes(row["card_tag"]),
        body_sha256=bytes(row["body_sha256"]),
        amount_minor=row["amount_minor"],
        reply=_reply(row["reply"]),
        reversed=None if row["reverse_reply"] is None else _reply(row["reverse_reply"]),
    )


async def add_operation(
    connection: Connection, place: Place, operation_id: str, operation: Operation, *, now_ms: int
) -> None:
    """Keep what was done.

    Raises:
        LostRaceError: the same id came twice at once.
    """
    undone = operation.reversed
    added = await run(
        connection,
        _QUERIES["add_operation"],
        {
            "store_id": place.store_id,
            "operation_id": operation_id,
            "edge_id": place.edge_id,
            "action": operation.action.value,
            "card_tag": operation.card_tag,
            "body_sha256": operation.body_sha256,
            "receipt_id": operation.receipt_id,
            "amount_minor": operation.amount_minor,
            "reply": msgspec.msgpack.encode(operation.reply),
            "reverse_reply": None if undone is None else msgspec.msgpack.encode(undone),
            "now_ms": now_ms,
        },
    )
    if added != 1:
        raise LostRaceError("this operation id came twice at once")


async def mark_reversed(
    connection: Connection, store_id: str, operation_id: str, reply: GiftReply, *, now_ms: int
) -> None:
    """Keep that it was undone.

    Raises:
        LostRaceError: it was undone twice at once.
    """
    changed = await run(
        connection,
        _QUERIES["mark_reversed"],
        {
            "store_id": store_id,
            "operation_id": operation_id,
            "reverse_reply": msgspec.msgpack.encode(reply),
            "now_ms": now_ms,
        },
    )
    if changed != 1:
        raise LostRaceError("this operation was undone twice at once")


async def lock_guesses(connection: Connection, subjects: Sequence[str]) -> dict[str, Guesses]:
    """How often each of these guessed wrong; theirs until the transaction ends."""
    parameters = as_arrays({"subjects": sorted(subjects)})
    await run(connection, _QUERIES["ensure_guesses"], parameters)
    rows = await rows_of(connection, _QUERIES["lock_guesses"], parameters)
    return {
        row["subject"]: Guesses(
            count=row["count"], since_ms=row["since_ms"], wait_until_ms=row["wait_until_ms"]
        )
        for row in rows
    }


async def put_guesses(connection: Connection, subject: str, guesses: Guesses) -> None:
    """How a subject's guesses stand now."""
    await run(
        connection,
        _QUERIES["put_guesses"],
        {
            "subject": subject,
            "count": guesses.count,
            "since_ms": guesses.since_ms,
            "wait_until_ms": guesses.wait_until_ms,
        },
    )


async def audit(connection: Connection) -> dict[str, int]:
    """How many cards hold something else than their operations say, and what all hold."""
    row = await row_of(connection, _QUERIES["audit"])
    assert row is not None, "an aggregate always gives a row"
    return {name: int(value) for name, value in row.items()}


def _reply(data: bytes) -> GiftReply:
    return msgspec.msgpack.decode(data, type=GiftReply)

"""Gift cards come from the printer's file: all of it is registered, or nothing."""

from __future__ import annotations

import asyncio
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.gift_cards import store
from central.gift_cards.pins import Pins
from central.gift_cards.policy import (
    FACE_MINOR_MAX,
    VALID_DAYS_MAX,
    Card,
    plain_number,
    plain_pin,
)
from shared.errors import InputError
from shared.jsonlines import read_rows, wrong_line
from shared.wire.receipt_json import scaled_integer

CARDS_PER_FILE_MAX: Final = 50_000
"""Their PINs take some minutes to hash; more cards are more files."""
_CHUNK: Final = 1_000
_MONEY_DECIMALS: Final = 2


class CardRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a file of cards; money as decimal strings, both bounds the same: a fixed value.

    ``expires_on`` is printed on the card; ``valid_days`` count from its sale.
    """

    number: str
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    min: str
    max: str
    pin: str | None = None
    expires_on: date | None = None
    valid_days: Annotated[int, msgspec.Meta(ge=1, le=VALID_DAYS_MAX)] | None = None
    whole_only: bool = False


async def register_cards(pool: Pool, pins: Pins, path: Path) -> int:
    """Register the cards of a file; how many.

    Raises:
        InputError: a line is not what it should be, or its number is registered already; the
            message names the line and never the number. Nothing is registered then.
        CorruptionError: the key is not that of the cards that are registered already.
        OSError: the file cannot be read.
    """
    rows = await asyncio.to_thread(
        lambda: list(read_rows(path, CardRow, rows_max=CARDS_PER_FILE_MAX, check=_checked))
    )
    tags: dict[bytes, int] = {}
    for line, row in rows:
        first = tags.setdefault(pins.tag(row.number), line)
        if first != line:
            raise wrong_line(path, line, f"this number stands in line {first} too")

    async def work(connection: Connection) -> None:
        await store.check_key(connection, pins.key_check)
        known = await store.known_tags(connection, list(tags))
        if known:
            line = min(tags[tag] for tag in known)
            raise wrong_line(path, line, "this number is registered already")

    await in_transaction(pool, work)  # before minutes are spent on PINs
    cards = await asyncio.to_thread(lambda: [_card(pins, row) for _, row in rows])

    async def add(connection: Connection) -> None:
        await work(connection)
        chunks = iter(cards)
        while chunk := list(islice(chunks, _CHUNK)):
            added = await store.add_cards(connection, chunk)
            if added != len(chunk):
                raise InputError(f"{path.name}: somebody registers the same numbers now")

    await in_transaction(pool, add)
    return len(cards)


def _checked(row: CardRow) -> CardRow:
    _face(row)
    return msgspec.structs.replace(
        row,
        number=plain_number(row.number),
        pin=None if row.pin is None else plain_pin(row.pin),
    )


def _face(row: CardRow) -> tuple[int, int]:
    low: Any = scaled_integer(row.min, _MONEY_DECIMALS)
    high: Any = scaled_integer(row.max, _MONEY_DECIMALS)
    if low is None or high is None or not 0 < low <= high <= FACE_MINOR_MAX:
        raise InputError("min and max are money with two decimals, min not above max")
    return low, high


def _card(pins: Pins, row: CardRow) -> Card:
    low, high = _face(row)
    return Card(
        card_tag=pins.tag(row.number),
        currency=row.currency,
        pin_hash=None if row.pin is None else pins.hash_now(row.number, row.pin),
        face_minor_min=low,
        face_minor_max=high,
        valid_days=row.valid_days,
        expires_on=None if row.expires_on is None else row.expires_on.isoformat(),
        whole_only=row.whole_only,
        active=False,
    )

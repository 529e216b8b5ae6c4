"""A printer's file is registered whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from central.database.pool import Pool
from central.gift_cards import importing
from central.gift_cards.importing import register_cards
from central.gift_cards.pins import Pins
from shared.errors import InputError
from tests.support.gift_cards import CARDS, KEY, PIN, PLAIN, cards_file

GOOD = CARDS[0]


@pytest.fixture
def pins() -> Iterator[Pins]:
    pins = Pins(KEY)
    yield pins
    pins.close()


async def registered(pool: Pool) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("select count(*) as cards from gift_card")
        row = await cursor.fetchone()
    assert row is not None
    return int(row["cards"])


async def test_cards_of_a_file_are_registered_once(pool: Pool, pins: Pins, tmp_path: Path) -> None:
    """The same file again is refused, and says where."""
    assert await register_cards(pool, pins, cards_file(tmp_path, CARDS)) == len(CARDS)
    assert await registered(pool) == len(CARDS)
    later = cards_file(tmp_path, [GOOD | {"number": "5000 0000 0000 0001"}, CARDS[1]])
    with pytest.raises(InputError, match="line 2: this number is registered already"):
        await register_cards(pool, pins, later)
    assert await registered(pool) == len(CARDS)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"number": "12"}, "8 to 40 letters"),
    ({"number": PLAIN}, "stands in line 1 too"),
    ({"number": "4000-0000-0000-0001"}, "stands in line 1 too"),
    ({"pin": "1"}, "4 to 16"),
    ({"min": "2000", "max": "1000"}, "min not above max"),
    ({"min": "0"}, "min not above max"),
    ({"max": "1.234"}, "two decimals"),
    ({"max": "1e3"}, "two decimals"),
    ({"currency": "roubles"}, "currency"),
    ({"expires_on": "tomorrow"}, "expires_on"),
    ({"valid_days": 0}, "valid_days"),
    ({"colour": "red"}, "colour"),
    ({"number": "4" * 5_000}, "more than 4096 bytes"),
]


async def test_a_wrong_line_is_named_and_nothing_is_registered(
    pool: Pool, pins: Pins, tmp_path: Path
) -> None:
    """The message tells line and reason, and neither number nor PIN."""
    for bad, what in BAD:
        row = GOOD | {"number": "4000000000000009", "pin": PIN} | bad
        with pytest.raises(InputError, match="line 2: ") as caught:
            await register_cards(pool, pins, cards_file(tmp_path, [GOOD, row]))
        assert what in caught.value.message
        assert PIN not in caught.value.message
        assert row["number"] not in caught.value.message
    assert await registered(pool) == 0


async def test_a_file_has_a_bound(
    pool: Pool, pins: Pins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More cards than that are more files."""
    monkeypatch.setattr(importing, "CARDS_PER_FILE_MAX", 4)
    with pytest.raises(InputError, match="line 5: more than 4 lines"):
        await register_cards(pool, pins, cards_file(tmp_path, CARDS))
    assert await registered(pool) == 0

"""The customer display: always two whole rows, sums never cut, no command from a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.display import (
    COLUMNS,
    PAUSE_STEPS,
    SET_UP,
    Picture,
    beside,
    encode_row,
    item_picture,
    label_and_sum,
    render,
    total_picture,
)
from shared.money import format_minor
from tests.support.examples import examples

UPPER, LOWER = bytes.fromhex("1F240101"), bytes.fromhex("1F240102")


def rows(data: bytes) -> tuple[str, str]:
    """What stands in the display after these bytes."""
    assert len(data) == 2 * (4 + COLUMNS)
    assert data.startswith(UPPER)
    assert data[4 + COLUMNS :].startswith(LOWER)
    return data[4 : 4 + COLUMNS].decode("cp866"), data[8 + COLUMNS :].decode("cp866")


@examples(300)
@given(st.text(max_size=300), st.text(max_size=300), st.integers(min_value=0, max_value=10_000))
def test_rows_are_whole_and_hold_no_commands(upper: str, lower: str, step: int) -> None:
    """Whatever goods are called: twenty printable characters each."""
    for row in rows(render(Picture(upper=upper, lower=lower), step)):
        assert len(row) == COLUMNS
        assert row.isprintable() or all(c.isprintable() or c == "\xa0" for c in row)
        assert not any(ord(each) < 0x20 for each in row)


@examples(200)
@given(st.text(max_size=60), st.integers(min_value=0, max_value=10**12))
def test_sum_is_never_cut(label: str, amount_minor: int) -> None:
    """The label makes room, with a full stop to show that it goes on."""
    row = label_and_sum(label, amount_minor)
    assert len(row) == COLUMNS
    assert row.split(" ")[-1] == format_minor(amount_minor)


def test_rows_by_example() -> None:
    """As a customer reads them."""
    assert rows(render(total_picture("К оплате", "Скидка", 18_000, 2_000))) == (
        "К оплате      180.00",
        "Скидка         20.00",
    )
    assert rows(render(total_picture("To pay", "Discount", 18_000, 0)))[1] == " " * COLUMNS
    assert rows(render(item_picture("Чай", 2_000, 10_000, 30_990))) == (
        "Чай                 ",
        "2x100.00     =309.90",
    )
    assert rows(render(item_picture("Сыр", 532, 54_321, 10**10)))[1] == "       =100000000.00"
    assert beside("Очень длинное название", "1.00") == "Очень длинное . 1.00"


def test_long_text_scrolls_through_and_rests_at_both_ends() -> None:
    """Every character is seen; the picture begins again; a short row stands still."""
    text = "Сыр российский молодой, весовой"
    picture = Picture(upper=text, lower="stands")
    hidden = len(text) - COLUMNS
    assert picture.step_count == hidden + 2 * PAUSE_STEPS
    seen = [rows(render(picture, step)) for step in range(picture.step_count)]
    assert [upper for upper, _ in seen[: PAUSE_STEPS + 1]] == [text[:COLUMNS]] * (PAUSE_STEPS + 1)
    assert [upper for upper, _ in seen[-PAUSE_STEPS:]] == [text[hidden:]] * PAUSE_STEPS
    assert {lower for _, lower in seen} == {"stands".ljust(COLUMNS)}
    assert rows(render(picture, picture.step_count)) == seen[0]
    assert Picture(upper="x" * COLUMNS).step_count == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [("5 ₽", "5 р."), ("«Чай»", '"Чай"'), ("№1", "№1"), ("茶", "?"), ("a\x1b@\nb", "a @ b")],
)
def test_characters_that_the_display_lacks(text: str, shown: str) -> None:
    """Replaced by something of the same meaning, or visibly."""
    assert encode_row(text).decode("cp866") == shown.ljust(COLUMNS)


def test_set_up_is_as_documented() -> None:
    """Initialise, CP866, overwrite mode, cursor off, clear."""
    assert SET_UP.hex(" ").upper() == "1B 40 1B 74 11 1F 01 1F 43 00 0C"

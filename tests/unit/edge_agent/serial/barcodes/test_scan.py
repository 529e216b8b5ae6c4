"""One reading: what it is, whichever way it came in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.barcodes.gs1 import GS
from edge_agent.serial.barcodes.layout import as_russian
from edge_agent.serial.barcodes.scan import SCAN_CHARS_MAX, Scan, ScanKind, read_scan
from edge_agent.serial_settings import CodeSettings
from shared.errors import AppError, ForbiddenError
from tests.support.examples import examples

SETTINGS = CodeSettings(card_prefixes=("29",), weight_masks=("22CCCCCWWWWWK",))
MARKING = f"0104600001000014215abcdef{GS}91EE06{GS}92" + "q" * 44
MARKED = Scan(kind=ScanKind.GOODS, code="4600001000014", serial="5abcdef")


def read(text: str, settings: CodeSettings = SETTINGS) -> Scan:
    return read_scan(text, settings, year=2026)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4600001000014", Scan(kind=ScanKind.GOODS, code="4600001000014")),
        ("]E04600001000014\r\n", Scan(kind=ScanKind.GOODS, code="4600001000014")),
        ("4600001000015", Scan(kind=ScanKind.OTHER, code="4600001000015")),
        ("2200123007544", Scan(kind=ScanKind.WEIGHED, code="123", weight_milli=754)),
        ("2900000000018", Scan(kind=ScanKind.CARD, code="2900000000018")),
        (";2900000000018=0?", Scan(kind=ScanKind.CARD, code="2900000000018")),
        (f"]d2{MARKING}", MARKED),
        (MARKING, MARKED),
        (f"]Q3{MARKING}", MARKED),
        ("]C1SPRING-10", Scan(kind=ScanKind.OTHER, code="SPRING-10")),
        ("]C0SPRING-10", Scan(kind=ScanKind.OTHER, code="SPRING-10")),
        ("", Scan(kind=ScanKind.OTHER, code="")),
    ],
)
def test_readings(text: str, expected: Scan) -> None:
    """Each kind by an example."""
    assert read(text) == expected


def test_russian_keyboard_and_replaced_separators() -> None:
    """A wedge scanner that types ``]`` for GS on a Russian keyboard is still understood."""
    settings = CodeSettings(group_separator="]")
    code = f"]d2{MARKING}".replace(GS, "]")
    assert read(code, settings) == MARKED
    assert read(as_russian(code), settings) == MARKED
    assert read(as_russian(f"]d2{MARKING}"), CodeSettings()) == MARKED
    latin = MARKING.replace("abcdef", "abidef")
    read_latin = read(latin.replace(GS, "ш"), CodeSettings(group_separator="ш"))
    assert read_latin.serial == "5abidef"


def test_bank_card_is_refused_without_its_number() -> None:
    """Neither value nor error holds a digit of it."""
    for text in (";4276380012345674=26121010000000000?", "4000000000000002"):
        with pytest.raises(ForbiddenError) as caught:
            read(text)
        assert caught.value.stable_code == "bank_card"
        assert not any(character.isdigit() for character in str(caught.value))


def test_goods_are_goods_where_any_number_may_be_a_card() -> None:
    """A right EAN is never taken for a card unless its prefix says so."""
    assert read("4600001000014", CodeSettings()).kind is ScanKind.GOODS
    assert read("100200300", CodeSettings()).kind is ScanKind.CARD


@examples(500)
@given(st.text(max_size=400))
def test_any_text_is_bounded_data(text: str) -> None:
    """Control characters, markup, whole books: a short value or a refusal with a code."""
    with suppress(AppError):
        assert len(read(text).code) <= SCAN_CHARS_MAX

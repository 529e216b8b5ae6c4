"""GS1 element strings: what they say is found, secrets are left out, what is wrong is refused."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.barcodes.digits import ean_check, is_gtin
from edge_agent.serial.barcodes.gs1 import GS, Gs1, is_gs1, read_gs1, split_aim
from shared.errors import InputError
from tests.support.examples import examples

GTIN = "04600001000014"
DIGITS = "0123456789"
SERIALS = st.text(alphabet="ABCXYZabcxyz0123456789!%&'()*+-./_,:;=<>?", min_size=1, max_size=20)


def a_gtin(body: str) -> str:
    return body + str(ean_check(body))


@examples(200)
@given(
    st.text(alphabet=DIGITS, min_size=13, max_size=13).map(a_gtin),
    SERIALS,
    SERIALS,
    st.dates(min_value=date(2000, 1, 1), max_value=date(2060, 12, 31)),
    st.integers(min_value=0, max_value=999_999),
    st.randoms(use_true_random=False),
)
def test_elements_in_any_order(
    gtin: str, serial: str, batch: str, expires: date, grams: int, rng: random.Random
) -> None:
    """Each identifier is found wherever it stands, with a separator where it needs one."""
    elements = [
        f"01{gtin}",
        f"21{serial}{GS}",
        f"10{batch}{GS}",
        f"17{expires:%y%m%d}",
        f"3103{grams:06d}",
    ]
    rng.shuffle(elements)
    read = read_gs1("".join(elements).removesuffix(GS), year=2026)
    assert read.whole
    assert (read.gtin, read.serial, read.batch) == (gtin, serial, batch)
    assert (read.expires_on_date, read.weight_milli) == (expires.isoformat(), grams)


@examples(300)
@given(st.text(alphabet="0123456789ABab=" + GS, max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing that a scanner can send does worse than a refusal."""
    with suppress(InputError):
        read = read_gs1(text, year=2026)
        assert read.gtin is None or is_gtin(read.gtin)
        assert not any(len(key) == 2 and key >= "91" for key in read.elements)


def test_crypto_tail_is_given_to_nobody() -> None:
    """A marking code is read as goods and serial; key and signature are passed over."""
    read = read_gs1(f"01{GTIN}215abcdef{GS}91EE06{GS}92" + "q" * 44, year=2026)
    assert read == Gs1(
        elements={"01": GTIN, "21": "5abcdef"}, whole=True, gtin=GTIN, serial="5abcdef"
    )
    assert "q" not in repr(read)


@pytest.mark.parametrize(
    ("code", "weight", "price"),
    [
        ("3103000754", 754, None),
        ("3100000002", 2_000, None),
        ("3105000754", 8, None),
        ("39221999", None, 1_999),
        ("392019", None, 1_900),
        ("39239995", None, 1_000),
    ],
)
def test_decimals_are_in_the_identifier(code: str, weight: int, price: int) -> None:
    """The fourth digit tells how many digits stand behind the point; halves go up."""
    read = read_gs1(f"01{GTIN}{code}", year=2026)
    assert (read.weight_milli, read.price_minor) == (weight, price)


def test_dates() -> None:
    """Day 00 is the last of the month; two digits mean the year nearest to now."""
    assert read_gs1("17260200", year=2026).expires_on_date == "2026-02-28"
    assert read_gs1("17991231", year=2026).expires_on_date == "1999-12-31"
    assert read_gs1("17761231", year=2026).expires_on_date == "2076-12-31"
    assert read_gs1("17010131", year=2085).expires_on_date == "2101-01-31"
    with pytest.raises(InputError):
        read_gs1("17260230", year=2026)


def test_lost_separator_is_seen() -> None:
    """A serial longer than any serial is not believed, and nothing behind it is guessed."""
    read = read_gs1(f"01{GTIN}21abcdefg91EE0692" + "q" * 44, year=2026)
    assert (read.whole, read.gtin, read.serial) == (False, GTIN, None)


@pytest.mark.parametrize(
    "code",
    [
        "0104600439931256215'7qV:93dGVz",
        "010460043993125621JgXJ5.T112000093abcd",
        "010460043993125610BATCH91abcd",
    ],
)
def test_tail_behind_a_lost_separator_is_no_serial(code: str) -> None:
    """A secret is not given out as a number; with separators the same is read."""
    read = read_gs1(code, year=2026)
    assert (read.gtin, read.serial, read.batch, read.whole) == ("04600439931256", None, None, False)
    tail = code[-6:]
    assert all(tail not in each for each in read.elements.values())
    whole = read_gs1(code[:-6] + GS + tail, year=2026)
    assert whole.whole
    assert (whole.serial or whole.batch) == code[18:-6]


def test_serial_at_the_end_of_a_code_with_separators_is_whole() -> None:
    """Such a scanner sends them, so what looks like a tail is none."""
    read = read_gs1("010460043993125610AB" + GS + "21X93dGVz", year=2026)
    assert (read.batch, read.serial, read.whole) == ("AB", "X93dGVz", True)


def test_wrong_check_digit_is_refused() -> None:
    """A misread digit never becomes other goods."""
    with pytest.raises(InputError):
        read_gs1("0104600001000015", year=2026)


@pytest.mark.parametrize(
    ("text", "symbology", "gs1"),
    [
        (f"]C101{GTIN}", "gs1-128", True),
        (f"]d201{GTIN}", "gs1-datamatrix", True),
        (f"]Q301{GTIN}", "gs1-qr", True),
        ("]E04600001000014", "ean13", False),
        (f"]C001{GTIN}", "code128", False),
        ("]z9rest", "other", False),
        (f"{GS}01{GTIN}", None, True),
        (f"01{GTIN}21x", None, True),
        ("4600001000014", None, False),
        ("", None, False),
    ],
)
def test_scanners_word_counts_before_looks(text: str, symbology: str | None, gs1: bool) -> None:
    """AIM identifiers are believed; without one, the beginning decides."""
    found, code = split_aim(text)
    assert found == symbology
    assert is_gs1(found, code) is gs1

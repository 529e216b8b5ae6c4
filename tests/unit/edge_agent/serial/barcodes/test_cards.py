"""Loyalty cards are found by prefix; a bank card is refused, and nothing of it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.barcodes.cards import BankCard, Card, read_card
from edge_agent.serial.barcodes.digits import is_luhn
from tests.support.examples import examples

DIGITS = "0123456789"
PREFIXES = ("29", "777")


def with_luhn(body: str) -> str:
    return next(body + digit for digit in DIGITS if is_luhn(body + digit))


BANK_NUMBERS = st.builds(
    lambda first, rest: with_luhn(first + rest),
    st.sampled_from(["2200", "2204", "4276", "4000", "5100", "2720", "6304", "8600", "9860"]),
    st.text(alphabet=DIGITS, min_size=11, max_size=14),
)
EXPIRIES = st.builds(
    "{:02d}{:02d}".format,
    st.integers(min_value=0, max_value=99),
    st.integers(min_value=1, max_value=12),
)


@examples(300)
@given(
    BANK_NUMBERS,
    EXPIRIES,
    st.text(alphabet=DIGITS, min_size=3, max_size=13),
    st.sampled_from([(), PREFIXES, ("2200", "4")]),
    st.booleans(),
)
def test_bank_stripe_is_never_a_loyalty_card(
    number: str, expiry: str, rest: str, prefixes: tuple[str, ...], both: bool
) -> None:
    """Whatever prefixes are set, even the bank's own; one track or several."""
    stripe = f";{number}={expiry}{rest}?"
    if both:
        stripe = f"%B{number}^IVANOV/IVAN^{expiry}{rest}?" + stripe
    found = read_card(stripe, prefixes)
    assert found == BankCard()
    assert number not in repr(found)


@examples(200)
@given(BANK_NUMBERS)
def test_typed_bank_number_is_refused(number: str) -> None:
    """With loyalty prefixes of our own, and with none."""
    assert read_card(number, ()) == BankCard()
    assert read_card(number, PREFIXES) == BankCard()


@examples(200)
@given(st.sampled_from(PREFIXES), st.text(alphabet=DIGITS, min_size=5, max_size=11))
def test_loyalty_card_is_the_same_typed_and_swiped(prefix: str, rest: str) -> None:
    """Its number is what stands between the sentinels and before the separator."""
    number = prefix + rest
    assert read_card(number, PREFIXES) == Card(number)
    assert read_card(f" {number}\r", PREFIXES) == Card(number)
    assert read_card(f";{number}?", PREFIXES) == Card(number)
    assert read_card(f";{number}=000?3", PREFIXES) == Card(number)


@pytest.mark.parametrize(
    "text", ["", "   ", "4600001000014", "hello", "2" * 65, ";12345?", "%LIBRARY^7?", ";?", "+1=2?"]
)
def test_what_is_no_card_is_none(text: str) -> None:
    """Goods, words and strangers' stripes are not taken for anybody's card."""
    assert read_card(text, PREFIXES) is None


def test_unreadable_stripe_with_a_long_number_counts_as_a_bank_card() -> None:
    """A half-read bank card must not become a number somebody keeps."""
    assert read_card(";4276380012345678=", PREFIXES) == BankCard()
    assert read_card("%B4276380012345678^IVANOV", PREFIXES) == BankCard()
    assert read_card(";29000001", PREFIXES) is None


def test_without_prefixes_any_number_is_a_card() -> None:
    """A chain with one kind of card need not set anything."""
    assert read_card("100", ()) == Card("100")
    assert read_card("abc", ()) is None

"""A keyboard set to Russian costs nothing but a moment of surprise."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.barcodes.layout import as_latin, as_russian
from tests.support.examples import examples

KEYS = string.ascii_letters + string.digits + string.punctuation + "\x1d"


@examples(300)
@given(st.text(alphabet=KEYS, max_size=60))
def test_russian_typing_is_undone(code: str) -> None:
    """Any Latin code with a letter in it comes back, signs and all."""
    typed = as_russian(code)
    if any("а" <= key.lower() <= "я" or key in "ёЁ" for key in typed):
        assert as_latin(typed) == code
    assert as_latin(code) == code


def test_examples_from_the_counter() -> None:
    """As cashiers see them: an AIM prefix, a coupon, a magnetic stripe."""
    assert as_latin("ъС1018") == "]C1018"
    assert as_latin("ыйгфку-10") == "square-10"
    assert as_latin("ж29000001=0,") == ";29000001=0?"
    assert as_latin("4600001000014") == "4600001000014"

"""Texts for old tills: what can be said comes back, what cannot is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.charsets import decode_text, encode_text
from edge_agent.serial_settings import Charset
from shared.errors import InputError
from tests.support.examples import examples

CHARSETS: tuple[Charset, ...] = ("cp866", "cp1251", "utf-8")


@examples(200)
@given(st.sampled_from(CHARSETS), st.text(alphabet="абвгдеёжзАБЯЁ abcXYZ0123456789№|=.,"))
def test_ordinary_texts_come_back(charset: Charset, text: str) -> None:
    """Russian and Latin letters, digits and signs in every character set."""
    assert decode_text(encode_text(text, charset), charset) == text


@examples(300)
@given(st.sampled_from(CHARSETS), st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_nothing_is_left_out(charset: Charset, text: str) -> None:
    """Each character leaves at least one; encoding never fails."""
    assert len(decode_text(encode_text(text, charset), charset)) >= len(text)


def test_similar_characters() -> None:
    """Read the same by a person."""
    assert encode_text("5 ₽ — «Чай»…", "cp866").decode("cp866") == '5 р. - "Чай"...'
    assert encode_text("5 ₽ — «Чай»…", "cp1251").decode("cp1251") == "5 р. — «Чай»…"
    assert encode_text("茶", "cp866") == b"?"


def test_bytes_that_are_no_text_are_refused() -> None:
    """A guessed letter could name other goods."""
    with pytest.raises(InputError):
        decode_text(b"\xff\xfe", "utf-8")
    with pytest.raises(InputError):
        decode_text(b"\x98", "cp1251")

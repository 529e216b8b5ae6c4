"""Phones however they are typed; what is kept of them tells nobody the number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.phones import (
    PHONE_HASH_BYTES,
    PHONE_TAG_BYTES,
    phone_end,
    phone_tag,
    plain_phone,
    slow_hash,
)
from shared.crypto.tags import card_tag
from shared.errors import InputError

SALT = b"s" * 16


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("+7 (916) 123-45-67", "+79161234567"),
        ("8 916 123 45 67", "+79161234567"),
        ("916.123.45.67", "+79161234567"),
        ("79161234567", "+79161234567"),
        ("00375 29 123 45 67", "+375291234567"),
        (" +375 29 123-45-67 ", "+375291234567"),
    ],
)
def test_one_phone_has_one_form(typed: str, plain: str) -> None:
    assert plain_phone(typed) == plain
    assert plain_phone(plain) == plain


def read(text: str) -> str | InputError:
    try:
        return plain_phone(text)
    except InputError as error:
        return error


@given(st.text(max_size=60) | st.from_regex(r"[+0-9 ()-]{0,20}", fullmatch=True))
def test_what_is_no_phone_is_refused_without_being_repeated(text: str) -> None:
    """Whatever is typed is a phone of 10 to 15 digits, or is refused; a second reading agrees."""
    found = read(text)
    if isinstance(found, InputError):
        digits = "".join(char for char in text if char.isdigit())
        assert found.stable_code == "bad_phone"
        assert len(digits) < 3 or digits not in found.message
    else:
        assert found.isascii()
        assert found[1:].isdigit()
        assert 10 <= len(found) - 1 <= 15
        assert plain_phone(found) == found


def test_tag_needs_salt_and_key() -> None:
    """The same phone has another hash under another salt, another tag under another key."""
    slow = slow_hash("+79161234567", SALT)
    assert len(slow) == PHONE_HASH_BYTES
    assert slow != slow_hash("+79161234567", b"t" * 16)
    assert slow != slow_hash("+79161234568", SALT)
    tag = phone_tag(slow, b"k" * 32)
    assert len(tag) == PHONE_TAG_BYTES
    assert tag != phone_tag(slow, b"l" * 32)
    assert tag != card_tag("+79161234567")
    assert phone_end("+79161234567") == "67"

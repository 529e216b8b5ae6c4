"""Codes that nobody guesses and that tell a slip."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from central.coupons.policy import ALPHABET, RANDOM_BYTES, check_character, make_code

RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def is_whole(code: str) -> bool:
    return check_character(code[:-1]) == code[-1]


@given(random=RANDOM)
def test_a_code_is_made_of_all_its_chance(random: bytes) -> None:
    """Twelve characters hold 60 of the 64 bits; the last one follows from them."""
    code = make_code(random)
    assert len(code) == 13
    assert set(code) <= set(ALPHABET)
    assert is_whole(code)
    number = sum(ALPHABET.index(char) * 32**place for place, char in enumerate(code[:-1]))
    assert number == int.from_bytes(random) % 2**60


@given(random=RANDOM, place=st.integers(0, 12), char=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_told(random: bytes, place: int, char: str) -> None:
    """Wherever it stands."""
    code = make_code(random)
    assume(code[place] != char)
    assert not is_whole(code[:place] + char + code[place + 1 :])


@given(random=RANDOM, place=st.integers(0, 11))
def test_two_that_changed_places_are_told(random: bytes, place: int) -> None:
    """All but the first and the last of the alphabet beside each other."""
    code = make_code(random)
    first, second = code[place], code[place + 1]
    assume(first != second and {first, second} != {ALPHABET[0], ALPHABET[-1]})
    assert not is_whole(code[:place] + second + first + code[place + 2 :])

"""How a personal code is made: nobody guesses one, and a slip of the finger makes none. Pure."""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 characters that nobody takes for one another."""
RANDOM_BYTES: Final = 8
_RANDOM_CHARS: Final = 12
"""60 bits: with a million codes valid, one guess in a million millions meets one."""
CODE_CHARS_MAX: Final = 100
_BASE: Final = len(ALPHABET)


def make_code(random: bytes) -> str:
    """A code of twelve characters of chance (from ``RANDOM_BYTES`` bytes) and one that checks."""
    number = int.from_bytes(random[:RANDOM_BYTES])
    chars = []
    for _ in range(_RANDOM_CHARS):
        number, digit = divmod(number, _BASE)
        chars.append(ALPHABET[digit])
    text = "".join(chars)
    return text + check_character(text)


def check_character(text: str) -> str:
    """The last character of a code: Luhn's sum to the base 32, of what stands before it.

    It tells every single wrong character and nearly every two that changed places.
    """
    total = 0
    for place, char in enumerate(reversed(text)):
        digit = ALPHABET.index(char)
        doubled = digit * 2 if place % 2 == 0 else digit
        total += doubled // _BASE + doubled % _BASE
    return ALPHABET[-total % _BASE]

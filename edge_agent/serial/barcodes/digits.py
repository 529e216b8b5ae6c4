"""Check digits of barcodes and cards. Pure."""

from __future__ import annotations

from typing import Final

_TWO_MINUS: Final = (0, 2, 4, 6, 8, 9, 1, 3, 5, 7)
_THREE: Final = (0, 3, 6, 9, 2, 5, 8, 1, 4, 7)
_FIVE_PLUS: Final = (0, 5, 1, 6, 2, 7, 3, 8, 4, 9)
_FIVE_MINUS: Final = (0, 5, 9, 4, 8, 3, 7, 2, 6, 1)
_FOUR_DIGITS: Final = (_TWO_MINUS, _TWO_MINUS, _THREE, _FIVE_MINUS)
_FIVE_DIGITS: Final = (_FIVE_PLUS, _TWO_MINUS, _FIVE_MINUS, _FIVE_PLUS, _TWO_MINUS)


def is_digits(text: str) -> bool:
    """Whether these are digits of ours and nothing else; an empty text is not."""
    return text.isascii() and text.isdigit()


def ean_check(body: str) -> int:
    """The last digit of an EAN or GTIN whose other digits are ``body``."""
    weighted = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body)))
    return -weighted % 10


def is_gtin(text: str) -> bool:
    """EAN-8, UPC-A, EAN-13 or GTIN-14 with the right check digit."""
    return (
        is_digits(text) and len(text) in (8, 12, 13, 14) and ean_check(text[:-1]) == int(text[-1])
    )


def value_check(value: str) -> int:
    """The second check digit: over the 4 or 5 digits of a price or weight inside a barcode.

    GS1 General Specifications, section 7.9: 2875 has 9, 14685 has 6.
    """
    assert len(value) in (4, 5), "there are rules for 4 and 5 digits only"
    tables = _FOUR_DIGITS if len(value) == 4 else _FIVE_DIGITS
    total = sum(table[int(digit)] for table, digit in zip(tables, value, strict=True))
    if len(value) == 4:
        return total * 3 % 10
    return _FIVE_MINUS.index(-total % 10)


def is_luhn(text: str) -> bool:
    """Whether the last digit is the one bank cards have."""
    if not is_digits(text):
        return False
    total = 0
    for index, digit in enumerate(reversed(text)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0

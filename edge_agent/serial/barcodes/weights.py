"""In-store barcodes with a weight, a price or a number of pieces inside, by a mask. Pure.

A mask names every digit: the prefix itself, then ``C`` for the code of the goods, ``W`` for grams,
``P`` for the price in minor units, ``N`` for pieces, ``V`` for the check digit of those, ``X`` for
a digit that says nothing, and at the end ``K`` for the barcode's own check digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.serial.barcodes.digits import ean_check, is_digits, value_check
from shared.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """The code of the goods without leading zeros, and one of the three."""

    code: str
    weight_milli: int | None = None
    price_minor: int | None = None
    pieces: int | None = None


def read_weighed(text: str, masks: Sequence[str]) -> Weighed | None:
    """What the barcode says by the mask of its prefix; None: no mask is for it.

    Raises:
        InputError: ``bad_barcode``: a check digit is wrong, so the scanner misread.
    """
    if not is_digits(text):
        return None
    mask = next((mask for mask in masks if _fits(text, mask)), None)
    if mask is None:
        return None
    if ean_check(text[:-1]) != int(text[-1]):
        raise InputError("the check digit is wrong", code="bad_barcode")
    code, check = _digits(text, mask, "C"), _digits(text, mask, "V")
    weight, price, pieces = (_digits(text, mask, mark) for mark in "WPN")
    if check and value_check(weight or price or pieces) != int(check):
        raise InputError("the second check digit is wrong", code="bad_barcode")
    return Weighed(
        code=code.lstrip("0") or "0",
        weight_milli=int(weight) if weight else None,
        price_minor=int(price) if price else None,
        pieces=int(pieces) if pieces else None,
    )


def _fits(text: str, mask: str) -> bool:
    return len(text) == len(mask) and all(
        not mark.isdigit() or mark == digit for mark, digit in zip(mask, text, strict=True)
    )


def _digits(text: str, mask: str, mark: str) -> str:
    return "".join(digit for digit, each in zip(text, mask, strict=True) if each == mark)

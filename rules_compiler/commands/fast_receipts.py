"""Receipts of history, read fast: their lines by msgspec, all the rest by the reader of tills.

A back-test reads millions of receipts, and most of each are lines of a plain shape. A line that is
not of it – numbers that are no strings, floors of a preliminary receipt, anything wrong – sends
its receipt to ``decode_receipt``, which alone refuses and says why. What is read here is what that
reader would have read; a test holds them against each other.
"""

from __future__ import annotations

import functools
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shared import limits
from shared.unreadable import UNREADABLE
from shared.wire.receipt import Receipt, ReceiptLine
from shared.wire.receipt_json import decode_receipt, scaled_integer

_PPM: Final = 1_000_000
_NUMBERS_KEPT: Final = 2**16
"""Prices and quantities repeat from receipt to receipt."""
_SPACED: Final = (b'" :', b'"  ', b"\t", b"\r", b"\n")
"""Where spaces may stand between a key and its colon, keys are not counted by their colons."""

_Texts = dict[str, str]


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line of the plain shape; what is absent stays so when it is written again."""

    line: int
    sku: str
    qty: str
    price: str
    category: str | UnsetType | None = UNSET
    brand: str | UnsetType | None = UNSET
    attrs: _Texts | UnsetType | None = UNSET
    flags: list[str] | UnsetType | None = UNSET
    weighed: bool | UnsetType | None = UNSET
    min_price: str | UnsetType | None = UNSET
    max_discount: str | UnsetType | None = UNSET
    prices: _Texts | UnsetType | None = UNSET
    base_qty: str | UnsetType | None = UNSET


class _Whole(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A receipt; only its lines are looked into."""

    lines: list[_Line]
    receipt_id: Raw | UnsetType = UNSET
    store: Raw | UnsetType = UNSET
    register: Raw | UnsetType = UNSET
    time: Raw | UnsetType = UNSET
    channel: Raw | UnsetType = UNSET
    online: Raw | UnsetType = UNSET
    customer: Raw | UnsetType = UNSET
    coupons: Raw | UnsetType = UNSET
    payments: Raw | UnsetType = UNSET
    spend: Raw | UnsetType = UNSET
    chips: Raw | UnsetType = UNSET
    manual: Raw | UnsetType = UNSET
    external: Raw | UnsetType = UNSET
    claims: Raw | UnsetType = UNSET
    usage: Raw | UnsetType = UNSET


class _NotPlainError(Exception):
    """The reader of tills must look at it."""


_DECODER: Final = msgspec.json.Decoder(_Whole)
_ENCODER: Final = msgspec.json.Encoder()


def decode_receipt_fast(data: bytes) -> Receipt:
    """The receipt of this JSON, exactly as ``decode_receipt`` reads it.

    Raises:
        ReceiptError: with every fault found, a JSON pointer each.
    """
    try:
        whole = _DECODER.decode(data)
        if not _each_key_once(data, whole) or len(whole.lines) > limits.RECEIPT_LINES_MAX:
            return decode_receipt(data)
        lines = [_line(line) for line in whole.lines]
        if len({line.line for line in lines}) != len(lines):
            return decode_receipt(data)
    except (_NotPlainError, *UNREADABLE):
        return decode_receipt(data)
    whole.lines = []
    return msgspec.structs.replace(decode_receipt(_ENCODER.encode(whole)), lines=lines)


def _each_key_once(data: bytes, whole: _Whole) -> bool:
    """Of a key that stands twice only one is written again, so that there are fewer colons."""
    line = data.strip()
    if any(each in line for each in _SPACED):
        return False
    return line.count(b'":') == _ENCODER.encode(whole).count(b'":')


def _line(line: _Line) -> ReceiptLine:
    if not 1 <= line.line < 2**62 or not line.sku or (quantity := _quantity(line.qty)) == 0:
        raise _NotPlainError
    prices = line.prices
    return ReceiptLine(
        line=line.line,
        sku=_text(line.sku) or "",
        quantity_milli=quantity,
        price_minor=_money(line.price),
        category=_text(line.category),
        brand=_text(line.brand),
        attributes=line.attrs or {},
        flags=line.flags or [],
        weighed=line.weighed is True,
        min_price_minor=_money(line.min_price) if isinstance(line.min_price, str) else None,
        max_discount_ppm=_rate(line.max_discount) if isinstance(line.max_discount, str) else None,
        prices_minor={name: _money(text) for name, text in prices.items()} if prices else {},
        base_quantity_milli=_quantity(line.base_qty) if isinstance(line.base_qty, str) else 1000,
    )


def _text(text: str | UnsetType | None) -> str | None:
    if not isinstance(text, str):
        return None
    if len(text) > limits.IDENTIFIER_CHARS_MAX:
        raise _NotPlainError
    return text


def _bounded(text: str, decimals: int, high: int) -> int:
    number = scaled_integer(text, decimals)
    if number is None or not 0 <= number <= high:
        raise _NotPlainError
    return number


@functools.lru_cache(_NUMBERS_KEPT)
def _money(text: str) -> int:
    return _bounded(text, 2, limits.PRICE_MINOR_MAX)


@functools.lru_cache(_NUMBERS_KEPT)
def _quantity(text: str) -> int:
    return _bounded(text, 3, limits.QUANTITY_MILLI_MAX)


@functools.lru_cache(_NUMBERS_KEPT)
def _rate(text: str) -> int:
    return _bounded(text, 4, _PPM)

"""GS1 element strings: application identifiers, dates, weights and amounts. Pure.

The crypto tail of a marking code (AI 91 to 99) is read over and given to nobody: it has no use in
loyalty, and who does not keep it cannot lose it.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field
from typing import Final

from edge_agent.serial.barcodes.digits import is_digits, is_gtin
from shared.errors import InputError
from shared.money import divide_half_up

GS: Final = "\x1d"
SYMBOLOGIES: Final = {
    "C0": "code128",
    "C1": "gs1-128",
    "E0": "ean13",
    "E4": "ean8",
    "Q1": "qr",
    "Q3": "gs1-qr",
    "d1": "datamatrix",
    "d2": "gs1-datamatrix",
    "e0": "gs1-databar",
}
"""By AIM identifier, without its ``]``."""
_GS1: Final = frozenset({"gs1-128", "gs1-qr", "gs1-datamatrix", "gs1-databar"})
_AIM: Final = re.compile(r"\](?P<id>[A-Za-z][0-9A-Za-z])")
_FIXED: Final = {
    "00": 18, "01": 14, "02": 14, "11": 6, "12": 6, "13": 6, "15": 6, "16": 6, "17": 6, "20": 2,
}  # fmt: skip
"""Length of the data of identifiers that need no separator after them."""
_MEASURES: Final = frozenset({"31", "32", "33", "34", "35", "36"})
"""Four-digit identifiers with six digits; the fourth digit tells the decimals."""
_VARIABLE: Final = {
    "10": 20, "21": 20, "22": 20, "30": 8, "37": 8, "240": 30, "241": 30, "250": 30, "251": 30,
    "400": 30, "7003": 10, **{str(ai): 90 for ai in range(91, 100)},
}  # fmt: skip
"""Greatest length of the data of identifiers that end with GS or the code."""
_AMOUNTS: Final = {"390": 15, "391": 18, "392": 15, "393": 18}
_ELEMENTS_MAX: Final = 20
_TAIL_FROM: Final = "91"
_BEFORE_TAIL: Final = frozenset({"10", "21"})
_TAIL: Final = re.compile(r"9[1-9].{4}\Z", re.DOTALL)
"""Four characters; the longer tails leave no room in what they follow."""
_UNKNOWN: Final = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gs1:
    """What of the elements matters here; None: the code does not say.

    ``whole`` False: an identifier that is not known, or a lost separator, hides the rest.
    """

    elements: dict[str, str] = field(default_factory=dict)
    whole: bool = True
    gtin: str | None = None
    serial: str | None = None
    batch: str | None = None
    expires_on_date: str | None = None
    weight_milli: int | None = None
    price_minor: int | None = None


def split_aim(text: str) -> tuple[str | None, str]:
    """The symbology that a scanner names before the code, and the code."""
    found = _AIM.match(text)
    if found is None:
        return None, text
    return SYMBOLOGIES.get(found["id"], "other"), text[found.end() :]


def is_gs1(symbology: str | None, code: str) -> bool:
    """Whether the code is made of elements, by the scanner's word or by its looks."""
    if symbology is not None and symbology != "other":
        return symbology in _GS1
    return code.startswith(GS) or (len(code) > 16 and code[:2] == "01" and is_gtin(code[2:16]))


def read_gs1(code: str, *, year: int) -> Gs1:
    """The elements of a code; ``year`` tells which century two digits mean.

    Raises:
        InputError: ``bad_barcode``: a GTIN's check digit or a date is wrong.
    """
    elements: dict[str, str] = {}
    rest = code.lstrip(GS)
    while rest and len(elements) < _ELEMENTS_MAX:
        found = _element(rest)
        if found is None:
            break
        identifier, data, rest = found
        if len(identifier) != 2 or identifier < _TAIL_FROM:
            elements[identifier] = data
    if _hides_tail(code, elements):
        elements.popitem()
        rest = _UNKNOWN
    gtin = elements.get("01")
    if gtin is not None and not is_gtin(gtin):
        raise InputError("the check digit of the GTIN is wrong", code="bad_barcode")
    expires = elements.get("17")
    return Gs1(
        elements=elements,
        whole=not rest,
        gtin=gtin,
        serial=elements.get("21"),
        batch=elements.get("10"),
        expires_on_date=None if expires is None else _day(expires, year),
        weight_milli=_scaled(elements, "310", 3),
        price_minor=_scaled(elements, "392", 2),
    )


def _hides_tail(code: str, elements: dict[str, str]) -> bool:
    """Whether the last element may hold the tail of a marking code, its separator lost.

    Where a separator stands anywhere in the code, the scanner sends them, and none is lost.
    """
    if GS in code.lstrip(GS) or not elements:
        return False
    identifier, data = next(reversed(elements.items()))
    return identifier in _BEFORE_TAIL and _TAIL.search(data, 1) is not None


def _element(rest: str) -> tuple[str, str, str] | None:
    """Identifier, data, what follows; None where it cannot be told."""
    two = rest[:2]
    if two in _FIXED:
        return _fixed(rest, 2, _FIXED[two])
    if two in _MEASURES:
        return _fixed(rest, 4, 6)
    if rest[:3] in _AMOUNTS:
        return _variable(rest, 4, _AMOUNTS[rest[:3]], digits=True)
    for length in (2, 3, 4):
        if rest[:length] in _VARIABLE:
            return _variable(rest, length, _VARIABLE[rest[:length]])
    return None


def _fixed(rest: str, at: int, length: int) -> tuple[str, str, str] | None:
    data = rest[at : at + length]
    if not is_digits(rest[:at]) or len(data) != length or not is_digits(data):
        return None
    # A separator after a fixed element is not needed, and harmless.
    return rest[:at], data, rest[at + length :].removeprefix(GS)


def _variable(
    rest: str, at: int, most: int, *, digits: bool = False
) -> tuple[str, str, str] | None:
    data, _, more = rest[at:].partition(GS)
    if not is_digits(rest[:at]) or not 0 < len(data) <= most or (digits and not is_digits(data)):
        return None
    return rest[:at], data, more


def _day(text: str, year: int) -> str:
    """YYMMDD as an ISO date; day 00 is the month's last, the century is the nearer one."""
    century = year - year % 100
    full = century + int(text[:2])
    if full - year > 50:
        full -= 100
    elif full - year < -49:
        full += 100
    month, day = int(text[2:4]), int(text[4:])
    if not 1 <= month <= 12 or day > calendar.monthrange(full, month)[1]:
        raise InputError("there is no such day", code="bad_barcode")
    return f"{full:04d}-{month:02d}-{day or calendar.monthrange(full, month)[1]:02d}"


def _scaled(elements: dict[str, str], identifier: str, decimals: int) -> int | None:
    """The value of ``310x`` or ``392x`` with so many decimals, halves up."""
    for key, data in elements.items():
        if len(key) == 4 and key.startswith(identifier):
            given = int(key[3])
            value, unit = int(data) * int("1" + "0" * decimals), int("1" + "0" * given)
            return divide_half_up(value, unit)
    return None

"""Loyalty cards by number or magnetic stripe; bank cards are recognised to be refused. Pure.

Nothing of a bank card leaves this file: neither in a value nor in an error. A stripe counts as a
bank card's by what it looks like, whatever prefixes are configured, so that a wrong setting cannot
turn payment cards into loyalty cards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.serial.barcodes.digits import is_digits, is_luhn

CARD_CHARS_MAX: Final = 64
_TRACK_1: Final = re.compile(r"%(?P<format>.)[^?]{0,76}\?.?")
_TRACK_2: Final = re.compile(r";(?P<number>\d{1,37})(?:=(?P<more>[\d=]{0,36}))?\?")
_BANK_MORE: Final = re.compile(r"\d\d(0[1-9]|1[0-2])\d{3}")
"""Expiry YYMM and a service code."""
_BANK_NUMBER: Final = re.compile(r"[2-689]\d{14,18}")
"""Where payment systems have their ranges; shorter numbers are goods."""


@dataclass(frozen=True, slots=True)
class Card:
    """A loyalty card's number."""

    number: str


@dataclass(frozen=True, slots=True)
class BankCard:
    """A payment card was swiped or typed; of it nothing is kept."""


def read_card(text: str, prefixes: Sequence[str]) -> Card | BankCard | None:
    """The loyalty card that was scanned, typed or swiped; None: this is no card.

    Without prefixes every number is taken for a card that is not a bank's.
    """
    if text[:1] in ("%", ";", "+"):
        return _read_stripe(text, prefixes)
    number = text.strip()
    if not 0 < len(number) <= CARD_CHARS_MAX:
        return None
    if prefixes:
        if is_digits(number) and number.startswith(tuple(prefixes)):
            return Card(number)
        return BankCard() if _is_bank_number(number) else None
    if _is_bank_number(number):
        return BankCard()
    return Card(number) if is_digits(number) else None


def _read_stripe(text: str, prefixes: Sequence[str]) -> Card | BankCard | None:
    first = _TRACK_1.search(text)
    if first is not None and first["format"] == "B":
        return BankCard()
    second = _TRACK_2.search(text)
    if second is None:
        # What begins like a stripe and cannot be read may still be somebody's bank card.
        return BankCard() if re.search(r"\d{13,}", text) else None
    number, more = second["number"], second["more"] or ""
    if 13 <= len(number) <= 19 and _BANK_MORE.match(more):
        return BankCard()
    if _is_bank_number(number) and not (prefixes and number.startswith(tuple(prefixes))):
        return BankCard()
    if prefixes and not number.startswith(tuple(prefixes)):
        return None
    return Card(number)


def _is_bank_number(number: str) -> bool:
    return _BANK_NUMBER.fullmatch(number) is not None and is_luhn(number)

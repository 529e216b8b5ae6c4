"""How a phone is known where its number is not kept: a slow hash, and a keyed tag of that. Pure.

There are so few phones that a plain hash gives them away: a graphics card goes through all of a
country in a second. ``slow_hash`` takes a tenth of a second and 32 MiB for each guess, and what a
shop keeps is ``phone_tag`` of it, which is worth nothing without a key that is on no shop's disk.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from shared.crypto.tags import CARD_TAG_BYTES
from shared.errors import InputError

SALT_BYTES: Final = 16
PHONE_HASH_BYTES: Final = 32
PHONE_TAG_BYTES: Final = CARD_TAG_BYTES
"""Tags of phones and of cards stand side by side."""
_COST: Final = 2**15
_BLOCKS: Final = 8
_MEMORY_BYTES: Final = 128 * _COST * _BLOCKS + 2**20
_TYPED_CHARS_MAX: Final = 40
_TYPED: Final = re.compile(r"\+?[0-9 ()\-.\u00a0]+")
_DIGITS_MIN: Final = 10
_DIGITS_MAX: Final = 15
"""Of E.164."""
_NATIONAL_DIGITS: Final = 10


def plain_phone(text: str) -> str:
    """A phone as ``+`` and digits, however it was typed; without a country it is a ``+7``.

    Raises:
        InputError: ``bad_phone``; the message does not repeat what was typed.
    """
    digits = "".join(char for char in text if char.isdigit())
    if len(text) > _TYPED_CHARS_MAX or not _TYPED.fullmatch(text.strip()):
        raise _bad_phone()
    if not text.strip().startswith("+"):
        if digits.startswith("00"):
            digits = digits[2:]
        elif len(digits) == _NATIONAL_DIGITS:
            digits = "7" + digits
        elif len(digits) == _NATIONAL_DIGITS + 1 and digits.startswith("8"):
            digits = "7" + digits[1:]
    if not _DIGITS_MIN <= len(digits) <= _DIGITS_MAX or digits.startswith("0"):
        raise _bad_phone()
    return "+" + digits


def slow_hash(phone: str, salt: bytes) -> bytes:
    """32 bytes for a phone as ``plain_phone`` gives it; keep it off the event loop."""
    assert len(salt) == SALT_BYTES, "a salt is 16 bytes"
    return hashlib.scrypt(
        phone.encode("ascii"),
        salt=salt,
        n=_COST,
        r=_BLOCKS,
        p=1,
        maxmem=_MEMORY_BYTES,
        dklen=PHONE_HASH_BYTES,
    )


def phone_tag(phone_hash: bytes, key: bytes) -> bytes:
    """16 bytes that stand for a phone in shops."""
    return hmac.new(key, b"kopilka.phone.v1" + phone_hash, hashlib.sha256).digest()[
        :PHONE_TAG_BYTES
    ]


def phone_end(phone: str) -> str:
    """What may be shown of a phone: its last two digits."""
    return phone[-2:]


def _bad_phone() -> InputError:
    return InputError(
        "a phone is 10 to 15 digits, with + and the country's code or without",
        code="bad_phone",
        pointer="/phone",
    )

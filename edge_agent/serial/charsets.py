"""Texts as old tills write them: CP866, CP1251 or UTF-8. Pure.

What a character set lacks is replaced by something that a person reads the same way, or by a
question mark: never left out, so that a cashier sees that something stood there.
"""

from __future__ import annotations

from typing import Final

from edge_agent.serial_settings import Charset
from shared.errors import InputError

REPLACEMENT: Final = "?"
_SIMILAR: Final = {
    "₽": "р.",
    "€": "EUR",
    "«": '"',
    "»": '"',
    "„": '"',
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "•": "*",
    "×": "x",
    "™": "(tm)",
    "©": "(c)",
    "®": "(r)",
    "ё": "е",
    "Ё": "Е",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
}
"""Only used where the character set lacks the character itself."""


def encode_text(text: str, charset: Charset) -> bytes:
    """The text in this character set."""
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return b"".join(_encode_one(character, charset) for character in text)


def decode_text(data: bytes, charset: Charset) -> str:
    """What a till wrote.

    Raises:
        InputError: ``bad_charset``: these bytes are no text; guessing could name other goods.
    """
    try:
        return data.decode(charset)
    except UnicodeDecodeError as error:
        raise InputError(
            f"the bytes are no {charset} text",
            code="bad_charset",
            hint="Set the till's charset in edge.toml.",
        ) from error


def _encode_one(character: str, charset: Charset) -> bytes:
    for candidate in (character, _SIMILAR.get(character, REPLACEMENT)):
        try:
            return candidate.encode(charset)
        except UnicodeEncodeError:
            continue
    return REPLACEMENT.encode("ascii")

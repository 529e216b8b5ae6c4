"""Latin codes that came through a keyboard set to Russian, typed back. Pure."""

from __future__ import annotations

import re
from typing import Final

_RUSSIAN: Final = 'йцукенгшщзхъфывапролджэячсмитьбю.ёЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ,Ё"№;:?/'
_LATIN: Final = "qwertyuiop[]asdfghjkl;'zxcvbnm,./`QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>?~@#$^&|"
_BACK: Final = str.maketrans(_RUSSIAN, _LATIN)
_THERE: Final = str.maketrans(_LATIN, _RUSSIAN)
_CYRILLIC: Final = re.compile("[а-яА-ЯёЁ]")


def as_latin(text: str) -> str:
    """The keys that were meant.

    Codes are Latin, so a Russian letter shows that the keyboard was set wrong, and then every key
    counts; without one there is nothing to see, and the text stays as it is.
    """
    return text.translate(_BACK) if _CYRILLIC.search(text) else text


def as_russian(text: str) -> str:
    """What a Russian keyboard makes of the keys of a Latin text."""
    return text.translate(_THERE)

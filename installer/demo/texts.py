"""The demo's words: English in the code, other languages from catalogues beside it."""

from __future__ import annotations

import gettext
import os

from shared.texts import read_catalogue


def language() -> str:
    """``ru`` or ``en``, by LC_ALL, LC_MESSAGES or LANG."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "ru" if value.lower().startswith("ru") else "en"
    return "en"


def translations(code: str) -> gettext.NullTranslations:
    """The catalogue of a language."""
    return read_catalogue("installer.demo", f"locales/{code}/LC_MESSAGES/demo.po", code)


_current = translations(language())


def tr(text: str) -> str:
    """The text in the language of the environment."""
    return _current.gettext(text) if text else ""

"""The demo's words: English in the code, other languages from catalogues beside it."""

from __future__ import annotations

import gettext
import io
import os
from importlib import resources

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


def language() -> str:
    """``ru`` or ``en``, by LC_ALL, LC_MESSAGES or LANG."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "ru" if value.lower().startswith("ru") else "en"
    return "en"


def translations(code: str) -> gettext.NullTranslations:
    """The catalogue of a language, read from its text form: nothing has to be compiled first."""
    file = resources.files("installer.demo").joinpath(f"locales/{code}/LC_MESSAGES/demo.po")
    if not file.is_file():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.StringIO(file.read_text("utf-8"))))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


_current = translations(language())


def tr(text: str) -> str:
    """The text in the language of the environment."""
    return _current.gettext(text) if text else ""

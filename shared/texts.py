"""Texts for people: the catalogue of a language, read from its committed text form.

Needs Babel, which programs that speak to people install; a shop's agent need not.
"""

from __future__ import annotations

import functools
import gettext
import io
from importlib import resources

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


@functools.cache
def read_catalogue(package: str, path: str, language: str) -> gettext.NullTranslations:
    """The catalogue (a ``.po`` file of the package); nothing has to be compiled first.

    A file that is not there is the language that the messages are written in.
    """
    file = resources.files(package).joinpath(path)
    if not file.is_file():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.StringIO(file.read_text("utf-8")), locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)

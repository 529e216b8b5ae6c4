"""The demo speaks Russian as completely as English."""

from __future__ import annotations

import re
from pathlib import Path

import installer.demo
from installer.demo.texts import translations

TEXT = re.compile(r"""\btr\(\s*(?:"([^"]+)"|'([^']+)')\s*\)""")


def test_every_text_has_a_russian_twin() -> None:
    """A text added to the screen without a translation is found here."""
    folder = Path(next(iter(installer.demo.__path__)))
    texts = {
        first or second
        for path in folder.glob("*.py")
        for first, second in TEXT.findall(path.read_text("utf-8"))
    }
    catalogue = translations("ru")

    same_in_russian = {"p50", "p99"}
    missing = {text for text in texts if catalogue.gettext(text) == text} - same_in_russian

    assert texts
    assert missing == set()

"""Every code of the compiler has its section, what to do about it, and an example."""

from __future__ import annotations

import json
import re

from tests.docs.examples import DOCS, examples_of
from tests.unit.rules_compiler.test_diagnostics import SOURCES, codes_in_sources

PAGE = DOCS / "diagnostics.md"
TOO_LONG_TO_SHOW = {"too_deep", "too_large", "too_many"}


def sections() -> dict[str, str]:
    parts = re.split(r"^### `(\w+)`\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_code_has_a_section_and_no_section_is_without_code() -> None:
    """The page and the sources name the same codes; some are chosen by an expression there."""
    sources = "".join(path.read_text("utf-8") for path in SOURCES)

    assert set(codes_in_sources()) - set(sections()) == set()
    assert [code for code in sections() if f'"{code}"' not in sources] == []


def test_every_section_says_what_to_do() -> None:
    """A reader who has met a code wants to get rid of it."""
    assert [code for code, text in sections().items() if "**What to do:**" not in text] == []


def test_every_code_has_an_example() -> None:
    """But those that only a document of many pages would bring about."""
    shown = {
        finding["code"]
        for example in examples_of(PAGE)
        if example.kind == "findings"
        for finding in json.loads(example.stated)
    }

    assert set(codes_in_sources()) - shown == TOO_LONG_TO_SHOW

"""Links between the pages of the documentation lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.examples import DOCS, ROOT

LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TEMPLATES = {"0000-template.md"}
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names that headings give, as code hosts make them."""
    text = FENCED.sub("", page.read_text("utf-8"))
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    """The page is there, and so is the heading."""
    broken: list[str] = []
    for match in LINK.finditer(FENCED.sub("", page.read_text("utf-8"))):
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (
            anchor and other.suffix == ".md" and anchor not in anchors(other)
        ):
            broken.append(target)

    assert broken == []


def test_every_page_is_reached() -> None:
    """A page that no other page names is read by nobody."""
    reached = {
        (page.parent / match["target"].partition("#")[0]).resolve()
        for page in PAGES
        for match in LINK.finditer(page.read_text("utf-8"))
    }
    decisions = DOCS / "adr"
    lost = [
        page.name
        for page in sorted((DOCS / "language").glob("*.md"))
        if page.name != "README.md" and page.resolve() not in reached
    ]

    assert (lost, decisions.is_dir()) == ([], True)

"""The documentation of the language tells what the product really does."""

from __future__ import annotations

import json

import pytest

from tests.docs.examples import PAGES, Example, differences, examples_of, rewrite
from tests.support.golden import REWRITES

if REWRITES:
    for _page in PAGES:
        if _page.exists():
            rewrite(_page)

EXAMPLES = [example for page in PAGES for example in examples_of(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_comes_out_as_the_page_says(example: Example) -> None:
    """What a reader types in gives what the reader was told."""
    found = example.found()

    if example.kind == "table":
        assert example.stated == found
    else:
        assert differences(json.loads(example.stated), found) == []

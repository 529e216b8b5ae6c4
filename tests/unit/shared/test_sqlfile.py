"""Named SQL statements."""

from __future__ import annotations

import pytest

from shared.sqlfile import parse_queries


def test_statements_are_found_by_name() -> None:
    """Each heading names the statement below it, without its closing semicolon."""
    text = "-- a note\n\n-- one --\n-- what for\nselect 1;\n\n-- two --\nselect 2;\n"

    assert parse_queries(text) == {"one": "-- what for\nselect 1", "two": "select 2"}


@pytest.mark.parametrize(
    "text",
    [
        "select 1;\n-- one --\nselect 1;",
        "-- one --\nselect 1;\n-- one --\nselect 2;",
        "-- one --\n-- only a comment\n",
    ],
    ids=["statement before a heading", "a name twice", "an empty statement"],
)
def test_a_misleading_file_is_refused(text: str) -> None:
    """A file in which a statement could be overlooked does not load."""
    with pytest.raises(ValueError, match=r"SQL before|twice|empty"):
        parse_queries(text)

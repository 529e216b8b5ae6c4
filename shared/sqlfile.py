"""Load named SQL statements from a ``queries.sql`` file.

A file is a sequence of ``-- name --`` headings, each followed by a purpose line (a comment) and
one statement. Python never assembles SQL text: what is not in such a file is not executed.
"""

from __future__ import annotations

import re
from importlib import resources

_HEADING = re.compile(r"^-- ([a-z][a-z0-9_]*) --$", re.MULTILINE)


def parse_queries(text: str) -> dict[str, str]:
    """Split SQL text at its headings into ``{name: statement}``.

    Raises:
        ValueError: a name stands twice, a statement is empty, or SQL stands before a heading.
    """
    pieces = _HEADING.split(text)
    if any(line and not line.startswith("--") for line in pieces[0].splitlines()):
        raise ValueError("SQL before the first '-- name --' heading")
    queries: dict[str, str] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        statement = body.strip().rstrip(";")
        if not any(line and not line.startswith("--") for line in statement.splitlines()):
            raise ValueError(f"query {name!r} is empty")
        if name in queries:
            raise ValueError(f"query {name!r} stands twice")
        queries[name] = statement
    return queries


def load_queries(package: str, file_name: str = "queries.sql") -> dict[str, str]:
    """The queries of the file ``file_name`` that lies beside the code of ``package``."""
    return parse_queries(resources.files(package).joinpath(file_name).read_text("utf-8"))

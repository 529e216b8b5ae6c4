"""Cases in text files: a title, what is given, what is to come out; blocks parted by ``====``.

With GOLDEN=1 in the environment the expected halves are written anew; the diff is then reviewed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REWRITES = os.environ.get("GOLDEN") == "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One block of a file."""

    path: Path
    index: int
    title: str
    given: str
    expected: str

    def check(self, found: str) -> None:
        """Compare; or put what was found into the file."""
        if REWRITES:
            _rewrite(self, found)
        else:
            assert found.strip() == self.expected


def read_cases(path: Path) -> list[Case]:
    """The blocks of a file."""
    cases: list[Case] = []
    for index, block in enumerate(path.read_text("utf-8").split("\n====\n")):
        title, _, rest = block.strip().partition("\n")
        given, _, expected = rest.partition("\n----")
        cases.append(
            Case(
                path=path,
                index=index,
                title=title.removeprefix("# "),
                given=given.strip(),
                expected=expected.strip(),
            )
        )
    return cases


def _rewrite(case: Case, found: str) -> None:
    blocks = [
        f"# {each.title}\n{each.given}\n----\n"
        + (found.strip() if each.index == case.index else each.expected)
        for each in read_cases(case.path)
    ]
    case.path.write_text("\n====\n".join(blocks) + "\n", "utf-8")

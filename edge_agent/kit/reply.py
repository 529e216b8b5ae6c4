"""A reply read without trust: what is not there, or is not a sum, fails the check. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.kit.finding import MismatchError, require

PROBLEM: Final = "application/problem+json"
CAME_CHARS_MAX: Final = 1_000
SHOWN_CHARS_MAX: Final = 300
"""A reply in a report: enough to know it by, not a page of it."""
_CENTI: Final = re.compile(r"(-?)([0-9]{1,12})\.([0-9]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Status, type and JSON; ``body`` is None where the reply was no JSON."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: Any

    @property
    def shown(self) -> str:
        """In one line, shortened."""
        text = json.dumps(self.body, ensure_ascii=False)
        if self.content_type == PROBLEM and isinstance(self.body, dict) and "code" in self.body:
            text = f"{self.body['code']}: {self.body.get('detail', '')}"
        return f"{self.status} {printable(text)[:SHOWN_CHARS_MAX]}"

    def at(self, *path: str | int) -> Any:
        """What stands there.

        Raises:
            MismatchError: nothing does.
        """
        return at(self.body, *path)


def printable(text: str) -> str:
    """Of a stranger's text what a terminal and a report can bear, and no more than a paragraph."""
    return "".join(each if each.isprintable() else "?" for each in text[:CAME_CHARS_MAX])


def at(value: Any, *path: str | int) -> Any:
    """What stands at a path of keys and indexes.

    Raises:
        MismatchError: nothing does.
    """
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            place = "/".join(str(each) for each in path)
            raise MismatchError(
                f"/{place}: –", "The reply has every key of the contract."
            ) from error
    return value


def centi_at(value: Any, *path: str | int) -> int:
    """A sum or points with two decimals, in hundredths.

    Raises:
        MismatchError: it is not written so.
    """
    text = at(value, *path)
    found = _CENTI.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        place = "/".join(str(each) for each in path)
        raise MismatchError(f"/{place}: {text!r}", "Sums and points are text with two decimals.")
    centi = int(found[2]) * 100 + int(found[3])
    return -centi if found[1] else centi


def require_ok(reply: Reply) -> Reply:
    """The reply, if the agent did as it was asked.

    Raises:
        MismatchError: it refused.
    """
    require(reply.status == 200, reply.shown, "The call is answered with 200.")
    require(isinstance(reply.body, dict), reply.shown, "The reply is a JSON object.")
    return reply


def require_refused(reply: Reply, status: int, code: str | None = None) -> Reply:
    """The reply, if it is a refusal of this kind in the form that every refusal has.

    Raises:
        MismatchError: it is another, or none.
    """
    require(reply.status == status, reply.shown)
    require(
        reply.content_type == PROBLEM and isinstance(reply.body, dict),
        f"{reply.content_type} {reply.shown}",
        "A refusal is application/problem+json.",
    )
    for key in ("status", "code", "title", "detail", "pointer", "hint"):
        reply.at(key)
    require(code is None or reply.body["code"] == code, reply.shown)
    return reply

"""Texts without people and secrets in them. Pure.

A log line is believed field by field: only fields that are named here come through, and of an
exception only where it happened. What is left of free text loses everything that looks like a
phone, a card, an address or a key. Better a word too few than a number too many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

MASK: Final = "***"
TEXT_CHARS_MAX: Final = 2_000
_DIGITS: Final = re.compile(r"\+?\d(?:[\s().\-/]{0,3}\d){5,}")
"""Six digits and more, however they are grouped: a phone, a card, a gift card, a birthday."""
_MAIL: Final = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
_KEY: Final = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
"""Tokens, credentials, hashes; nobody's word is as long."""
_QUOTED: Final = re.compile(r"'[^'\n]{1,500}'|\"[^\"\n]{1,500}\"|«[^»\n]{1,500}»")
"""What a message quotes came from somebody."""
_FOREIGN: Final = re.compile(r"[^\x00-\x7f]+")
"""The agent speaks English; a word in another script is somebody's name or a shop's own word."""
_FRAME: Final = re.compile(
    r'^\s*File "[^"]*?([^/"]{1,80})", line (\d{1,6}), in (\S{1,80})', re.MULTILINE
)
_RAISED: Final = re.compile(r"^([A-Za-z_][A-Za-z0-9_.]{0,100})(?::|$)", re.MULTILINE)
_NUMBERS: Final = frozenset(
    {
        "ahead_ms", "batches", "chunks", "confirmed", "count", "epoch", "failures", "lane",
        "moved_ms", "number", "records", "refused", "retry_after_s", "seq", "size_bytes",
        "trusted_ms", "version",
    }
)  # fmt: skip
_WORDS: Final = frozenset(
    {
        "code", "complete", "detail", "event", "level", "loop", "method", "module", "note", "path",
        "reason", "timestamp", "topic", "topics", "why",
    }
)  # fmt: skip
_AS_IT_IS: Final = frozenset({"event", "level", "module", "timestamp"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:+-]{1,60}")


def masked_text(text: str) -> str:
    """Free text without anything that may be somebody's."""
    short = text[:TEXT_CHARS_MAX]
    for pattern in (_QUOTED, _MAIL, _DIGITS, _KEY, _FOREIGN):
        short = pattern.sub(MASK, short)
    return short


def masked_value(value: Any) -> Any:
    """The same of whatever JSON can hold; numbers and truths stay, since only ours get here."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, dict):
        return {masked_text(str(key)): masked_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked_value(each) for each in value]
    return value


def masked_line(line: str) -> str | None:
    """A log line, field by field; None when it is none of ours."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    return json.dumps(
        {str(key)[:60]: _field(str(key), value) for key, value in fields.items()},
        ensure_ascii=False,
    )


def masked_log(lines: Iterable[str]) -> str:
    """Log lines as they may leave the shop."""
    masked = (masked_line(line) for line in lines)
    return "".join(f"{line}\n" for line in masked if line is not None)


def _field(key: str, value: Any) -> Any:
    if key == "exception":
        return _where(str(value))
    if key in _NUMBERS and isinstance(value, (int, float)):
        return value
    if key not in _WORDS:
        return MASK
    if key in _AS_IT_IS:
        return value if isinstance(value, str) and _PLAIN.fullmatch(value) else MASK
    return masked_value(value)


def _where(trace: str) -> list[str]:
    """Of a traceback: files, lines, functions, and the kinds of what was raised; no message."""
    frames = [f"{file}:{line} {name}" for file, line, name in _FRAME.findall(trace)]
    raised = [kind for kind in _RAISED.findall(trace) if kind != "Traceback"]
    return [*frames[-40:], *raised[-5:]]

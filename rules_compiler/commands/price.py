"""``price``: receipts under programmes, by the very path of production."""

from __future__ import annotations

import hashlib
import json
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from rules_compiler.commands.machine import Machine
from rules_compiler.commands.stream import Said, answer_stream, refusal
from rules_compiler.pipeline import compile_document
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.errors import InputError
from shared.unreadable import UNREADABLE
from shared.wire.answer_json import answer_to_json
from shared.wire.problem import Finding
from shared.wire.receipt_json import ReceiptError, decode_receipt

SUMMARY = "price receipts: JSON lines on stdin, one answer a line on stdout"
EXAMPLES = """\
  kopilka-rules price < cases.jsonl > answers.jsonl
  kopilka-rules price --trace < one.json

A line is {"programme": …, "receipt": …}; its answer is one line, in the same order. A line that is
refused is answered by {"error": {"code", "detail", "pointer", "findings"}} and the next goes on.

exit code: 0 every line was answered or refused, 3 our own code broke on one (see stderr)"""

PROGRAMMES_KEPT: Final = 32
PROGRAMMES_KEPT_BYTES: Final = 64 * 2**20
"""Of documents: a compiled programme takes a few times as much."""
_SPACES: Final = b" \t\r\n"


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("--trace", action="store_true", help="say of every promotion why, why not")
    parser.add_argument(
        "--hints",
        action=BooleanOptionalAction,
        default=True,
        help="say what goods promotions still lack",
    )


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    signer = Signer(machine.chance.token_bytes(32))
    pricer = Pricer(signer, trace=options.trace, hints=options.hints)
    return answer_stream(sys.stdin.buffer, sys.stdout.buffer, pricer.answer)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A programme that was met: ready, or why it is refused."""

    document_bytes: int
    ready: Ready | Said


class Pricer:
    """Answers lines; programmes that come again are compiled once."""

    def __init__(self, signer: Signer, *, trace: bool, hints: bool) -> None:
        """``signer``: a key for bundles that nobody else ever sees."""
        self._signer = signer
        self._trace = trace
        self._hints = hints
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._kept_bytes = 0

    def answer(self, line: bytes) -> Said:
        """The answer to one line, or why there is none."""
        parts = split_members(line)
        for key in ("programme", "receipt"):
            if key not in parts:
                return refusal("missing_key", f"the line's object has no key {key!r}", "")
        ready = self._programme(parts["programme"])
        if isinstance(ready, dict):
            return ready
        try:
            receipt = decode_receipt(parts["receipt"])
        except ReceiptError as error:
            return _refused("receipt", [_finding(each) for each in error.findings])
        return answer_to_json(evaluate(ready, receipt, trace=self._trace, hints=self._hints))

    def _programme(self, document: bytes) -> Ready | Said:
        key = hashlib.sha256(document).digest()
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept.ready
        ready = self._compile(document)
        self._kept[key] = _Kept(len(document), ready)
        self._kept_bytes += len(document)
        while len(self._kept) > 1 and (
            len(self._kept) > PROGRAMMES_KEPT or self._kept_bytes > PROGRAMMES_KEPT_BYTES
        ):
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.document_bytes
        return ready

    def _compile(self, document: bytes) -> Ready | Said:
        """Document, bundle bytes, opened bundle, program made ready: as in production."""
        compilation = compile_document(document)
        if compilation.program is None:
            told = [
                {
                    "severity": each.severity.value,
                    "code": each.code,
                    "detail": each.message,
                    "pointer": each.pointer,
                    "found": each.found,
                    "expected": each.expected,
                    "hint": each.hint,
                }
                for each in compilation.diagnostics
            ]
            return _refused("programme", told)
        bundle = open_bundle(
            write_bundle(compilation.program, self._signer, created_at_ms=0),
            {self._signer.key_id: self._signer.public_key},
            version_floor=0,
        )
        return bundle.ready


def split_members(line: bytes) -> dict[str, bytes]:
    """The members of the line's object as they were written, so that numbers keep their text.

    What is inside the members is not judged here: whoever reads them does that.

    Raises:
        InputError: the line is no JSON, no object, or a key of it stands twice.
    """
    try:
        raw = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        parts = {key: bytes(value) for key, value in raw.items()}
    except UNREADABLE:
        # It is stricter than JSON about halves of characters, and says little of what is wrong.
        return _split_slowly(line)
    if not _stand_once(line, parts):
        raise _twice()
    return parts


def _twice() -> InputError:
    return InputError("a key stands twice in the line's object", code="duplicate_key", pointer="")


def _no_json(detail: str) -> InputError:
    return InputError(detail, code="not_json", pointer="")


def _stand_once(line: bytes, parts: dict[str, bytes]) -> bool:
    """Whether each key stands once: of a key that stands twice, the last value is in ``parts``.

    Walks over the line by the values found. A value that stands where another was read does not
    fit there, since no JSON object is the beginning of another.
    """
    at = _skip(line, line.index(b"{") + 1)
    seen: set[str] = set()
    while line[at : at + 1] == b'"':
        end = at + 1
        while line[end : end + 1] != b'"':
            end += 2 if line[end : end + 1] == b"\\" else 1
        key = json.loads(line[at : end + 1])
        if key in seen:
            return False
        seen.add(key)
        at = _skip(line, _skip(line, end + 1) + 1)
        if not line.startswith(parts[key], at):
            return False
        at = _skip(line, at + len(parts[key]))
        if line[at : at + 1] == b",":
            at = _skip(line, at + 1)
        elif line[at : at + 1] != b"}":
            return False
    return True


def _skip(line: bytes, at: int) -> int:
    while line[at : at + 1] and line[at] in _SPACES:
        at += 1
    return at


def _split_slowly(line: bytes) -> dict[str, bytes]:
    """The same by Python's own reader, which says what is wrong."""
    try:
        text = line.decode("utf-8")
        decoder = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=_Members)
        value, end = decoder.raw_decode(text, _skip_text(text, 0))
    except UnicodeDecodeError as error:
        raise _no_json(f"byte {error.start} of the line is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _no_json(f"column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _no_json("the line is nested too deeply") from error
    if _skip_text(text, end) < len(text):
        raise _no_json(f"column {end + 1}: something stands after the object")
    if not isinstance(value, _Members):
        raise InputError(
            'a line is an object {"programme": …, "receipt": …}', code="type", pointer=""
        )
    return _raw_members(text, decoder)


class _Members(list[tuple[str, Any]]):
    """The members of an object."""


def _raw_members(text: str, decoder: json.JSONDecoder) -> dict[str, bytes]:
    """Each member's own text, of an object that is known to be JSON."""
    parts: dict[str, bytes] = {}
    at = text.index("{") + 1
    while (at := _skip_text(text, at)) < len(text) and text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = _skip_text(text, _skip_text(text, at) + 1)
        _, end = decoder.raw_decode(text, at)
        if key in parts:
            raise _twice()
        parts[key] = text[at:end].encode("utf-8")
        at = _skip_text(text, end)
        at += text[at] == ","
    return parts


def _skip_text(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _finding(finding: Finding) -> Said:
    return {
        "code": finding.code,
        "detail": finding.detail,
        "pointer": finding.pointer,
        "found": finding.found,
        "expected": finding.expected,
        "hint": finding.hint,
    }


def _refused(part: str, findings: list[Said]) -> Said:
    """``part`` is the member of the line whose pointers these are."""
    first = findings[0]
    said = refusal(first["code"], first["detail"], first["pointer"], findings)
    said["error"]["in"] = part
    said["error"]["hint"] = first["hint"]
    return said

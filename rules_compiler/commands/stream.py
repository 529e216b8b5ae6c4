"""Lines of JSON in, exactly one line of JSON out for each, in order: nothing ends the stream.

A line that is refused is answered by ``{"error": …}``; so is one on which our own code breaks, and
then the exit code says so at the end.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from rules_compiler.commands.machine import INTERNAL, OK
from shared.errors import AppError

LINE_BYTES_MAX: Final = 256 * 2**20
"""A programme of the greatest size, a receipt, and room to spare; more is not read into memory."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Said = dict[str, Any]


def answer_stream(source: BinaryIO, target: BinaryIO, answer: Callable[[bytes], Said]) -> int:
    """Answer every line that is not blank; the exit code."""
    code = OK
    is_first = True
    while line := source.readline(LINE_BYTES_MAX + 1):
        if is_first:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            is_first = False
        if len(line) > LINE_BYTES_MAX and not line.endswith(b"\n"):
            _skip_rest(source)
            said = refusal("too_large", f"a line has at most {LINE_BYTES_MAX} bytes")
        elif not line or line.isspace():
            continue
        else:
            said, broken = _answer_one(line, answer)
            code = INTERNAL if broken else code
        # ASCII only: half a character in a text must not break the writing of the answer.
        target.write(json.dumps(said).encode("ascii") + b"\n")
        target.flush()
    return code


def refusal(
    code: str, detail: str, pointer: str | None = None, findings: list[Said] | None = None
) -> Said:
    """An answer that says why there is none."""
    if findings is None:
        findings = [{"code": code, "detail": detail, "pointer": pointer}]
    return {"error": {"code": code, "detail": detail, "pointer": pointer, "findings": findings}}


def _answer_one(line: bytes, answer: Callable[[bytes], Said]) -> tuple[Said, bool]:
    """The answer, and whether our own code broke."""
    try:
        return answer(line), False
    except AppError as error:
        return refusal(error.stable_code, error.message, error.pointer), False
    except Exception as error:  # noqa: BLE001 - the lines after this one want their answers
        traceback.print_exc(file=sys.stderr)
        return refusal("internal", f"the line could not be answered: {type(error).__name__}"), True


def _skip_rest(source: BinaryIO) -> None:
    while (part := source.readline(2**20)) and not part.endswith(b"\n"):
        pass

"""One line of JSON in, one refund out: what ``kopilka-rules refund`` says to a request."""

from __future__ import annotations

from typing import Any

from shared.engine.refund import RefundError, refund, sold_quantities
from shared.wire.problem import Finding
from shared.wire.reading import FormatError
from shared.wire.refund_json import decode_refund_request, refund_to_json


def refund_line(data: bytes) -> dict[str, Any]:
    """The refund that this request asks for, or ``{"error": …}`` with every fault found."""
    pointers: dict[str, str] = {}
    try:
        request = decode_refund_request(data)
        pointers = request.pointers
        back = refund(
            request.answer,
            sold_quantities(request.answer),
            request.returned,
            request.wanted,
            divisible=request.divisible,
        )
    except (FormatError, RefundError) as error:
        told = [_finding(finding, pointers) for finding in error.findings]
        return {"error": told[0] | {"findings": told}}
    return refund_to_json(back)


def _finding(finding: Finding, pointers: dict[str, str]) -> dict[str, str | None]:
    pointer = finding.pointer or ""
    return {
        "code": finding.code,
        "detail": finding.detail,
        "pointer": pointers.get(pointer, pointer),
        "hint": finding.hint,
    }

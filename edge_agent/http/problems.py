"""Every refusal leaves as a problem document, aiohttp's own too; none tells about the inside."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from shared.errors import AppError, InputError, UnavailableError
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem, problem_of

_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_HINTS: Final = {
    400: "Correct the place that the pointer names and send the request again.",
    403: "The token of this till is not for this call; ask who set the till up.",
    404: "Check the address and the id; what head office added lately comes with the uplink.",
    405: "The header Allow names the methods of this address.",
    409: "Ask what is recorded: GET /v1/receipts/{id}.",
    413: "Send less in one request.",
    422: "Nothing was changed; the log says what could not be trusted.",
    503: "Nothing was changed; send the same request again in a moment.",
}
"""What a till can do where the error itself has no better advice."""


def problem_response(error: Exception) -> web.Response:
    """The answer to a request that ended with this error."""
    headers: dict[str, str] = {}
    if isinstance(error, web.RequestPayloadError):
        error = InputError("The body cannot be read: its encoding is broken.", code="bad_body")
        # What follows on this connection may be the rest of the body.
        headers["Connection"] = "close"
    if isinstance(error, web.HTTPException):
        problem = _problem_of_http(error)
        if "Allow" in error.headers:
            headers["Allow"] = error.headers["Allow"]
    else:
        problem = problem_of(error)
    if isinstance(error, UnavailableError) and error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(_complete(problem)),
        content_type=PROBLEM_CONTENT_TYPE,
        headers=headers,
    )


def is_expected(error: Exception) -> bool:
    """Whether the client was told all there is to know, so that no trace is worth keeping."""
    return isinstance(error, (AppError, web.HTTPException, web.RequestPayloadError))


def _complete(problem: Problem) -> dict[str, Any]:
    """The problem with every member a till may rely on; a title is a sentence, not markup."""
    return {
        **msgspec.to_builtins(problem),
        "title": problem.title.replace("`", ""),
        "pointer": problem.pointer,
        "hint": problem.hint or _HINTS.get(problem.status),
    }


def _problem_of_http(error: web.HTTPException) -> Problem:
    status = HTTPStatus(error.status)
    return Problem(
        status=error.status,
        code=_CODES.get(error.status, status.name.lower()),
        title=status.phrase,
        detail=status.description or status.phrase,
    )

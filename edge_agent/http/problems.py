"""Every refusal leaves as a problem document, aiohttp's own too; none tells about the inside."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from shared.errors import AppError, UnavailableError
from shared.wire.problem import PROBLEM_CONTENT_TYPE, Problem, problem_of

_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def problem_response(error: Exception) -> web.Response:
    """The answer to a request that ended with this error."""
    headers: dict[str, str] = {}
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
        body=msgspec.json.encode(problem),
        content_type=PROBLEM_CONTENT_TYPE,
        headers=headers,
    )


def is_expected(error: Exception) -> bool:
    """Whether the client was told all there is to know, so that no trace is worth keeping."""
    return isinstance(error, (AppError, web.HTTPException))


def _problem_of_http(error: web.HTTPException) -> Problem:
    status = HTTPStatus(error.status)
    return Problem(
        status=error.status,
        code=_CODES.get(error.status, status.name.lower()),
        title=status.phrase,
        detail=status.description or status.phrase,
    )

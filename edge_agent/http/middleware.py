"""What surrounds every handler: a request id, the till's token, refusals as problems."""

from __future__ import annotations

import hmac
import re
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge_agent.http.docs import OPEN_PATHS as DESCRIPTION
from edge_agent.http.page import is_page
from edge_agent.http.problems import is_expected, problem_response
from shared.errors import UnauthorizedError
from shared.ids import Chance
from shared.logs import get_logger

REQUEST_ID_HEADER: Final = "X-Request-Id"
OPEN_PATHS: Final = frozenset({"/v1/health"}) | DESCRIPTION
"""What needs no token: a balancer or a browser may ask whether the agent lives."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOG = get_logger(__name__)


def refusals(chance: Chance) -> Middleware:
    """Name the request (by the caller's id where it is harmless), and catch what goes wrong."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else chance.token_bytes(8).hex()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                response = await handler(request)
            except Exception as error:  # noqa: BLE001 - the border: whatever happens is a problem
                if not is_expected(error):
                    _LOG.exception("request.failed", method=request.method, path=request.path)
                response = problem_response(error)
        response.headers[REQUEST_ID_HEADER] = request_id
        response.headers["Cache-Control"] = "no-store"
        return response

    return middleware


def bearer_token(token: str) -> Middleware:
    """Let only those in who show the tills' token; the comparison takes the same time always."""
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN_PATHS and not is_page(request.path):
            shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(shown, expected):
                raise UnauthorizedError(
                    "the till's token is missing or wrong",
                    hint="Send `Authorization: Bearer` with the contents of till.token.",
                )
        return await handler(request)

    return middleware

"""What surrounds every handler: a request id, who calls, refusals as problems."""

from __future__ import annotations

import re
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge_agent.http.contract import RIGHTS
from edge_agent.http.docs import OPEN_PATHS as DESCRIPTION
from edge_agent.http.page import is_page
from edge_agent.http.problems import is_expected, problem_response
from edge_agent.tills.policy import Caller, Right
from edge_agent.tills.service import Tills, check_right
from shared.ids import Chance
from shared.logs import get_logger

REQUEST_ID_HEADER: Final = "X-Request-Id"
OPEN_PATHS: Final = frozenset({"/v1/health"}) | DESCRIPTION
"""What needs no token: a balancer or a browser may ask whether the agent lives."""
CALLER: Final = web.RequestKey("caller", Caller)
"""Whose token the request shows."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOG = get_logger(__name__)


def refusals(chance: Chance) -> Middleware:
    """Name the request (by the caller's id where it is harmless), and catch what goes wrong."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else chance.token_bytes(8).hex()
        # Not taken back afterwards: the context is the connection's, and its next call has its own.
        structlog.contextvars.unbind_contextvars("till")
        structlog.contextvars.bind_contextvars(request_id=request_id)
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


def admission(tills: Tills) -> Middleware:
    """Let only those in who show a token, each to what it is good for and as often as it may."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS or is_page(request.path):
            return await handler(request)
        caller = await tills.admit(request.headers.get("Authorization", ""))
        right = _right_of(request)
        if right is not None:
            check_right(caller, right)
        request[CALLER] = caller
        structlog.contextvars.bind_contextvars(till=caller.name)
        return await handler(request)

    return middleware


def _right_of(request: web.Request) -> Right | None:
    resource = request.match_info.route.resource
    if resource is None:  # no such address or method: that is said to whoever has a token
        return None
    return RIGHTS.get((request.method, resource.canonical), Right.REPORT)

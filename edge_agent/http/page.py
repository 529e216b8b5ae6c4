"""``/page``: the agent's own page, which is brought in by the first visit.

Its libraries (templates, two languages) take as much memory as a small shop's data, and most agents
are never looked at.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiohttp import web

PREFIX: Final = "/page"


class Site(Protocol):
    """``edge_agent.page.site.Site``."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked for under ``/page``."""
        ...


class PageApi:
    """The addresses of the page. ``make``: makes the site out of its module's class."""

    def __init__(self, make: Callable[[Any], Site]) -> None:
        self._make = make
        self._site: Site | None = None

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.get("/", self.root),
            web.get(PREFIX, self.page),
            web.get(PREFIX + "/{path:.*}", self.page),
            web.post(PREFIX + "/{path:enter}", self.page),
            web.post(PREFIX + "/{path:files/(?:export|import|forward)}", self.page),
            web.post(PREFIX + "/{path:support}", self.page),
        ]

    async def root(self, _request: web.Request) -> web.Response:
        """A person who types the bare address wants the page."""
        return web.Response(status=302, headers={"Location": PREFIX})

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked for under ``/page``."""
        if self._site is None:
            self._site = self._make(importlib.import_module("edge_agent.page.site").Site)
        answer: Awaitable[web.StreamResponse] = self._site.answer(request)
        return await answer


def is_page(path: str) -> bool:
    """Whether the page itself decides who may see this address."""
    return path in ("/", PREFIX) or path.startswith(PREFIX + "/")

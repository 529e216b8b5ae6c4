"""The pages: how the agent is, its receipts, devices, programme and files.

Strict headers, no script, nothing from elsewhere. Only files carried by hand change something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from aiohttp import web

from edge_agent.database.reader import Reader
from edge_agent.files.service import SyncFiles
from edge_agent.page.bundles import Bundles
from edge_agent.page.entry import COOKIE, VISIT_MS, admits, is_visit, visit_cookie
from edge_agent.page.files import FilesPages, refuse_foreign
from edge_agent.page.overview import Overview
from edge_agent.page.receipts import LAST, Receipts
from edge_agent.support.bundle import SUFFIX
from edge_agent.tills.policy import Till
from shared.clock import Clock
from shared.errors import NotFoundError
from shared.tongues import LANGUAGES, Tongue, Tongues

FORM_CHARS_MAX: Final = 200
_FILES: Final = ("files", "files/export", "files/import", "files/forward")
_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_STATIC: Final = {"page.css": "text/css", "icon.svg": "image/svg+xml"}
_LANGUAGE_COOKIE: Final = "language"
_LANGUAGE_S: Final = 365 * 86_400
_TONGUES: Final = Tongues("edge_agent.page")


class Site:
    """The pages of one agent. ``token``: the tills' token, which opens them too.

    ``tills``: who has a token of its own; ``support``: makes the support bundle.
    """

    def __init__(
        self,
        *,
        token: str,
        reader: Reader,
        bundles: Bundles,
        report: Callable[[], Awaitable[dict[str, Any]]],
        clock: Clock,
        files: SyncFiles,
        tills: Callable[[], Sequence[Till]],
        support: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._token = token
        self._receipts = Receipts(reader, bundles)
        self._overview = Overview(reader, bundles, tills)
        self._support = support
        self._report = report
        self._clock = clock
        self._files = FilesPages(files)
        self._name = files.name
        folder = resources.files("edge_agent.page").joinpath("static")
        self._static = {
            name: (folder.joinpath(name).read_bytes(), kind) for name, kind in _STATIC.items()
        }
        self._pages = jinja2.Environment(
            loader=jinja2.PackageLoader("edge_agent.page"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked for under ``/page``."""
        language = request.query.get("lang", "")
        tongue = _TONGUES.choose(
            language if language in LANGUAGES else request.cookies.get(_LANGUAGE_COOKIE),
            request.headers.get("Accept-Language", ""),
        )
        try:
            response = await self._answer(request, tongue)
        except NotFoundError:
            response = self._page("missing.html", tongue, "missing", code=404)
        if language in LANGUAGES:
            response.set_cookie(
                _LANGUAGE_COOKIE, language, max_age=_LANGUAGE_S, samesite="Strict", path="/page"
            )
        response.headers["Content-Security-Policy"] = _CSP
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    async def _answer(self, request: web.Request, tongue: Tongue) -> web.StreamResponse:
        path = request.match_info.get("path", "").strip("/")
        if path in self._static:
            body, kind = self._static[path]
            return web.Response(body=body, content_type=kind)
        if path == "enter":
            return await self._enter(request, tongue)
        cookie = request.cookies.get(COOKIE, "")
        if not is_visit(self._token, cookie, self._clock.now_ms()):
            return self._page("enter.html", tongue, path, code=401, refused=False)
        if path in _FILES:
            return await self._files.answer(
                request, path, partial(self._page, tongue=tongue, path=path), self._ago(tongue)
            )
        if path == "support" and request.method == "POST":
            refuse_foreign(request)
            return await self._support_bundle()
        if request.method != "GET":
            raise NotFoundError("there is no such page")
        if path == "":
            state = await self._overview.state(await self._report(), tongue, self._ago(tongue))
            return self._page("overview.html", tongue, path, **state)
        if path == "devices":
            devices = await self._overview.devices(await self._report(), self._ago(tongue))
            return self._page("devices.html", tongue, path, **devices)
        if path == "programme":
            return self._page("programme.html", tongue, path, **self._overview.programme())
        if path == "receipts":
            before = request.query.get("before", "")
            number = int(before) if before.isascii() and before.isdigit() else LAST
            return self._page(
                "receipts.html", tongue, path, **await self._receipts.listed(min(number, LAST))
            )
        if path == "receipt":
            receipt_id = request.query.get("id", "")[:FORM_CHARS_MAX]
            found = await self._receipts.one(receipt_id, tongue)
            here = urlencode({"id": receipt_id}) + "&"
            return self._page("receipt.html", tongue, path, here=here, **found)
        raise NotFoundError("there is no such page")

    async def _enter(self, request: web.Request, tongue: Tongue) -> web.Response:
        if request.method == "POST":
            form = await request.post()
            code = form.get("code", "")
        else:
            code = request.query.get("code", "")
        given = code[:FORM_CHARS_MAX].strip() if isinstance(code, str) else ""
        if not admits(self._token, given, self._clock.now_ms()):
            return self._page("enter.html", tongue, "enter", code=401, refused=bool(given))
        response = web.Response(status=303, headers={"Location": "/page"})
        response.set_cookie(
            COOKIE,
            visit_cookie(self._token, self._clock.now_ms()),
            max_age=VISIT_MS // 1000,
            httponly=True,
            samesite="Strict",
            path="/page",
        )
        return response

    async def _support_bundle(self) -> web.Response:
        """The archive for who is to help; made anew each time."""
        return web.Response(
            body=await self._support(),
            content_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{self._name}{SUFFIX}"'},
        )

    def _page(
        self, name: str, tongue: Tongue, path: str, *, code: int = 200, **values: Any
    ) -> web.Response:
        text = self._pages.get_template(name).render(
            t=tongue.text,
            tongue=tongue,
            languages=LANGUAGES,
            path=path,
            **{"here": "", **values},
        )
        return web.Response(status=code, text=text, content_type="text/html")

    def _ago(self, tongue: Tongue) -> Callable[[int | None], str]:
        """Words for how long ago an instant was."""
        now_ms = self._clock.now_ms()
        return lambda at_ms: "—" if at_ms is None else tongue.ago(max(now_ms - at_ms, 0) // 1000)

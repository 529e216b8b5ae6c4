"""The web application: who may come in, what every answer carries, and the pages."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import jinja2
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from psycopg.rows import DictRow

from central.accounts.audit import open_drift
from central.database.pool import Pool, row_of, rows_of
from central.receipts.store import sale_of
from central.staff.service import SESSION_VALID_S, Session, StaffService, ThrottledError
from central.uplink.files import Files
from central.web.files import UPLOAD_PATH, FilesPage
from central.web.programmes import document_of, is_points_only, name_of, names_of, results_of
from central.web.returns import returns_page
from shared.clock import Clock
from shared.errors import AppError, ForbiddenError, NotFoundError, UnauthorizedError
from shared.ids import Chance
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.tongues import LANGUAGES, Tongue, Tongues
from shared.unreadable import UNREADABLE
from shared.wire.answer import Answer
from shared.words import INCIDENTS, tell_all

_LOG = get_logger(__name__)
_TONGUE = web.RequestKey("tongue", Tongue)
_SESSION: web.RequestKey[Session | None] = web.RequestKey("session")
_QUERIES = load_queries("central.web")
_TONGUES: Final = Tongues("central.web")
ONLINE_S: Final = 90
"""An agent silent for longer than this many seconds is shown as offline."""
PAGE_SIZE: Final = 25
PAGE_MAX: Final = 400
"""Deeper than this one filters instead of paging: offsets get slow."""
LANGUAGE_VALID_S: Final = 365 * 86400
BODY_BYTES_MAX: Final = 16 * 1024
"""Forms are a login and a token."""
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_OPEN_PATHS: Final = frozenset({"/login", "/language"})

Replay = Callable[[bytes], Awaitable[Answer]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """``secure``: served over TLS, so cookies are bound to it (``__Host-``, Secure)."""

    secure: bool = False


class _Site:
    """The pages and what they share."""

    def __init__(
        self,
        *,
        pool: Pool,
        replay: Replay,
        staff: StaffService,
        settings: WebSettings,
        files: FilesPage,
    ) -> None:
        self._pool = pool
        self._replay = replay
        self._staff = staff
        self._files = files
        self._secure = settings.secure
        self._cookie = "__Host-kopilka" if settings.secure else "kopilka"
        self._pages = jinja2.Environment(
            loader=jinja2.PackageLoader("central.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    # --- what every request passes

    @web.middleware
    async def guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Language, session, cross-site checks; then the headers of every answer."""
        request[_TONGUE] = _TONGUES.choose(
            request.cookies.get("language"), request.headers.get("Accept-Language", "")
        )
        request[_SESSION] = None
        try:
            response = await self._admitted(request, handler)
        except web.HTTPException as error:
            if error.status < 400:  # a redirection is an answer like any other
                self._harden(request, error)
                raise
            response = self._refusal(request, error.status)
        except NotFoundError:
            response = self._refusal(request, 404)
        except Exception:  # noqa: BLE001 - nothing of the inside may reach a client
            # The last coat: the reader sees a page, the log sees why.
            _LOG.exception("web.request_failed", path=request.path)
            response = self._refusal(request, 500)
        self._harden(request, response)
        return response

    async def _admitted(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path.startswith("/static/"):
            return await handler(request)
        token = request.cookies.get(self._cookie)
        if token is not None:
            request[_SESSION] = await self._staff.session_of(token[:128])
        if request.method not in {"GET", "HEAD"}:
            await self._refuse_foreign(request)
        if request[_SESSION] is None and request.path not in _OPEN_PATHS:
            login = "/login" if token is None else "/login?ended=1"
            if request.headers.get("HX-Request") == "true":
                return web.Response(headers={"HX-Redirect": login})
            raise web.HTTPSeeOther(login)
        return await handler(request)

    async def _refuse_foreign(self, request: web.Request) -> None:
        """A form must come from this site, and carry its session's token where there is one."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if site is not None and site != "same-origin":
            raise web.HTTPForbidden
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden
        if site is None and origin is None:
            raise web.HTTPForbidden
        session: Session | None = request[_SESSION]
        if session is not None and request.path != UPLOAD_PATH:  # read by who takes it in
            given = (await _form(request)).get("csrf", "")
            if not _same(given, session.csrf_token):
                raise web.HTTPForbidden

    def _harden(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"  # none at all makes Origin "null"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        vendored = request.path.startswith("/static/vendor/") and response.status == 200
        headers["Cache-Control"] = "max-age=31536000, immutable" if vendored else "no-store"
        if self._secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"

    def _refusal(self, request: web.Request, status: int) -> web.Response:
        return self._page(request, "refusal.html", status=status, number=status)

    def _page(
        self, request: web.Request, template: str, *, status: int = 200, **values: Any
    ) -> web.Response:
        tongue: Tongue = request[_TONGUE]
        text = self._pages.get_template(template).render(
            t=tongue.text,
            tongue=tongue,
            languages=LANGUAGES,
            session=request[_SESSION],
            here=request.path,
            back=request.path_qs if request.method in {"GET", "HEAD"} else request.path,
            **values,
        )
        return web.Response(text=text, content_type="text/html", status=status)

    # --- coming and going

    async def root(self, _request: web.Request) -> web.Response:
        """The first page."""
        raise web.HTTPSeeOther("/stores")

    async def login_page(self, request: web.Request) -> web.Response:
        """The form to sign in."""
        if request[_SESSION] is not None:
            raise web.HTTPSeeOther("/stores")
        fault = "ended" if request.query.get("ended") else None
        return self._page(request, "login.html", fault=fault, login="")

    async def login(self, request: web.Request) -> web.Response:
        """Sign in; a wrong login and a wrong password look the same."""
        form = await _form(request)
        login = form.get("login", "")[:64]
        try:
            token = await self._staff.sign_in(
                login,
                form.get("password", ""),
                address=request.remote or "",
            )
        except UnauthorizedError:
            return self._page(request, "login.html", status=401, fault="wrong", login=login)
        except ThrottledError:
            return self._page(request, "login.html", status=429, fault="throttled", login=login)
        answer = web.HTTPSeeOther("/stores")
        answer.set_cookie(
            self._cookie,
            token,
            max_age=SESSION_VALID_S,
            httponly=True,
            secure=self._secure,
            samesite="Lax",
        )
        raise answer

    async def logout(self, request: web.Request) -> web.Response:
        """Sign out."""
        await self._staff.sign_out(request.cookies[self._cookie])
        answer = web.HTTPSeeOther("/login")
        answer.del_cookie(self._cookie, secure=self._secure, httponly=True, samesite="Lax")
        raise answer

    async def language(self, request: web.Request) -> web.Response:
        """Keep the language chosen and go back to the page it was chosen on."""
        form = await _form(request)
        back = form.get("back", "/")
        # Only a path of this site: "//host" and "/\host" would lead away.
        if not back.startswith("/") or back[1:2] in {"/", "\\"} or not back.isprintable():
            back = "/"
        answer = web.HTTPSeeOther(back)
        chosen = form.get("language", "")
        if chosen in LANGUAGES:
            answer.set_cookie(
                "language",
                chosen,
                max_age=LANGUAGE_VALID_S,
                httponly=True,
                secure=self._secure,
                samesite="Lax",
            )
        raise answer

    # --- pages

    async def _stores(self) -> dict[str, Any]:
        async with self._pool.connection() as connection:
            rows = await rows_of(connection, _QUERIES["stores"], {"online_s": ONLINE_S})
            drift = len(await open_drift(connection))
        depths = [row["queue_depth"] for row in rows if row["edge_id"] is not None]
        agents = [row for row in rows if row["edge_id"] is not None]
        return {
            "rows": rows,
            "drift": drift,
            "deepest": max([*depths, 1]),
            "online": sum(row["online"] for row in agents),
            "agents": len(agents),
            "queued": sum(depths),
            "behind": sum(row["bundle_version"] != row["wanted_version"] for row in agents),
            "receipts": sum(row["receipts"] for row in agents),
        }

    async def stores(self, request: web.Request) -> web.Response:
        """Stores and their agents, kept fresh by the page itself."""
        return self._page(request, "stores.html", **await self._stores())

    async def stores_live(self, request: web.Request) -> web.Response:
        """The part of the page that is fetched again and again."""
        return self._page(request, "_stores.html", **await self._stores())

    async def receipts(self, request: web.Request) -> web.Response:
        """Receipts, newest first, filtered."""
        query = request.query
        page = _page_number(request)
        try:
            day = date.fromisoformat(query.get("date", ""))
        except ValueError:
            day = None
        chosen = {
            "store": query.get("store", "")[:64].replace("\0", ""),
            "date": day.isoformat() if day else "",
            "text": query.get("text", "").strip()[:64].replace("\0", ""),
            "discounted": "1" if query.get("discounted") == "1" else "",
        }
        parameters = {
            "store": chosen["store"] or None,
            "date": day,
            "text": chosen["text"] or None,
            "discounted": bool(chosen["discounted"]),
            "limit": PAGE_SIZE + 1,
            "offset": (page - 1) * PAGE_SIZE,
        }
        async with self._pool.connection() as connection:
            rows = await rows_of(connection, _QUERIES["receipts"], parameters)
            stores = await rows_of(connection, _QUERIES["store_names"])
        kept = {key: value for key, value in chosen.items() if value}
        return self._page(
            request,
            "receipts.html",
            rows=rows[:PAGE_SIZE],
            stores=stores,
            chosen=chosen,
            page=page,
            newer=urlencode({**kept, "page": page - 1}) if page > 1 else None,
            older=urlencode({**kept, "page": page + 1}) if len(rows) > PAGE_SIZE else None,
        )

    async def returns(self, request: web.Request) -> web.Response:
        """What came back, newest first; if asked for, only where something did not fit."""
        page = _page_number(request)
        chosen = request.query.get("incidents") == "1"
        async with self._pool.connection() as connection:
            rows = await returns_page(connection, incidents=chosen, page=page, size=PAGE_SIZE)
        kept = {"incidents": "1"} if chosen else {}
        return self._page(
            request,
            "returns.html",
            rows=rows[:PAGE_SIZE],
            chosen=chosen,
            page=page,
            newer=urlencode({**kept, "page": page - 1}) if page > 1 else None,
            older=urlencode({**kept, "page": page + 1}) if len(rows) > PAGE_SIZE else None,
        )

    async def files(self, request: web.Request) -> web.Response:
        """Files that shops without a line had carried here."""
        return await self._files.shown(partial(self._page, request), _session(request))

    async def files_answer(self, request: web.Request) -> web.StreamResponse:
        """Take a file in and give its answer."""
        session = _session(request)
        try:
            return await self._files.take(request, session)
        except ForbiddenError as error:
            raise web.HTTPForbidden from error
        except AppError as error:
            page = partial(self._page, request)
            return await self._files.shown(page, session, refused=error)

    async def receipt(self, request: web.Request) -> web.Response:
        """One receipt: its lines, what each promotion gave, and why."""
        uid = bytes.fromhex(request.match_info["uid"])
        async with self._pool.connection() as connection:
            row = await row_of(connection, _QUERIES["receipt"], {"uid": uid})
            if row is None:
                raise NotFoundError
            lines = await rows_of(connection, _QUERIES["lines"], {"uid": uid})
            applied = await rows_of(connection, _QUERIES["applied"], {"uid": uid})
            incidents = await rows_of(connection, _QUERIES["incidents"], {"uid": uid})
        names = names_of(row["document"])
        by_line: dict[int, list[dict[str, Any]]] = {}
        for entry in applied:
            name = names.get(entry["promotion_id"], entry["promotion_id"])
            by_line.setdefault(entry["line"], []).append({**entry, "name": name})
        story = None
        if row["document"] is not None:  # without its programme a receipt cannot be explained
            answer = await self._replay(uid)
            story = tell_all(answer.trace, names, request[_TONGUE])
        return self._page(
            request,
            "receipt.html",
            r=row,
            lines=lines,
            by_line=by_line,
            incidents=[
                {"title": INCIDENTS.get(entry["code"], entry["code"]), "detail": entry["detail"]}
                for entry in incidents
            ],
            sold_at=_sold_at(row),
            story=story,
        )

    async def promotions(self, request: web.Request) -> web.Response:
        """The programme in force and the versions before it."""
        async with self._pool.connection() as connection:
            active = await row_of(connection, _QUERIES["active_document"])
            versions = await rows_of(connection, _QUERIES["versions"])
            use = await rows_of(connection, _QUERIES["promotion_use"])
            sums = await row_of(connection, _QUERIES["sums"])
        document = document_of(active["document"]) if active else {}
        used = {row["promotion_id"]: row for row in use}
        listed = [
            {
                "id": promotion["id"],
                "name": name_of(promotion),
                "results": results_of(promotion),
                "points": is_points_only(promotion),
                "use": used.get(promotion["id"]),
            }
            for promotion in document.get("promotions", [])
        ]
        discounts = [entry for entry in listed if not entry["points"]]
        return self._page(
            request,
            "promotions.html",
            active=active,
            count=len(listed),
            acting=sorted(
                (entry for entry in discounts if entry["use"]),
                key=lambda entry: -entry["use"]["discount_minor"],
            ),
            idle=[entry for entry in discounts if not entry["use"]],
            points=[entry for entry in listed if entry["points"]],
            sums=sums,
            versions=versions,
            currency=str(document.get("currency", "RUB")),
        )


def _session(request: web.Request) -> Session:
    session: Session | None = request[_SESSION]
    assert session is not None, "the guard lets nobody else in"
    return session


def _page_number(request: web.Request) -> int:
    number = request.query.get("page", "1")
    page = min(int(number), PAGE_MAX) if number.isascii() and number.isdigit() else 1
    return max(page, 1)


async def _form(request: web.Request) -> dict[str, str]:
    """The texts of a form; PostgreSQL knows no NUL.

    Raises:
        HTTPBadRequest: the body is not a form, or says it is in an unknown encoding.
    """
    try:
        posted = await request.post()
    except (ValueError, LookupError, AssertionError, HttpProcessingError) as error:
        raise web.HTTPBadRequest from error
    return {
        name: value.replace("\0", "") for name, value in posted.items() if isinstance(value, str)
    }


def _same(given: str, kept: str) -> bool:
    return hmac.compare_digest(given.encode(), kept.encode())


def _sold_at(row: DictRow) -> datetime | None:
    """The moment of the sale by the shop's clock; a till that was offline may send it far later."""
    try:
        return datetime.fromisoformat(sale_of(row)[0].time)
    except (ValueError, *UNREADABLE):
        return None


def make_web_app(
    *,
    pool: Pool,
    replay: Replay,
    clock: Clock,
    chance: Chance,
    settings: WebSettings,
    files: Files | None = None,
) -> web.Application:
    """The site. ``replay`` prices a stored receipt again, with the reasons.

    ``files`` answers files that were carried here.
    """
    staff = StaffService(pool=pool, clock=clock, chance=chance)
    page = FilesPage(pool, files)
    site = _Site(pool=pool, replay=replay, staff=staff, settings=settings, files=page)
    app = web.Application(middlewares=[site.guard], client_max_size=BODY_BYTES_MAX)

    async def threads(_app: web.Application) -> AsyncIterator[None]:
        yield
        staff.close()

    app.cleanup_ctx.append(threads)
    app.router.add_get("/", site.root)
    app.router.add_get("/login", site.login_page)
    app.router.add_post("/login", site.login)
    app.router.add_post("/logout", site.logout)
    app.router.add_post("/language", site.language)
    app.router.add_get("/stores", site.stores)
    app.router.add_get("/stores/live", site.stores_live)
    app.router.add_get("/receipts", site.receipts)
    app.router.add_get("/receipts/{uid:[0-9a-f]{32}}", site.receipt)
    app.router.add_get("/returns", site.returns)
    app.router.add_get("/files", site.files)
    app.router.add_post(UPLOAD_PATH, site.files_answer)
    app.router.add_get("/promotions", site.promotions)
    app.router.add_static("/static", str(resources.files("central.web").joinpath("static")))
    return app

"""The pages: how the agent is, its latest receipts, and one receipt with its reasons.

Strict headers, no script, nothing from elsewhere. The pages only read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import apsw
import jinja2
import msgspec
from aiohttp import web

from edge_agent.database.reader import Reader
from edge_agent.files.service import SyncFiles
from edge_agent.page.entry import COOKIE, VISIT_MS, admits, is_visit, visit_cookie
from edge_agent.page.files import FilesPages
from edge_agent.page.words import COMPONENTS, HEALTHS, KINDS, STATES, by_part, verdict_of
from shared.bundle.trust import VerifiedBundle
from shared.clock import Clock
from shared.engine.evaluate import evaluate
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.status import Health
from shared.tongues import LANGUAGES, Tongue, Tongues
from shared.wire.facts import ReceiptCommitted, ReceiptReturned
from shared.wire.feed import StoreEntry
from shared.wire.lan import PeerEntry
from shared.words import INCIDENTS, tell_all

PAGE_SIZE: Final = 30
FORM_CHARS_MAX: Final = 200
_FILES: Final = ("files", "files/export", "files/import", "files/forward")
_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_LANGUAGE_COOKIE: Final = "language"
_LANGUAGE_S: Final = 365 * 86_400
_LAST: Final = 2**62
_QUERIES: Final = load_queries("edge_agent.page")
_TONGUES: Final = Tongues("edge_agent.page")
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_RETURN: Final = msgspec.msgpack.Decoder(ReceiptReturned)
_STORE: Final = msgspec.msgpack.Decoder(StoreEntry)
_PEER: Final = msgspec.msgpack.Decoder(PeerEntry)


class Bundles(Protocol):
    """Which programmes are at hand."""

    @property
    def active(self) -> VerifiedBundle | None:
        """The one that prices."""
        ...

    @property
    def previous(self) -> VerifiedBundle | None:
        """The one before."""
        ...


class Site:
    """The pages of one agent. ``token``: the tills' token, which opens them too."""

    def __init__(
        self,
        *,
        token: str,
        reader: Reader,
        bundles: Bundles,
        report: Callable[[], Awaitable[dict[str, Any]]],
        clock: Clock,
        files: SyncFiles,
    ) -> None:
        self._token = token
        self._reader = reader
        self._bundles = bundles
        self._report = report
        self._clock = clock
        self._files = FilesPages(files)
        self._style = resources.files("edge_agent.page").joinpath("static/page.css").read_bytes()
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
        if path == "page.css":
            return web.Response(body=self._style, content_type="text/css")
        if path == "enter":
            return await self._enter(request, tongue)
        cookie = request.cookies.get(COOKIE, "")
        if not is_visit(self._token, cookie, self._clock.now_ms()):
            return self._page("enter.html", tongue, path, code=401, refused=False)
        if path in _FILES:
            return await self._files.answer(
                request, path, partial(self._page, tongue=tongue, path=path), self._ago(tongue)
            )
        if request.method != "GET":
            raise NotFoundError("there is no such page")
        if path == "":
            return self._page("overview.html", tongue, path, **await self._overview(tongue))
        if path == "receipts":
            before = request.query.get("before", "")
            number = int(before) if before.isascii() and before.isdigit() else _LAST
            return self._page(
                "receipts.html", tongue, path, **await self._receipts(min(number, _LAST))
            )
        if path == "receipt":
            receipt_id = request.query.get("id", "")[:FORM_CHARS_MAX]
            found = await self._one(receipt_id, tongue)
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

    async def _overview(self, tongue: Tongue) -> dict[str, Any]:
        status = await self._report()
        now_ms = self._clock.now_ms()
        ago = self._ago(tongue)

        def read(reader: apsw.Connection) -> tuple[Any, list[PeerEntry]]:
            counts: Any = reader.execute(_QUERIES["counts"]).fetchone()
            peers: list[Any] = reader.execute(_QUERIES["peers"]).fetchall()
            return counts, [_PEER.decode(entry) for (entry,) in peers]

        (products, customers), peers = await self._reader.run(read)
        health, verdict = verdict_of(status["components"], online=status["link"]["online"])
        return {
            "status": status,
            "health": health.value,
            "verdict": verdict,
            "contact": ago(status["link"]["last_contact_at_ms"]),
            "oldest": ago(status["oldest_queued_at_ms"]),
            "running": tongue.span(max(now_ms - status["started_at_ms"], 0) // 1000),
            "products": products,
            "customers": customers,
            "components": [
                {
                    "name": COMPONENTS.get(each["component"], each["component"]),
                    "health": each["health"],
                    "word": HEALTHS[Health(each["health"])],
                    "message": each["message"],
                    "success": ago(each["last_success_at_ms"]),
                }
                for each in by_part(status["components"])
            ],
            "peers": [
                {
                    "edge_id": peer.edge_id,
                    "kind": KINDS.get(peer.kind, peer.kind),
                    "state": STATES.get(peer.state, peer.state),
                    "is_self": peer.edge_id == status["edge_id"],
                }
                for peer in peers
            ],
        }

    def _ago(self, tongue: Tongue) -> Callable[[int | None], str]:
        """Words for how long ago an instant was."""
        now_ms = self._clock.now_ms()
        return lambda at_ms: "—" if at_ms is None else tongue.ago(max(now_ms - at_ms, 0) // 1000)

    async def _receipts(self, before: int) -> dict[str, Any]:
        def read(reader: apsw.Connection) -> tuple[list[Any], StoreEntry | None]:
            asked = {"before": before, "count": PAGE_SIZE + 1}
            return reader.execute(_QUERIES["receipts"], asked).fetchall(), _store(reader)

        rows, store = await self._reader.run(read)
        shown = [_row(*row) for row in rows[:PAGE_SIZE]]
        older = shown[-1]["rowid"] if len(rows) > PAGE_SIZE else None
        return {"rows": shown, "older": older, "newest": before == _LAST, **_place(store)}

    async def _one(self, receipt_id: str, tongue: Tongue) -> dict[str, Any]:
        def read(reader: apsw.Connection) -> tuple[Any, list[ReceiptReturned], StoreEntry | None]:
            asked = {"receipt_id": receipt_id}
            row: Any = reader.execute(_QUERIES["receipt"], asked).fetchone()
            back: list[Any] = reader.execute(_QUERIES["returns_of"], asked).fetchall()
            return row, [_RETURN.decode(fact) for (fact,) in back], _store(reader)

        row, returns, store = await self._reader.run(read)
        if row is None:
            raise NotFoundError("this receipt is not known here")
        found = _row(*row)
        sale: ReceiptCommitted | None = found["sale"]
        bundle = None if sale is None else self._bundle_of(sale.bundle_version)
        names: dict[str, str] = {}
        story = None
        if sale is not None and bundle is not None:
            names = {
                promotion.id: promotion.name or promotion.id
                for group in bundle.program.groups
                for promotion in group.promotions
            }
            told = evaluate(bundle.ready, sale.receipt, trace=True)
            story = tell_all(told.trace, names, tongue)
        goods = {} if sale is None else {line.line: line for line in sale.receipt.lines}
        incidents = [] if sale is None else sale.incidents
        return {
            **found,
            "names": names,
            "goods": goods,
            "story": story,
            "returns": returns,
            "incidents": [
                {"title": INCIDENTS.get(each.code, each.code), "detail": each.detail}
                for each in incidents
            ],
            **_place(store),
        }

    def _bundle_of(self, version: int) -> VerifiedBundle | None:
        for bundle in (self._bundles.active, self._bundles.previous):
            if bundle is not None and bundle.header.version == version:
                return bundle
        return None


def _store(reader: apsw.Connection) -> StoreEntry | None:
    row: Any = reader.execute(_QUERIES["store"]).fetchone()
    return None if row is None else _STORE.decode(row[0])


def _place(store: StoreEntry | None) -> dict[str, Any]:
    """How the shop writes times and sums; until head office has told, as the world does."""
    return {
        "timezone": "UTC" if store is None else store.timezone,
        "currency": "RUB" if store is None else store.currency,
    }


def _row(
    rowid: int, receipt_id: str, state: str, fact: bytes | None, recorded_at_ms: int
) -> dict[str, Any]:
    return {
        "rowid": rowid,
        "receipt_id": receipt_id,
        "cancelled": state == "cancelled",
        "at": datetime.fromtimestamp(recorded_at_ms / 1000, UTC),
        "sale": None if fact is None else _SALE.decode(fact),
    }

"""The site over real PostgreSQL: who gets in, and what every answer carries."""

from __future__ import annotations

import re

import pytest
from aiohttp.test_utils import TestClient, TestServer

from central.database.pool import Pool
from central.staff.policy import FAILURES_MAX
from tests.support.website import LOGIN, PASSWORD, UID, small_site

PAGES = (
    *("/stores", "/stores/live", "/receipts", f"/receipts/{UID.hex()}", "/promotions", "/files"),
    "/returns",
)
SAME = {"Sec-Fetch-Site": "same-origin"}


async def _sign_in(client: TestClient, password: str = PASSWORD) -> int:
    form = {"login": LOGIN, "password": password}
    answer = await client.post("/login", data=form, headers=SAME, allow_redirects=False)
    return answer.status


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_a_session_and_every_answer_is_hardened(pool: Pool, path: str) -> None:
    """A stranger is led to the sign-in; both answers carry the strict policy."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        stranger = await client.get(path, allow_redirects=False)
        assert (stranger.status, stranger.headers["Location"]) == (303, "/login")
        assert await _sign_in(client) == 303
        member = await client.get(path)
        assert member.status == 200
        for answer in (stranger, member):
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"


async def test_a_form_from_elsewhere_or_without_its_token_is_refused(pool: Pool) -> None:
    """Cross-site posts, posts that hide their origin and posts without the token change nothing."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        form = {"login": LOGIN, "password": PASSWORD}
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
            assert (await client.post("/login", data=form, headers=headers)).status == 403
        assert await _sign_in(client) == 303
        assert (await client.post("/logout", headers=SAME)).status == 403
        assert (await client.post("/language", headers=SAME)).status == 403
        page = await (await client.get("/stores")).text()
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        out = await client.post(
            "/logout", data={"csrf": token[1]}, headers=SAME, allow_redirects=False
        )
        assert out.status == 303
        assert (await client.get("/stores", allow_redirects=False)).status == 303


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"\xff\xfe"),
        ("application/x-www-form-urlencoded; charset=nope", b"login=a"),
        ("multipart/form-data", b"a"),
        ("multipart/form-data; boundary=x", b"--x\r\nnothing"),
    ],
)
async def test_a_body_that_is_no_form_is_a_bad_request(pool: Pool, kind: str, body: bytes) -> None:
    """Whatever is sent, the answer is a page that says so, not a failure of the server."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        answer = await client.post("/login", data=body, headers={"Content-Type": kind} | SAME)
        assert answer.status == 400
        assert "could not be handled" in await answer.text()


async def test_an_ended_session_is_told_and_a_live_page_is_led_out(pool: Pool) -> None:
    """A cookie that is worth nothing any more leads to a sign-in that says why."""
    cookies = {"kopilka": "gone"}
    async with TestClient(TestServer(await small_site(pool)), cookies=cookies) as client:
        page = await client.get("/receipts", headers={"Accept-Language": "ru"})
        assert page.url.path == "/login"
        assert "Сеанс закончился" in await page.text()
        live = await client.get("/stores/live", headers={"HX-Request": "true"})
        assert live.headers["HX-Redirect"] == "/login?ended=1"


async def test_the_language_switch_keeps_the_filter(pool: Pool) -> None:
    """Changing the language leads back to the same page with its query."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        await _sign_in(client)
        page = await (await client.get("/receipts?store=S1&page=2")).text()
        assert 'name="back" value="/receipts?store=S1&amp;page=2"' in page


async def test_failed_sign_ins_look_the_same_and_are_throttled(pool: Pool) -> None:
    """An unknown login reads like a wrong password; in the end all wait."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        wrong = await client.post("/login", data={"login": LOGIN, "password": "x"}, headers=SAME)
        nul = await client.post("/login", data={"login": "\0", "password": "\0"}, headers=SAME)
        assert nul.status == 401
        unknown = await client.post("/login", data={"login": "bob", "password": "x"}, headers=SAME)
        told = (await unknown.text()).replace('value="bob"', f'value="{LOGIN}"')
        assert (wrong.status, await wrong.text()) == (unknown.status, told)
        for _ in range(FAILURES_MAX - 3):
            assert await _sign_in(client, "wrong") == 401
        assert await _sign_in(client) == 429


async def test_a_secure_site_binds_its_cookie_to_the_host(pool: Pool) -> None:
    """Over TLS the session cookie is __Host-, Secure, HttpOnly and SameSite."""
    async with TestClient(TestServer(await small_site(pool, secure=True))) as client:
        form = {"login": LOGIN, "password": PASSWORD}
        answer = await client.post("/login", data=form, headers=SAME, allow_redirects=False)
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-kopilka=")
        for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert word in cookie


async def test_filters_find_and_strange_ones_do_not_break(pool: Pool) -> None:
    """A matching filter shows the receipt; nonsense shows a page, not an error."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        await _sign_in(client)
        found = await client.get("/receipts?store=S1&date=2026-11-24&text=C1&discounted=1")
        assert "R-100" in await found.text()
        assert "R-100" not in await (await client.get("/receipts?store=S2")).text()
        assert (await client.get("/receipts?page=-1&date=x&text=%00%27")).status == 200
        assert (await client.get(f"/receipts/{'f' * 32}")).status == 404


@pytest.mark.parametrize(
    ("language", "words"), [("en", "More came back than was sold"), ("ru", "Вернули больше")]
)
async def test_a_return_that_did_not_fit_is_shown_with_its_sale(
    pool: Pool, language: str, words: str
) -> None:
    """Goods of one sale came back in another shop; one of two returns was too much."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        client.session.headers["Accept-Language"] = language
        await _sign_in(client)
        async with pool.connection() as connection:
            await connection.execute(
                b"insert into store (store_id, name, timezone, currency)"
                b" values ('S9', 'Far away', 'Europe/Moscow', 'RUB')"
            )
            for number, name in enumerate(("good-one", "bad-one")):
                await connection.execute(
                    b"insert into receipt_return (record_uid, content_sha256, return_id, edge_id,"
                    b" store_id, register, business_date, returned_at, sale_uid, sale_receipt_id,"
                    b" money_minor, points_back_centi, points_taken_centi, body)"
                    b" values (%s, '', %s, 7, 'S9', 'R2', '2026-11-25', now(), %s, 'R-100',"
                    b" 12345, 0, 0, '')",
                    (bytes([number]) * 16, name, UID),
                )
            await connection.execute(
                b"insert into receipt_incident values (%s, 1, 'returned_too_much', '3 of <1>')",
                (bytes([1]) * 16,),
            )
        every = await (await client.get("/returns")).text()
        assert "good-one" in every
        assert f"/receipts/{UID.hex()}" in every
        wrong = await (await client.get("/returns?incidents=1&page=x")).text()
        assert "good-one" not in wrong
        assert "bad-one" in wrong
        assert words in wrong
        assert "3 of &lt;1&gt;" in wrong


@pytest.mark.parametrize(
    ("language", "words"), [("en", "does not agree"), ("ru", "расходится со своими проводками")]
)
async def test_a_ledger_that_drifts_is_told_on_the_first_page(
    pool: Pool, language: str, words: str
) -> None:
    """One unit of difference, and whoever looks sees it."""
    async with TestClient(TestServer(await small_site(pool))) as client:
        client.session.headers["Accept-Language"] = language
        assert await _sign_in(client) == 303
        assert words not in await (await client.get("/stores")).text()
        async with pool.connection() as connection:
            await connection.execute(
                b"insert into ledger_account (account_id, kind, owner, asset, balance)"
                b" values ('issued:x:points:main', 'issued', 'x', 'points:main', 1)"
            )
        assert words in await (await client.get("/stores/live")).text()

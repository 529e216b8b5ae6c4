"""Files that shops without a line had carried: taken in on the site by who may, and answered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer

from central.database.pool import Pool
from central.staff.service import StaffService
from central.web.app import WebSettings, make_web_app
from shared.system import SystemChance, SystemClock
from tests.support.both_ends import Town, a_town
from tests.support.courier import Courier
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt
from tests.support.website import PASSWORD, replay

SAME = {"Sec-Fetch-Site": "same-origin"}
Site = TestClient


@pytest.fixture
async def town(pool: Pool, tmp_path: Path) -> AsyncIterator[Town]:
    async with a_town(pool, tmp_path, TEA_AND_POINTS, ("S1",)) as town:
        town.central.cut.add("S1")
        await town.ask("S1", "/v1/receipts/r1/commit", {"receipt": till_receipt("r1")})
        yield town


@pytest.fixture
async def site(town: Town, pool: Pool) -> AsyncIterator[Site]:
    """The site with three people of different roles."""
    clock, chance = SystemClock(), SystemChance()
    staff = StaffService(pool=pool, clock=clock, chance=chance)
    for role in ("admin", "support", "analyst"):
        await staff.add_member(role, PASSWORD, role)
    staff.close()
    app = make_web_app(
        pool=pool,
        replay=replay,
        clock=clock,
        chance=chance,
        settings=WebSettings(),
        files=Courier(town, pool).files,
    )
    async with TestClient(TestServer(app)) as client:
        yield client


async def sign_in(site: Site, login: str) -> str:
    """The token of the session's forms."""
    form = {"login": login, "password": PASSWORD}
    async with site.post("/login", data=form, headers=SAME, allow_redirects=False) as answer:
        assert answer.status == 303
    page = await (await site.get("/files")).text()
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def upload(site: Site, csrf: str | None, data: bytes, **headers: str) -> tuple[int, bytes]:
    form = FormData()
    if csrf is not None:
        form.add_field("csrf", csrf)
    form.add_field("file", data, filename='a"b/..; ж.question.sync')
    async with site.post("/files/answer", data=form, headers=SAME | headers) as answer:
        if answer.status == 200:
            assert answer.content_disposition is not None
            name = answer.content_disposition.filename or ""
            assert re.fullmatch(r"[A-Za-z0-9._-]+\.answer\.sync", name)
        return answer.status, await answer.read()


@pytest.mark.parametrize("role", ["admin", "support"])
async def test_a_file_is_taken_in_and_answered(
    site: Site, town: Town, pool: Pool, role: str
) -> None:
    courier = Courier(town, pool)
    csrf = await sign_in(site, role)
    status, answer = await upload(site, csrf, await courier.export("S1"))
    assert status == 200
    assert await courier.receipts() == ["r1"]
    assert (await courier.take("S1", answer))[0] == 200
    assert (await town.status("S1"))["queue_depth"] == 0
    shown = await (await site.get("/files", headers={"Accept-Language": "ru"})).text()
    assert "агент 1001" in shown


async def test_a_bad_file_is_refused_with_its_reason(site: Site, town: Town, pool: Pool) -> None:
    courier = Courier(town, pool)
    csrf = await sign_in(site, "admin")
    question = await courier.export("S1")
    for data, code in ((question[:-3], "file_cut"), (b"x" * 99, "no_sync_file")):
        status, page = await upload(site, csrf, data)
        assert status == 409
        assert code in page.decode()
        assert "Nothing was taken in" in page.decode()
    assert await courier.receipts() == []


async def test_who_may_not_and_forms_from_elsewhere_do_nothing(
    site: Site, town: Town, pool: Pool
) -> None:
    courier = Courier(town, pool)
    question = await courier.export("S1")
    csrf = await sign_in(site, "admin")
    for token, headers in ((None, {}), ("guess", {}), (csrf, {"Sec-Fetch-Site": "cross-site"})):
        assert (await upload(site, token, question, **headers))[0] == 403
    site.session.cookie_jar.clear()
    csrf = await sign_in(site, "analyst")
    page = await (await site.get("/files")).text()
    assert 'action="/files/answer"' not in page
    assert (await upload(site, csrf, question))[0] == 403
    assert await courier.receipts() == []

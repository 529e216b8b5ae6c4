"""The agent's own page: who comes in, what it shows, in both languages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.__main__ import main
from edge_agent.page.entry import entry_code
from shared.system import SystemClock
from tests.integration.edge_agent.test_till_api import Till, a_till, ask
from tests.support.shop import TIME, TOKEN, a_bundle, make_shop, till_receipt

NO_TOKEN = {"Authorization": ""}


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1)


@pytest.fixture
def shop(tmp_path: Path, bundle: bytes) -> Path:
    make_shop(tmp_path / "shop", bundle=bundle)
    return tmp_path / "shop"


@pytest.fixture
async def till(shop: Path) -> AsyncIterator[Till]:
    async with a_till(shop) as client:
        yield client


async def read(till: Till, path: str, status: int = 200, language: str = "en") -> str:
    headers = {**NO_TOKEN, "Accept-Language": language}
    async with till.get(path, headers=headers) as response:
        text = await response.text()
        assert response.status == status, text
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "<script" not in text
        return text


async def come_in(till: Till) -> None:
    code = entry_code(TOKEN, SystemClock().now_ms())
    await read(till, f"/page/enter?code={code}")


async def test_nobody_sees_anything_without_link_or_token(till: Till) -> None:
    """Neither the till's header nor a guess opens a page; a guess is told that it was one."""
    await ask(till, "/v1/receipts/r1/commit", {"receipt": till_receipt("r1")})
    for path in ("/page", "/page/receipts", "/page/receipt?id=r1", "/page/nonsense"):
        assert "r1</h1>" not in await read(till, path, status=401)
    for code in ("guess", TOKEN[:-1], "ж"):
        assert "too old" in await read(till, f"/page/enter?code={code}", status=401)
    async with till.post("/page/enter", data={"code": "guess"}, headers=NO_TOKEN) as response:
        assert response.status == 401
    async with till.get("/v1/status", headers=NO_TOKEN) as response:
        assert response.status == 401


async def test_token_typed_in_opens_the_page(till: Till) -> None:
    async with till.post("/page/enter", data={"code": TOKEN}, headers=NO_TOKEN) as response:
        assert (response.status, response.url.path) == (200, "/page")


async def test_command_prints_a_link_that_opens(
    till: Till, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["page", "--folder", str(shop)]) == 0
    link = capsys.readouterr().out.strip()
    assert TOKEN not in link
    await read(till, link[link.index("/page") :])
    assert "Selling goes on without head office" in await read(till, "/page")


async def test_receipt_is_shown_with_its_reasons_and_returns(till: Till) -> None:
    receipt = till_receipt("r/1 <b>", customer={"card": "100"})
    sale = {"receipt": receipt, "to_pay": "1.00"}
    await ask(till, "/v1/receipts/r%2F1%20%3Cb%3E/commit", sale)
    back = {"sale": "r/1 <b>", "return": {"1": "1"}, "time": TIME}
    await ask(till, "/v1/returns/b1/commit", back)
    async with till.post("/v1/receipts/r2/cancel") as response:
        assert response.status == 200
    await come_in(till)
    listed = await read(till, "/page/receipts")
    assert "r/1 &lt;b&gt;" in listed
    assert "cancelled" in listed
    shown = await read(till, "/page/receipt?id=r/1%20%3Cb%3E")
    for words in (
        "RUB",
        "Tea cheaper",
        "Three percent back",
        "Pay with points",
        "The till took another sum than was calculated",
        "Returned 2026-11-23",
    ):
        assert words in shown.replace("\u20bd", "RUB").replace("₽", "RUB"), words
    russian = await read(till, "/page/receipt?id=r/1%20%3Cb%3E", language="ru")
    assert "Почему такие цены" in russian
    assert "Покупатель не просил оплатить баллами" in russian
    await read(till, "/page/receipt?id=unknown", status=404)


async def test_older_receipts_are_a_page_away(till: Till) -> None:
    for number in range(35):
        receipt_id = f"r{number:02}"
        async with till.post(f"/v1/receipts/{receipt_id}/cancel") as response:
            assert response.status == 200
    await come_in(till)
    first = await read(till, "/page/receipts")
    assert first.count("<tr><td><a") == 30
    link = first[first.index("/page/receipts?before=") :].split('"')[0]
    second = await read(till, link)
    assert second.count("<tr><td><a") == 5
    assert all(f">r{number:02}<" in first + second for number in range(35))


async def test_language_is_kept(till: Till) -> None:
    await come_in(till)
    assert "Состояние" in await read(till, "/page?lang=ru")
    assert "Состояние" in await read(till, "/page")
    assert "State" in await read(till, "/page?lang=en", language="ru")
    async with till.get("/", headers=NO_TOKEN) as response:
        assert response.url.path == "/page"


async def test_devices_and_programme_are_shown(till: Till) -> None:
    await come_in(till)
    programme = await read(till, "/page/programme")
    for words in ("Programme 1", "Tea cheaper", "always"):
        assert words in programme
    devices = await read(till, "/page/devices")
    assert "Head office has not named any yet." in devices
    assert "all tills show the key that they share" in devices
    assert "Акций" in await read(till, "/page/programme", language="ru")


async def test_queue_is_shown_by_lane(till: Till) -> None:
    receipt = till_receipt("r1", customer={"card": "100"}, spend={"account": "main", "points": "1"})
    await ask(till, "/v1/receipts/r1/commit", {"receipt": receipt})
    await come_in(till)
    rows = (await read(till, "/page")).partition("What waits for head office")[2].split("<tr>")
    waiting = {row.split("</td>")[0][4:]: row.split('right">')[1][0] for row in rows[2:6]}
    assert waiting == {"Money": "1", "Receipts": "1", "Log of the shop": "0", "Figures": "0"}


async def test_the_archive_for_who_helps_is_made_there(till: Till) -> None:
    async with till.post("/page/support", headers=NO_TOKEN) as response:
        assert response.status == 401
    await come_in(till)
    async with till.post("/page/support", headers=NO_TOKEN) as response:
        assert response.status == 200
        assert response.content_disposition is not None
        assert (response.content_disposition.filename or "").endswith(".support.zip")
        assert (await response.read())[:2] == b"PK"


async def test_forms_of_other_sites_do_nothing(till: Till) -> None:
    await come_in(till)
    for path in ("/page/files/export", "/page/files/import", "/page/support"):
        for foreign in (
            {"Origin": "https://example.com"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "null"},
        ):
            async with till.post(path, headers=NO_TOKEN | foreign) as response:
                assert response.status == 403
    async with till.post("/page/files/export", headers=NO_TOKEN) as response:
        # This shop was made by hand: nobody has told it a key.
        assert response.status == 409
        assert "has not told this agent its key" in await response.text()

"""Somebody in the shop looks at the agent's own page, makes a file and brings an answer."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright

from central.customers.store import put_customers
from central.database.pool import Pool
from edge_agent.config import TILL_TOKEN_FILE
from shared.crypto.tags import card_tag
from shared.wire.feed import CustomerEntry
from tests.browser.test_receipt_page import ARGUMENTS
from tests.support.both_ends import a_town
from tests.support.courier import Courier
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt

PAGES: Final = ("", "/receipts", "/receipt?id=r1", "/programme", "/devices", "/files")
WIDTHS: Final = (1280, 390)


async def shoot(page: Page, base: str, name: str) -> None:
    """Pictures of every page, where somebody wants to look at them."""
    shots = os.environ.get("KOPILKA_SCREENSHOTS")
    if not shots:
        return
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        for path in PAGES:
            await page.goto(f"{base}/page{path}")
            word = path.strip("/").partition("?")[0] or "state"
            await page.screenshot(path=Path(shots) / f"{name}-{width}-{word}.png", full_page=True)


async def overflow(page: Page) -> int:
    """How many pixels the page is wider than the window."""
    return int(
        await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


@pytest.mark.browser
async def test_the_page_shows_the_shop_and_carries_files(pool: Pool, tmp_path: Path) -> None:
    """State, receipts with reasons, devices, programme, a round by file; narrow and wide, twice."""
    complaints: list[str] = []
    async with (
        a_town(pool, tmp_path, TEA_AND_POINTS, ("S1",)) as town,
        async_playwright() as driver,
    ):
        courier = Courier(town, pool)
        server = town.tills["S1"].server
        assert isinstance(server, TestServer)
        base = str(server.make_url("")).rstrip("/")
        async with pool.connection() as connection:
            entry = CustomerEntry(customer_id="c1", card_tags=[card_tag("100")])
            await put_customers(connection, [(entry, None)])
        town.central.cut.add("S1")
        for number in range(3):
            receipt = till_receipt(f"r{number}", customer={"card": "100"})
            body = {"receipt": receipt, "to_pay": "1.00" if number == 1 else None}
            await town.ask("S1", f"/v1/receipts/r{number}/commit", body)
        browser = await driver.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = await browser.new_page(locale="en-GB", accept_downloads=True)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{base}/page")
        complaints.clear()  # 401: the door
        await page.fill("input[name=code]", (town.folders["S1"] / TILL_TOKEN_FILE).read_text())
        await page.click("main button")
        await page.wait_for_url("**/page")
        assert "It works without head office" in await page.inner_text("h1")
        queue = page.locator("section", has_text="What waits for head office")
        assert "Receipts\t3" in await queue.inner_text()
        async with page.expect_download() as asked:
            await page.click("text=Make the archive")
        assert (await asked.value).suggested_filename.endswith(".support.zip")
        await page.click("text=Programme >> visible=true")
        assert "Tea cheaper" in await page.inner_text("main")
        await page.click("nav >> text=Devices")
        assert "agent 1001 this one" in " ".join((await page.inner_text("main")).split())
        await page.click("nav >> text=By file")
        async with page.expect_download() as asked:
            await page.click("text=Make the file")
        download = await asked.value
        assert re.fullmatch(
            r"kopilka-S1-1001-\d{8}-\d{6}-\d{3}\.question\.sync", download.suggested_filename
        )
        saved = tmp_path / "question.sync"
        await download.save_as(saved)
        question = saved.read_bytes()
        answer = await courier.ask(question)
        wrong, good = tmp_path / "wrong.sync", tmp_path / "good.sync"
        wrong.write_bytes(answer[:-5])
        good.write_bytes(answer)
        await page.set_input_files("input[type=file]", wrong)
        await page.click("text=Take it in")
        assert "Nothing was taken in" in await page.inner_text(".note.bad")
        assert "the end of the file is missing" in await page.inner_text(".note.bad")
        await page.goto(f"{base}/page/files")
        complaints.clear()  # 409: the refusal
        await page.set_input_files("input[type=file]", good)
        await page.click("text=Take it in")
        assert "The answer was taken in" in await page.inner_text(".note.good")
        assert await courier.receipts() == ["r0", "r1", "r2"]
        await shoot(page, base, "en")
        await page.goto(f"{base}/page/files?lang=ru")
        assert "Записи файлом" in await page.inner_text("h1")
        await shoot(page, base, "ru")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            for path in PAGES:
                await page.goto(f"{base}/page{path}")
                assert await overflow(page) <= 0, (width, path)
        await browser.close()
    assert complaints == []

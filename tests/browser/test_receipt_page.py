"""A person signs in, opens a discounted receipt and reads why, in two languages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import async_playwright

from central.database.pool import Pool
from tests.support.website import LOGIN, PASSWORD, UID, small_site

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.mark.browser
async def test_a_discount_is_explained_and_the_browser_has_no_complaint(pool: Pool) -> None:
    """Trace, language switch, live stores; no console error, no breach of the policy."""
    complaints: list[str] = []
    shots = os.environ.get("KOPILKA_SCREENSHOTS")
    async with TestServer(await small_site(pool)) as server, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = await browser.new_page(locale="en-GB")
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(str(server.make_url("/login")))
        await page.fill("#login", LOGIN)
        await page.fill("#password", PASSWORD)
        await page.click("main button")
        await page.wait_for_url("**/stores", timeout=5000)
        async with page.expect_response("**/stores/live") as live:
            pass
        assert (await live.value).status == 200
        await page.goto(str(server.make_url(f"/receipts/{UID.hex()}")))
        trace = page.locator(".k-trace")
        assert "Coffee −10 %" in await trace.inner_text()
        assert "The receipt has none of the goods it is for." in await trace.inner_text()
        await page.click(".k-lang button[value=ru]")
        await page.wait_for_selector("html[lang=ru]")
        assert "В чеке нет товаров этой акции." in await trace.inner_text()
        if shots:
            for width in (1280, 390):
                await page.set_viewport_size({"width": width, "height": 900})
                for name in ("stores", "receipts", f"receipts/{UID.hex()}", "promotions"):
                    await page.goto(str(server.make_url(f"/{name}")))
                    await page.screenshot(
                        path=Path(shots) / f"{width}-{name[:9].replace('/', '_')}.png"
                    )
        await browser.close()
    assert complaints == []

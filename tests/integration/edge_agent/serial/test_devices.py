"""Scanner and customer display beside a till, on real ptys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.serial.display import SET_UP, Picture, render
from edge_agent.serial_settings import (
    CodeSettings,
    DisplaySettings,
    ScannerSettings,
    SerialSettings,
    TillSettings,
)
from tests.integration.edge_agent.test_till_api import Till, a_till
from tests.support.pty_till import PtyPort, PtyTill
from tests.support.serial_shop import SETTLED_S, greeted, port_is, ptys_of
from tests.support.shop import TIME, a_bundle, make_shop


@dataclass
class Counter:
    http: Till
    till: PtyTill
    scanner: PtyPort
    display: PtyPort


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    """A till with a scanner and a display."""
    with ptys_of(tmp_path, "R1", "S1", "D1") as [port, scanner, display]:
        serial = SerialSettings(
            language="en",
            till=(TillSettings(name="R1", path=str(port.link)),),
            scanner=(ScannerSettings(name="S1", till="R1", path=str(scanner.link)),),
            display=(DisplaySettings(name="D1", till="R1", path=str(display.link)),),
            codes=CodeSettings(card_prefixes=("100",)),
        )
        make_shop(tmp_path / "shop", bundle=a_bundle(1), serial=serial)
        async with a_till(tmp_path / "shop") as http:
            till = PtyTill(port)
            await greeted(http, till)
            await port_is(http, "S1", "ok")
            await port_is(http, "D1", "ok")
            yield Counter(http, till, scanner, display)


async def scanned(counter: Counter) -> list[str]:
    """The next thing the scanner read."""
    async with asyncio.timeout(SETTLED_S):
        while True:
            found = await counter.till.done("SCAN")
            if found != ["none"]:
                return found


async def shown(display: PtyPort, picture: Picture) -> bytes:
    """All that the display heard until it shows the picture."""
    heard = b""
    display.timeout_s = 0.05
    async with asyncio.timeout(SETTLED_S):
        while not heard.endswith(render(picture)):
            heard += await asyncio.to_thread(display.read, 1024)
    return heard


async def test_till_fetches_what_the_scanner_read(counter: Counter) -> None:
    """In order; a bank card and a misread code are dropped, and so are codes beyond memory."""
    scanner = counter.scanner
    for code in (b"]E04600001000014\r\n", b";4276380012345674=26121010000?\r", b"100200\r"):
        await asyncio.to_thread(scanner.write, code)
    assert (await scanned(counter))[:2] == ["goods", "4600001000014"]
    assert (await scanned(counter))[:2] == ["card", "100200"]
    await asyncio.to_thread(scanner.write, b"x" * 100_000)
    await asyncio.to_thread(scanner.write, b"\r" + b"".join(b"C%d\r" % n for n in range(40)))
    last = ""
    kept = 0
    while last != "C39":
        last = (await scanned(counter))[1]
        kept += 1
    assert kept <= 40
    assert await counter.till.done("SCAN") == ["none"]


async def test_display_follows_the_sale(counter: Counter) -> None:
    """Set up at opening; then goods, sum, thanks; a till's own words between."""
    till, display = counter.till, counter.display
    heard = await shown(display, Picture())
    assert heard.startswith(SET_UP)
    await till.done("OPEN", "r1", TIME)
    await till.done("ITEM", "1", "tea", "2", "100.00")
    await shown(display, Picture(upper="Tea", lower="2x100.00     =200.00"))
    await till.done("SUBT", "r1")
    await shown(display, Picture(upper="To pay        180.00", lower="Discount       20.00"))
    await till.done("SHOW", "Карта или наличные?", "")
    await shown(display, Picture(upper="Карта или наличные?"))
    await till.done("COMMIT", "r1", "180.00")
    await shown(display, Picture(upper="Thank you!"))


async def test_display_is_set_up_again_after_a_pulled_cable(counter: Counter) -> None:
    """A display forgets everything without power."""
    await shown(counter.display, Picture())
    counter.display.unplug()
    await port_is(counter.http, "D1", "warn")
    counter.display.plug()
    await port_is(counter.http, "D1", "ok")
    assert (await shown(counter.display, Picture())).startswith(SET_UP)
    await counter.till.done("SHOW", "again")
    await shown(counter.display, Picture(upper="again"))

"""The story of the demo: open, sell, cut, kill, sell on, mend, drain, prove."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
from rich.console import Console

from installer.demo import proof, wallets
from installer.demo.dataset import STORES, Sale, Week, load_week
from installer.demo.display import Display, ShopView, View
from installer.demo.processes import Children, DemoError, rss_bytes
from installer.demo.replay import REQUEST_TIMEOUT_S, Replay, Tally
from installer.demo.texts import tr
from installer.demo.town import LOGIN, POLL_S, STORE_NAMES, WAIT_S, Central, Town, database_url

CUT_STORES: Final = ("S1", "S2")
KILLED_STORE: Final = "S2"
QUIET_RECEIPTS: Final = 150
"""Receipts of one till alone at the start of each phase: enough for a 99th percentile."""
TILLS_PER_STORE: Final = 3


class Scenario:
    """One run of the demo; every process belongs to ``children``."""

    def __init__(
        self,
        *,
        console: Console,
        children: Children,
        folder: Path,
        receipts_max: int | None,
        seed: int,
        stay: bool,
    ) -> None:
        self._console = console
        self._children = children
        self._receipts_max = receipts_max
        self._seed = seed
        self._stay = stay
        self._town = Town(children=children, folder=folder, stores=STORES, say=print)

    async def run(self) -> int:
        """Tell the whole story; 0 when every difference is zero.

        Raises:
            DemoError: a program did not do what it was asked.
        """
        week = wallets.with_wallets(
            await asyncio.to_thread(load_week, seed=self._seed, receipts_max=self._receipts_max)
        )
        tally = Tally()
        view = View(
            total=len(week.sales),
            tally=tally,
            shops=[ShopView(store=store, name=STORE_NAMES[store]) for store in STORES],
            phase=tr("opening"),
        )
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http:
                with Display(console=self._console, view=view) as display:
                    self._town.say = display.say
                    display.say(
                        f"{len(week.sales):,} {tr('receipts')}, {len(week.members):,} "
                        f"{tr('members')}, {len(week.products):,} {tr('products')}, "
                        f"{len(week.coupons)} {tr('coupons')}"
                    )
                    central = await self._town.open_central(week)
                    await self._town.open_shops(central)
                    replay = Replay(http=http, tills=self._town.tills, tally=tally)
                    await self._town.wait_for_bundle(replay)
                    display.say(tr("The shops have verified the bundle and are open."))
                    async with self._watching(replay, view, display):
                        await self._sell(week.sales, replay, view, display)
                        await self._drained(view)
                        display.say(tr("Every queue is empty."))
                        paid = await self._pay_twice(week, replay, view, display)
                return await self._prove(central, week, tally, paid)
        finally:
            await self._town.close()

    async def _sell(self, sales: list[Sale], replay: Replay, view: View, display: Display) -> None:
        thirds = [
            sales[: len(sales) // 3],
            sales[len(sales) // 3 : 2 * len(sales) // 3],
            sales[2 * len(sales) // 3 :],
        ]
        for phase, part in zip(("online", "offline", "drain"), thirds, strict=True):
            if phase == "offline":
                for store in CUT_STORES:
                    await self._town.proxies[store].cut()
                display.say(tr("Two of three cables are cut. The shops go on selling."))
            if phase == "drain":
                for store in CUT_STORES:
                    await self._town.proxies[store].start()
                display.say(tr("The cables are whole again. The queues drain while shops sell."))
            view.phase = tr(phase)
            await self._sell_phase(phase, part, replay, view, display)

    async def _sell_phase(
        self, phase: str, part: list[Sale], replay: Replay, view: View, display: Display
    ) -> None:
        quiet = [sale for sale in part if sale.store == CUT_STORES[0]][
            : min(QUIET_RECEIPTS, len(part) // 6)
        ]
        alone = {sale.receipt_id for sale in quiet}
        rest = [sale for sale in part if sale.receipt_id not in alone]
        await replay.quiet(quiet, phase=phase, is_online=self._town.is_online)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                replay.storm(rest, tills_per_store=TILLS_PER_STORE, is_online=self._town.is_online)
            )
            if phase == "offline":
                group.create_task(self._kill_amid(view, rest, display))

    async def _kill_amid(self, view: View, rest: list[Sale], display: Display) -> None:
        """SIGKILL an agent while its tills commit, then start it again."""
        until = len(view.tally.sold) + len(rest) // 3
        while len(view.tally.sold) < until:  # noqa: ASYNC110 - a count has no event
            await asyncio.sleep(0.005)
        self._children.kill(f"edge-{KILLED_STORE}")
        display.say(tr("The agent of S2 was killed (SIGKILL) in the middle of commits."))
        await asyncio.sleep(1.0)
        await self._town.start_shop(KILLED_STORE)
        display.say(tr("It is back; its tills repeat what was not answered."))

    async def _pay_twice(
        self, week: Week, replay: Replay, view: View, display: Display
    ) -> list[wallets.Round]:
        """One wallet at two tills at once, with cables whole and cut."""
        view.phase = tr("wallets")
        display.say(tr("Members with 150 points now pay in two stores at the same moment."))
        paid = []
        for number in wallets.rounds():
            for store in wallets.cut_stores(number):
                await self._town.proxies[store].cut()
            paid.append(
                await wallets.pay_twice(number, week, replay, is_online=self._town.is_online)
            )
            for store in wallets.cut_stores(number):
                await self._town.proxies[store].start()
        await self._drained(view)
        return paid

    @contextlib.asynccontextmanager
    async def _watching(self, replay: Replay, view: View, display: Display) -> AsyncIterator[None]:
        async def watch() -> None:
            while True:
                await self._look(replay, view)
                display.tick()
                await asyncio.sleep(POLL_S)

        task = asyncio.create_task(watch(), name="watch")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _look(self, replay: Replay, view: View) -> None:
        for shop in view.shops:
            status = await replay.status(shop.store)
            shop.linked = self._town.proxies[shop.store].connected
            shop.answering = bool(status)
            shop.queue_depth = int(status.get("queue_depth", shop.queue_depth))
            shop.queue_seen_max = max(shop.queue_seen_max, shop.queue_depth)
            shop.sold = sum(sold.store == shop.store for sold in view.tally.sold)

    async def _drained(self, view: View) -> None:
        """Return when nothing waits for the uplink; a busy machine may take its time.

        Raises:
            DemoError: nothing has left any queue for a minute.
        """
        await asyncio.sleep(2 * POLL_S)
        depths: list[int] = []
        moved_at = time.monotonic()
        while any(shop.queue_depth for shop in view.shops):
            if depths != (depths := [shop.queue_depth for shop in view.shops]):
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > WAIT_S:
                raise DemoError("The queues do not drain.")
            await asyncio.sleep(POLL_S)

    async def _prove(
        self, central: Central, week: Week, tally: Tally, paid: list[wallets.Round]
    ) -> int:
        code, _ = await self._children.run(
            "verify", "kopilka-central", "verify", "--folder", str(central.folder), "--json",
            fail=False,
        )  # fmt: skip
        edges = 0
        for store in STORES:
            failed, _ = await self._children.run(
                "verify", "kopilka-edge", "verify", "--folder", str(self._town.shop_folder(store)),
                fail=False,
            )  # fmt: skip
            edges += failed != 0
        counted = await asyncio.to_thread(proof.read_central, database_url(central.folder))
        overspent = sum(each.overspent for each in paid)
        checks = [
            *proof.compare(tally=tally, members=week.members, counted=counted),
            proof.Check(
                name=tr("central's own verification"),
                tills="",
                central=tr("passed") if code == 0 else tr("failed"),
                differences=int(code != 0),
            ),
            proof.Check(
                name=tr("the shops' own verification"),
                tills=tr("passed") if edges == 0 else tr("failed"),
                central="",
                differences=edges,
            ),
            proof.Check(
                name=tr("wallets that paid more than was in them"),
                tills="0",
                central=str(overspent),
                differences=overspent,
            ),
        ]
        self._console.print(proof.table_of(checks))
        self._console.print(wallets.table_of(paid))
        self._console.print(proof.latency_table(tally))
        offline = sum(not sold.online for sold in tally.sold)
        rss = max(rss_bytes(self._children.pid(f"edge-{store}")) for store in STORES)
        self._console.print(
            f"{tr('sold without an uplink')}: {offline:,} · {tr('repeated requests')}: "
            f"{tally.retries} · {tr('largest agent')}: {rss / 2**20:.0f} MB"
        )
        failed_count = sum(check.differences for check in checks)
        if failed_count:
            self._console.print(f"[bold red]{tr('Differences')}: {failed_count}[/]")
        if self._stay:
            self._console.print(
                f"{tr('The web UI')}: {central.web}  {tr('login')}: {LOGIN}  "
                f"{tr('password')}: {self._town.password}  ({tr('Ctrl-C ends')})"
            )
            await asyncio.Event().wait()
        return int(failed_count != 0)

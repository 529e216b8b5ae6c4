"""The story of the demo: open, sell, cut, kill, sell on, mend, drain, prove."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from installer.demo import proof
from installer.demo.dataset import CURRENCY, STORES, TIMEZONE, Sale, Week, load_week
from installer.demo.display import Display, ShopView, View
from installer.demo.processes import Children, DemoError, rss_bytes
from installer.demo.programme import ACCOUNT, VERSION, programme_of
from installer.demo.proxy import Proxy
from installer.demo.replay import REQUEST_TIMEOUT_S, Replay, Tally, Till, decimal_text
from installer.demo.texts import tr

STORE_NAMES: Final = {"S1": "Maple Street", "S2": "Harbour", "S3": "Old Mill"}
CUT_STORES: Final = ("S1", "S2")
KILLED_STORE: Final = "S2"
QUIET_RECEIPTS: Final = 150
"""Receipts of one till alone at the start of each phase: enough for a 99th percentile."""
TILLS_PER_STORE: Final = 3
WAIT_S: Final = 60.0
POLL_S: Final = 0.25
LOGIN: Final = "admin"


@dataclass(slots=True, kw_only=True)
class Central:
    """Where central answers."""

    folder: Path
    web: str
    uplink_host: str
    uplink_port: int


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
        self._folder = folder
        self._receipts_max = receipts_max
        self._seed = seed
        self._stay = stay
        self._password = secrets.token_urlsafe(9)
        self._proxies: dict[str, Proxy] = {}
        self._tills: dict[str, Till] = {}

    async def run(self) -> int:
        """Tell the whole story; 0 when every difference is zero.

        Raises:
            DemoError: a program did not do what it was asked.
        """
        week = await asyncio.to_thread(load_week, seed=self._seed, receipts_max=self._receipts_max)
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
                    display.say(
                        f"{len(week.sales):,} {tr('receipts')}, {len(week.members):,} "
                        f"{tr('members')}, {len(week.products):,} {tr('products')}, "
                        f"{len(week.coupons)} {tr('coupons')}"
                    )
                    central = await self._open_central(week, display)
                    await self._open_shops(central, display)
                    replay = Replay(http=http, tills=self._tills, tally=tally)
                    await self._wait_for_bundle(replay)
                    display.say(tr("The shops have verified the bundle and are open."))
                    async with self._watching(replay, view, display):
                        await self._sell(week.sales, replay, view, display)
                        await self._drained(view)
                        display.say(tr("Every queue is empty."))
                return await self._prove(central, week, tally)
        finally:
            for proxy in self._proxies.values():
                await proxy.cut()

    async def _open_central(self, week: Week, display: Display) -> Central:
        folder = self._folder / "central"
        run = self._children.run
        await run("init", "kopilka-central", "init", "--folder", str(folder), "--embedded")
        self._children.start("central", "kopilka-central", "run", "--folder", str(folder))
        ready = await self._children.ready("central")
        match = re.fullmatch(r"web (\S+) uplink https?://([^:/]+):(\d+)/?", ready)
        if match is None:
            raise DemoError(f"central said something else than its addresses: {ready}")
        central = Central(
            folder=folder,
            web=match[1],
            uplink_host=match[2],
            uplink_port=int(match[3]),
        )
        display.say(tr("Central is up; loading stores, members, products and coupons."))
        for store in STORES:
            await run(
                "store-add", "kopilka-central", "store-add", "--folder", str(folder), store,
                STORE_NAMES[store], "--timezone", TIMEZONE, "--currency", CURRENCY,
            )  # fmt: skip
        await run(
            "user-add", "kopilka-central", "user-add", "--folder", str(folder), LOGIN,
            stdin=f"{self._password}\n".encode(),
        )  # fmt: skip
        files = await asyncio.to_thread(write_imports, week, self._folder / "import")
        await run(
            "import", "kopilka-central", "import", "--folder", str(folder),
            *(part for name, path in files.items() for part in (f"--{name}", str(path))),
        )  # fmt: skip
        document = self._folder / "programme.json"
        document.write_text(json.dumps(programme_of(week), ensure_ascii=False, indent=1))
        await run("publish", "kopilka-central", "publish", "--folder", str(folder), str(document))
        display.say(tr("The programme is compiled, signed and published."))
        return central

    async def _open_shops(self, central: Central, display: Display) -> None:
        for store in STORES:
            proxy = Proxy(target_host=central.uplink_host, target_port=central.uplink_port)
            await proxy.start()
            self._proxies[store] = proxy
            _code, output = await self._children.run(
                "enrol-token", "kopilka-central", "enrol-token", "--folder", str(central.folder),
                "--store", store,
            )  # fmt: skip
            folder = self._shop_folder(store)
            await self._children.run(
                "enrol", "kopilka-edge", "enrol", "--folder", str(folder),
                "--central", f"https://127.0.0.1:{proxy.port}",
                "--ca", str(_ca_file(central.folder)),
                "--token", output.split()[-1], "--listen", "127.0.0.1:0",
            )  # fmt: skip
        for store in STORES:
            await self._start_shop(store)
        display.say(tr("Three shops are enrolled, each with its own cable to central."))

    async def _start_shop(self, store: str) -> None:
        folder = self._shop_folder(store)
        self._children.start(f"edge-{store}", "kopilka-edge", "run", "--folder", str(folder))
        address = await self._children.ready(f"edge-{store}")
        token = (folder / "till.token").read_text("utf-8").strip()
        till = self._tills.get(store)
        if till is None:
            self._tills[store] = Till(store=store, address=address, token=token)
        else:
            till.address = address

    async def _wait_for_bundle(self, replay: Replay) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                for store in STORES:
                    while (  # noqa: ASYNC110 - another process has no event
                        await replay.status(store)
                    ).get("bundle_version") != VERSION:
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise DemoError("The published bundle did not reach every shop in time.") from None

    async def _sell(self, sales: list[Sale], replay: Replay, view: View, display: Display) -> None:
        thirds = [
            sales[: len(sales) // 3],
            sales[len(sales) // 3 : 2 * len(sales) // 3],
            sales[2 * len(sales) // 3 :],
        ]
        for phase, part in zip(("online", "offline", "drain"), thirds, strict=True):
            if phase == "offline":
                for store in CUT_STORES:
                    await self._proxies[store].cut()
                display.say(tr("Two of three cables are cut. The shops go on selling."))
            if phase == "drain":
                for store in CUT_STORES:
                    await self._proxies[store].start()
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
        await replay.quiet(quiet, phase=phase, is_online=self._is_online)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                replay.storm(rest, tills_per_store=TILLS_PER_STORE, is_online=self._is_online)
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
        await self._start_shop(KILLED_STORE)
        display.say(tr("It is back; its tills repeat what was not answered."))

    def _is_online(self, store: str) -> bool:
        return self._proxies[store].connected

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
            shop.linked = self._proxies[shop.store].connected
            shop.answering = bool(status)
            shop.queue_depth = int(status.get("queue_depth", shop.queue_depth))
            shop.queue_seen_max = max(shop.queue_seen_max, shop.queue_depth)
            shop.sold = sum(sold.store == shop.store for sold in view.tally.sold)

    async def _drained(self, view: View) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                await asyncio.sleep(2 * POLL_S)
                while any(shop.queue_depth for shop in view.shops):  # noqa: ASYNC110 - polled
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise DemoError("The queues did not drain in time.") from None

    async def _prove(self, central: Central, week: Week, tally: Tally) -> int:
        code, _ = await self._children.run(
            "verify", "kopilka-central", "verify", "--folder", str(central.folder), "--json",
            fail=False,
        )  # fmt: skip
        edges = 0
        for store in STORES:
            failed, _ = await self._children.run(
                "verify", "kopilka-edge", "verify", "--folder", str(self._shop_folder(store)),
                fail=False,
            )  # fmt: skip
            edges += failed != 0
        counted = await asyncio.to_thread(proof.read_central, _database_url(central.folder))
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
        ]
        self._console.print(proof.table_of(checks))
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
                f"{tr('password')}: {self._password}  ({tr('Ctrl-C ends')})"
            )
            await asyncio.Event().wait()
        return int(failed_count != 0)

    def _shop_folder(self, store: str) -> Path:
        return self._folder / store.lower()


def fresh_folder() -> Path:
    """An empty ``build/demo`` under the present folder."""
    folder = Path("build") / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    return folder.resolve()


def write_imports(week: Week, folder: Path) -> dict[str, Path]:
    """Write members, products and coupons as JSON lines; the file of each."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {
        "customers": [
            {
                "customer_id": member.customer_id,
                "cards": [member.card],
                "home_store": member.home_store,
                "segments": list(member.segments),
                "level": member.level,
                "points": {ACCOUNT: decimal_text(member.opening_centi, 2, whole_bare=False)}
                if member.opening_centi
                else {},
            }
            for member in week.members
        ],
        "products": [
            {
                "sku": product.sku,
                "name": product.name,
                "category": product.category,
                "brand": product.brand,
                "attributes": {"manufacturer": product.manufacturer},
                "flags": [],
                "weighed": product.weighed,
            }
            for product in week.products
        ],
        "coupons": [
            {
                "code": coupon.code,
                "series": coupon.series,
                "valid_from": coupon.valid_from.isoformat(),
                "valid_to": coupon.valid_to.isoformat(),
            }
            for coupon in week.coupons
        ],
    }
    files = {}
    for name, entries in rows.items():
        files[name] = folder / f"{name}.jsonl"
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        files[name].write_text(text, "utf-8")
    return files


def _database_url(folder: Path) -> str:
    """PostgreSQL's address from central's configuration."""
    settings = tomllib.loads((folder / "central.toml").read_text("utf-8"))
    url = settings.get("database_url") or os.environ.get("KOPILKA_DATABASE_URL")
    if not url:
        raise DemoError("central.toml does not say where the database is.")
    return str(url)


def _ca_file(folder: Path) -> Path:
    """The certificate of central's private authority."""
    for name in ("ca.pem", "ca.crt", "tls/ca.pem", "tls/ca.crt"):
        if (folder / name).exists():
            return folder / name
    raise DemoError("central has written no certificate of its authority.")

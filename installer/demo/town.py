"""Central and its shops as processes: how they are opened, linked and started again."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import re
import secrets
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from installer.demo.dataset import CURRENCY, TIMEZONE, Week
from installer.demo.processes import Children, DemoError
from installer.demo.programme import ACCOUNT, VERSION, programme_of
from installer.demo.proxy import Proxy
from installer.demo.replay import Replay, Till, decimal_text
from installer.demo.texts import tr
from shared.errors import ConflictError

STORE_NAMES: Final = {"S1": "Maple Street", "S2": "Harbour", "S3": "Old Mill"}
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


class Town:
    """Every program of the demo; ``say`` is told of each step and may be exchanged."""

    def __init__(
        self,
        *,
        children: Children,
        folder: Path,
        stores: tuple[str, ...],
        say: Callable[[str], None],
    ) -> None:
        self._children = children
        self._folder = folder
        self.say = say
        self.stores = stores
        self.password = secrets.token_urlsafe(9)
        self.proxies: dict[str, Proxy] = {}
        self.tills: dict[str, Till] = {}

    async def close(self) -> None:
        """Take the cables away; the programs belong to the children."""
        for proxy in self.proxies.values():
            await proxy.cut()

    async def open_central(self, week: Week) -> Central:
        """Start central, load what the week needs, publish the programme.

        Raises:
            DemoError: a command failed.
        """
        folder = self._folder / "central"
        run = self._children.run
        # Port 0: the demo must not mind what else runs on this machine.
        await run(
            "init", "kopilka-central", "init", "--folder", str(folder), "--embedded",
            "--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0",
        )  # fmt: skip
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
        self.say(tr("Central is up; loading stores, members, products and coupons."))
        # Members have their homes in all three stores, however many shops are opened.
        for store, name in STORE_NAMES.items():
            await run(
                "store-add", "kopilka-central", "store-add", "--folder", str(folder), store,
                name, "--timezone", TIMEZONE, "--currency", CURRENCY,
            )  # fmt: skip
        await run(
            "user-add", "kopilka-central", "user-add", "--folder", str(folder), LOGIN,
            stdin=f"{self.password}\n".encode(),
        )  # fmt: skip
        files = await asyncio.to_thread(write_imports, week, self._folder / "import")
        await run(
            "import", "kopilka-central", "import", "--folder", str(folder),
            *(part for name, path in files.items() for part in (f"--{name}", str(path))),
        )  # fmt: skip
        document = self._folder / "programme.json"
        document.write_text(json.dumps(programme_of(week), ensure_ascii=False, indent=1))
        await run("publish", "kopilka-central", "publish", "--folder", str(folder), str(document))
        self.say(tr("The programme is compiled, signed and published."))
        return central

    async def open_shops(self, central: Central) -> None:
        """Enrol every store through a cable of its own and start its agent.

        Raises:
            DemoError: a command failed.
        """
        for store in self.stores:
            proxy = Proxy(target_host=central.uplink_host, target_port=central.uplink_port)
            await proxy.start()
            self.proxies[store] = proxy
            _code, output = await self._children.run(
                "enrol-token", "kopilka-central", "enrol-token", "--folder", str(central.folder),
                "--store", store,
            )  # fmt: skip
            folder = self.shop_folder(store)
            await self._children.run(
                "enrol", "kopilka-edge", "enrol", "--folder", str(folder),
                "--central", f"https://127.0.0.1:{proxy.port}",
                "--ca", str(_ca_file(central.folder)),
                "--token", output.split()[-1], "--listen", "127.0.0.1:0",
            )  # fmt: skip
        for store in self.stores:
            await self.start_shop(store)
        self.say(tr("The shops are enrolled, each with its own cable to central."))

    async def start_shop(self, store: str) -> None:
        """Start a store's agent, for the first time or again, and learn its address.

        Raises:
            DemoError: it did not get ready.
        """
        folder = self.shop_folder(store)
        self._children.start(f"edge-{store}", "kopilka-edge", "run", "--folder", str(folder))
        address = await self._children.ready(f"edge-{store}")
        token = (folder / "till.token").read_text("utf-8").strip()
        till = self.tills.get(store)
        if till is None:
            self.tills[store] = Till(store=store, address=address, token=token)
        else:
            till.address = address

    async def wait_for_bundle(self, replay: Replay) -> None:
        """Return when every agent has the published bundle active.

        Raises:
            DemoError: one of them has not, in time.
        """
        try:
            async with asyncio.timeout(WAIT_S):
                for store in self.stores:
                    while (  # noqa: ASYNC110 - another process has no event
                        await replay.status(store)
                    ).get("bundle_version") != VERSION:
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise DemoError("The published bundle did not reach every shop in time.") from None

    def is_online(self, store: str) -> bool:
        """Whether the store's cable is whole."""
        return self.proxies[store].connected

    def shop_folder(self, store: str) -> Path:
        """The state folder of a store's agent."""
        return self._folder / store.lower()


@contextlib.contextmanager
def fresh_folder() -> Iterator[Path]:
    """An empty ``build/demo`` under the present folder, kept by one demo at a time.

    Raises:
        ConflictError: another demo is using it.
    """
    build = Path("build")
    build.mkdir(exist_ok=True)
    with (build / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                tr("A demo is running in this folder already."),
                hint=tr("End it with Ctrl-C first."),
            ) from None
        folder = build / "demo"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "logs").mkdir(parents=True)
        yield folder.resolve()


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


def database_url(folder: Path) -> str:
    """PostgreSQL's address from central's configuration."""
    settings = tomllib.loads((folder / "central.toml").read_text("utf-8"))
    url = settings.get("database_url")
    if not url:
        raise DemoError("central.toml does not say where the database is.")
    return str(url)


def _ca_file(folder: Path) -> Path:
    """The certificate of central's private authority."""
    return folder / "uplink-ca.pem"

"""What happens to shops while their network fails; run by ``world_command``, one scenario a run.

Central and agents are the real programs over real sockets; the tills are here. A scenario ends
with the books: every answered sale is at central once, points agree with what the tills were told,
and the ledger's own checks find nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp

from central.database.embedded import EmbeddedPostgres
from tests.netns.names import NameServer, Says, serve_names
from tests.netns.network import CENTRAL, TILLS, Host, make_bridge
from tests.support.head_office import HeadOffice
from tests.support.programmes import TEA_AND_POINTS

UPLINK_PORT: Final = 8443
TILL_PORT: Final = 8470
START_S: Final = 60
DRAIN_S: Final = 150
MEMBERS: Final = 20
CARD_POINTS: Final = "150.00"
EDGE: Final = str(Path(sys.executable).parent / "kopilka-edge")
NAME: Final = "central.kopilka.test"
ROGUE: Final = 56
"""The number of the host that means no good."""


def set_up(central: HeadOffice, name: str = CENTRAL) -> None:
    """A head office with stores, members and a programme; agents reach it by this name."""
    uplink = f"{name}:{UPLINK_PORT}"
    tell(central, "init", "--embedded", "--web", "127.0.0.1:0", "--uplink", uplink)
    for store in ("S1", "S2"):
        tell(central, "store-add", store, f"Store {store}")
    members = central.folder / "members.jsonl"
    with members.open("w") as file:
        for number in range(MEMBERS):
            row = {
                "customer_id": f"c{number}",
                "cards": [f"card-{number}"],
                "home_store": f"S{1 + number % 2}",
                "points": {"main": CARD_POINTS},
            }
            file.write(json.dumps(row) + "\n")
    tell(central, "import", "--customers", str(members))
    programme = central.folder / "programme.json"
    programme.write_text(json.dumps(TEA_AND_POINTS | {"version": 1}))
    tell(central, "publish", str(programme))


def tell(central: HeadOffice, name: str, *arguments: str) -> str:
    """Have head office run one command; what it printed."""
    done = central.command(name, *arguments)
    assert done.code == 0, done.err
    return done.out


def kill_database(central: HeadOffice) -> None:
    """SIGKILL for PostgreSQL and every process of it."""
    file = EmbeddedPostgres(central.folder).home / "data" / "postmaster.pid"
    pid = int(file.read_text().splitlines()[0])
    subprocess.run(["pkill", "-9", "-P", str(pid)], check=False)
    with suppress(ProcessLookupError):
        os.kill(pid, 9)


class Office(HeadOffice):
    """Head office, and the name server of its street where there is one."""

    names: NameServer | None = None


class Shop:
    """One store's agent on its own host, and a till beside it."""

    def __init__(self, folder: Path, number: int, seed: int) -> None:
        self.store = f"S{number}"
        self.folder = folder
        self.host = Host(f"shop{number}", number, UPLINK_PORT)
        self.answered: dict[str, dict[str, Any]] = {}
        self.waits_ms: list[float] = []
        self._chance = Random(f"{seed}-{number}")
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def open(self, central: HeadOffice) -> None:
        """Enrol, start, and wait for the programme and the members."""
        token = tell(central, "enrol-token", "--store", self.store).strip()
        await asyncio.to_thread(
            self.host.run,
            EDGE, "enrol", "--folder", str(self.folder), "--token", token,
            "--central", central.uplink,
            "--ca", str(central.folder / "uplink-ca.pem"),
            "--listen", f"{self.host.address}:{TILL_PORT}",
        )  # fmt: skip
        settings = self.folder / "edge.toml"
        # A failing network is looked at in minutes here, not in hours.
        text = settings.read_text().replace("backoff_max_s = 60.0", "backoff_max_s = 3.0")
        settings.write_text(text.replace("backoff_max_s = 300.0", "backoff_max_s = 3.0"))
        await self.begin()

    async def begin(self) -> None:
        """Start the agent, and wait for the programme and the members."""
        with (self.folder / "agent.err").open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self.host.command(EDGE, "run", "--folder", str(self.folder)),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            ready = (await self._process.stdout.readline()).decode()
        assert ready.startswith("ready "), (self.folder / "agent.err").read_text()[-2000:]
        token = (self.folder / "till.token").read_text()
        self._http = aiohttp.ClientSession(
            ready.split()[1],
            connector=aiohttp.TCPConnector(local_addr=(TILLS, 0)),
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=START_S),
        )
        await until(self._knows_everybody, START_S, f"{self.store} is ready")

    async def close(self) -> None:
        """Stop the agent."""
        if self._http is not None:
            await self._http.close()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def sell(self, count: int, pause_s: float = 0.0) -> None:
        """So many sales, half of them to members who pay with points what they may."""
        for _ in range(count):
            await self.sale(self._chance.choice([None, self._chance.randrange(MEMBERS)]))
            await asyncio.sleep(pause_s)

    async def sale(
        self, member: int | None, price: str = "", points: str = "max", asks: int = 1
    ) -> Any:
        """One sale, calculated and committed; the till's answer.

        ``asks``: how often it is calculated, half a second apart, until the wallet pays all it has.
        """
        receipt_id = f"{self.store}-{len(self.answered):06d}"
        receipt: dict[str, Any] = {
            "receipt_id": receipt_id,
            "register": "R1",
            "time": "2026-11-24T12:00:00+03:00",
            "lines": [
                {
                    "line": 1,
                    "sku": self._chance.choice(["tea", "bread"]),
                    "qty": "1",
                    "price": price or f"{self._chance.randrange(10, 200)}.00",
                }
            ],
        }
        if member is not None:
            receipt["customer"] = {"card": f"card-{member}"}
            receipt["spend"] = {"account": "main", "points": points}
        for ask in range(asks):
            started = time.perf_counter()
            told = await self._post("/v1/receipts/calculate", receipt)
            self.waits_ms.append((time.perf_counter() - started) * 1000)
            if ask + 1 == asks or points_of(told, "spent") >= Decimal(CARD_POINTS):
                break
            await asyncio.sleep(0.5)
        body = {"receipt": receipt, "calculation_id": told["calculation_id"]}
        self.answered[receipt_id] = await self._post(f"/v1/receipts/{receipt_id}/commit", body)
        return self.answered[receipt_id]

    async def queue_depth(self) -> int:
        """Records that central has not confirmed."""
        depth: int = (await self.status())["queue_depth"]
        return depth

    async def status(self) -> dict[str, Any]:
        """What the agent says of itself."""
        assert self._http is not None
        async with self._http.get("/v1/status") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def sells_cut_off(self) -> bool:
        """Sell one; whether the agent knows that it does not reach central."""
        await self.sell(1)
        return not (await self.status())["link"]["online"]

    async def _post(self, path: str, body: Any) -> Any:
        assert self._http is not None
        async with self._http.post(path, json=body) as response:
            reply = await response.json()
            assert response.status == 200, reply
            return reply

    async def _knows_everybody(self) -> bool:
        assert self._http is not None
        receipt = {
            "receipt_id": "look",
            "time": "2026-11-24T12:00:00+03:00",
            "lines": [{"line": 1, "sku": "tea", "qty": "1", "price": "10.00"}],
            "customer": {"card": f"card-{MEMBERS - 1}"},
        }
        async with self._http.post("/v1/receipts/calculate", json=receipt) as response:
            reply = await response.json()
        return response.status == 200 and not reply.get("notices")


def points_of(answer: dict[str, Any], what: str) -> Decimal:
    """The points of an answer that were ``spent`` or ``accrued``."""
    return sum((Decimal(each["points"]) for each in answer[what]), Decimal(0))


async def until(asked: Callable[[], Awaitable[bool]], patience_s: float, what: str) -> float:
    """Wait until it is so; how long it took, in seconds."""
    started = time.monotonic()
    while not await asked():
        assert time.monotonic() - started < patience_s, f"waited {patience_s} s: {what}"
        await asyncio.sleep(0.1)
    return time.monotonic() - started


async def drained(shops: list[Shop]) -> float:
    """Wait until central has confirmed everything; in how many seconds."""

    async def empty() -> bool:
        return not any([await shop.queue_depth() for shop in shops])

    return await until(empty, DRAIN_S, "all queues are empty")


def check_books(central: HeadOffice, shops: list[Shop]) -> None:
    """Central has what the tills were told: no sale less, none twice, the same points."""
    books = json.loads(central.command("verify", "--json").out)
    assert books["ok"], books
    answers = [reply["answer"] for shop in shops for reply in shop.answered.values()]
    assert books["receipts"] == len(answers), books
    assert books["quarantined"] == 0, books
    earned = sum(Decimal(each["points"]) for answer in answers for each in answer["accrued"])
    spent = sum(Decimal(each["points"]) for answer in answers for each in answer["spent"])
    to_pay = sum(Decimal(answer["total"]["to_pay"]) for answer in answers)
    assert (books["earned_centi"], books["spent_centi"]) == (earned * 100, spent * 100), books
    assert books["to_pay_minor"] == to_pay * 100
    assert books["shortage_centi"] == 0, books


async def partitions(central: Office, shops: list[Shop]) -> None:
    """Each shape of a cut, one after another, while both tills sell on."""
    first, second = shops
    shapes: list[tuple[str, Callable[[Host], None]]] = [
        ("requests vanish", lambda host: host.drop(requests=True)),
        ("answers vanish", lambda host: host.drop(answers=True)),
        ("nothing passes", lambda host: host.drop(requests=True, answers=True)),
        ("connections are reset", Host.refuse),
        ("a third of all packets vanishes", lambda host: host.lose(30)),
    ]
    whole: list[float] = []
    for name, cut in shapes:
        cut(first.host)
        first.waits_ms.clear()
        await asyncio.gather(first.sell(25, 0.1), second.sell(25, 0.1))
        print(f"{name}: slowest calculation {max(first.waits_ms):.0f} ms", flush=True)
        whole += first.waits_ms
        first.host.heal()
        await asyncio.sleep(1)
    for _ in range(6):
        first.host.drop(requests=True, answers=True)
        second.host.drop(answers=True)
        await asyncio.gather(first.sell(5, 0.05), second.sell(5, 0.05))
        first.host.heal()
        second.host.heal()
        await asyncio.gather(first.sell(5, 0.05), second.sell(5, 0.05))
    took_s = await drained(shops)
    sold = sum(len(shop.answered) for shop in shops)
    print(f"flapping; all {sold} sales confirmed {took_s:.1f} s after the last cut", flush=True)
    check_books(central, shops)


async def narrow_and_lossy(central: Office, shops: list[Shop]) -> None:
    """A store's day gathered offline goes through 64 kbit/s, and another with losses on top."""
    first, second = shops
    for shop in shops:
        shop.host.drop(requests=True, answers=True)
    await asyncio.gather(first.sell(1_300), second.sell(150))
    for shop in shops:
        shop.host.narrow(64)
    first.host.heal()
    second.host.lose(20)
    took_s = await drained([first])
    print(f"1,300 receipts through 64 kbit/s: {took_s:.1f} s", flush=True)
    took_s = await drained([second])
    print(f"150 receipts through 64 kbit/s with 20 % loss: {took_s:.1f} s more", flush=True)
    check_books(central, shops)


async def central_killed(central: Office, shops: list[Shop]) -> None:
    """PostgreSQL dies by SIGKILL under load, three times; nothing that was answered is missing."""
    for _ in range(3):
        selling = asyncio.gather(*(shop.sell(60, 0.02) for shop in shops))
        await asyncio.sleep(0.7)
        await asyncio.to_thread(kill_database, central)
        await selling
        await asyncio.to_thread(central.stop)
        await asyncio.to_thread(central.start)
    await drained(shops)
    print(f"{sum(len(shop.answered) for shop in shops)} sales, three dead databases", flush=True)
    check_books(central, shops)


async def one_wallet(central: Office, shops: list[Shop]) -> None:
    """Members with 150 points ask for all of them in two stores at once, cut off and not.

    They are at home in the first store. Alone in the second they get their points there too.
    """
    first, second = shops
    rounds: list[tuple[int, list[Shop]]] = [(0, []), (2, shops), (4, [first]), (6, [second])]
    for member, cut in rounds:
        for shop in cut:
            shop.host.drop(requests=True, answers=True)
        replies = await asyncio.gather(
            *(shop.sale(member, price="1000.00", asks=8) for shop in shops)
        )
        paid = sum(points_of(reply["answer"], "spent") for reply in replies)
        earned = sum(points_of(reply["answer"], "accrued") for reply in replies)
        names = " and ".join(shop.store for shop in cut) or "nobody"
        print(f"{names} cut off: {paid} paid, {earned} earned", flush=True)
        assert Decimal(CARD_POINTS) <= paid <= Decimal(CARD_POINTS) + earned
        for shop in cut:
            shop.host.heal()
    reply = await second.sale(8, price="1000.00", asks=20)
    assert points_of(reply["answer"], "spent") == Decimal(CARD_POINTS), reply["answer"]["spent"]
    await drained(shops)
    check_books(central, shops)


async def liars(central: Office, shops: list[Shop]) -> None:
    """The name server is dead, wrong or bought; a stranger shows a page, or is two machines.

    Faults 36, 37 and 54. Whoever is not central is not asked anything, and does not count.
    """
    first, second = shops
    assert central.names is not None
    rogue = Host("rogue", ROGUE, UPLINK_PORT)
    async with stranger(rogue, "portal", str(central.folder), NAME, str(UPLINK_PORT)):
        lies = (("dead", Says.NOTHING, CENTRAL), ("wrong", Says.ADDRESS, "10.77.0.99"),
                ("bought", Says.ADDRESS, rogue.address))  # fmt: skip
        for lie, says, address in lies:
            central.names.says, central.names.address = says, address
            await first.close()
            await first.begin()
            await first.sell(5)
            print(f"name server {lie}: confirmed in {await drained([first]):.1f} s", flush=True)
        assert (central.folder / "connections").stat().st_size > 0
        knocks = (central.folder / "connections").stat().st_size
        first.host.refuse(CENTRAL)
        await until(first.sells_cut_off, START_S, "the portal alone answers")
        await first.sell(20, 0.1)
        assert await first.sells_cut_off()
        assert (central.folder / "connections").stat().st_size > knocks
        asked = (central.folder / "requests").stat().st_size
        assert asked == 0, "the portal was told something"
    central.names.address = CENTRAL
    first.host.heal()
    await drained(shops)

    rogue.run("ip", "address", "add", f"{CENTRAL}/24", "dev", "eth0")
    rogue.count()
    async with stranger(rogue, "impostor", CENTRAL):
        await asyncio.gather(first.sell(40, 0.1), second.sell(40, 0.1))
    attempts = rogue.counted()
    rogue.run("ip", "link", "set", "eth0", "down")
    for shop in shops:
        shop.host.forget_neighbours()
    took_s = await drained(shops)
    print(f"two machines with one address: {attempts} packets astray, {took_s:.1f} s", flush=True)
    assert 0 < attempts < 600, "a lost shop knocks now and then"
    check_books(central, shops)


@asynccontextmanager
async def stranger(host: Host, *role: str) -> AsyncIterator[None]:
    """``tests.netns.stranger`` on a host until the block ends."""
    command = host.command(sys.executable, "-m", "tests.netns.stranger", *role)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        await process.wait()


SCENARIOS: Final = {
    each.__name__: each
    for each in (partitions, narrow_and_lossy, central_killed, one_wallet, liars)
}


async def main(name: str, root: Path) -> None:
    """Open everything, let it happen."""
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}", flush=True)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        central = Office(root / "central")
        stack.callback(central.forget)
        if name == liars.__name__:
            central.names = await serve_names(CENTRAL, CENTRAL, root)
        await asyncio.to_thread(set_up, central, CENTRAL if central.names is None else NAME)
        await asyncio.to_thread(central.start)
        shops = [Shop(root / f"shop{number}", number, seed) for number in (1, 2)]
        for shop in shops:
            stack.push_async_callback(shop.close)
            await shop.open(central)
        await SCENARIOS[name](central, shops)


if __name__ == "__main__":
    make_bridge()
    asyncio.run(main(sys.argv[1], Path(tempfile.mkdtemp(prefix="kopilka-netns-"))))

"""Two thousand shops come back together after a day without head office: who is served when.

The scheduler is the one that central runs (``central.uplink.admission``), on a virtual clock; the
rate at which batches are taken in is the one that ``ingest.py`` measured. Shops behave as agents
do: they reconnect over a window, send one batch at a time, and wait as they are told. Beside them
live shops send what they sell. Told: how even the shops were served (Jain), how long a live batch
took, how long the drain was beside the arithmetic of backlog ÷ (rate − live).
Then, in a short run over real sockets, as many client coroutines as the machine allows put batches
to a handler with the same gate. Writes build/bench/storm.json.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import web
from support.measuring import FOLDER, against, percentile, report

from central.uplink.admission import Admission, Bounds, Ticket, Wait
from central.uplink.gate import Gate, read_body
from shared.errors import BusyError
from shared.limits import BATCH_RECORDS_FIRST
from shared.system import SystemChance, SystemClock

SHOPS: Final = 2_000
DAY_RECEIPTS: Final = 1_333
"""Of a shop: twenty million a day over fifteen thousand shops."""
LIVE_SHOPS: Final = 300
LIVE_RECORDS: Final = 5
LIVE_EVERY_S: Final = 15.0
RECONNECT_S: Final = 300.0
"""Over which shops spread their return."""
BACKOFF_S: Final = (1.0, 300.0)
RATE_DEFAULT: Final = 3_000.0
"""Receipts a second, where ingest was not measured on this machine."""
NS: Final = 1_000_000_000
JAIN_TARGET: Final = 0.95
LIVE_P99_TARGET_S: Final = 2.0


@dataclass(slots=True, kw_only=True)
class Shop:
    """A sender and what it has left; ``records`` None: a live one, which never ends."""

    number: int
    left: int
    is_live: bool
    process: int = 0
    batch_max: int = BATCH_RECORDS_FIRST
    sent: int = 0
    asked_at_ns: int = 0
    came_at_ns: int = 0
    ended_at_ns: int | None = None


@dataclass
class Storm:
    """The virtual clock, the server's turns and everybody's next step."""

    rate: float
    seed: int
    processes: int = 1
    bounds: Bounds = field(default_factory=Bounds)
    now_ns: int = 0
    live_s: list[float] = field(default_factory=list)
    refusals: int = 0
    served: list[tuple[int, int, int]] = field(default_factory=list)

    def run(self, shops: list[Shop]) -> None:
        """Until the last backlog is gone."""
        self._rng = random.Random(self.seed)
        self._admissions = [Admission(self.bounds) for _ in range(self.processes)]
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._owner: dict[Ticket, Shop] = {}
        self._working = [0] * self.processes
        self._open = sum(not shop.is_live for shop in shops)
        for shop in shops:
            # The kernel deals connections out by chance, and they are kept.
            shop.process = self._rng.randrange(self.processes)
            start_s = self._rng.uniform(0, LIVE_EVERY_S if shop.is_live else RECONNECT_S)
            self._at(start_s, self._asks(shop))
        while self._open and self._events:
            self.now_ns, _, step = heapq.heappop(self._events)
            step()

    def _at(self, after_s: float, step: Callable[[], None]) -> None:
        due_ns = self.now_ns + int(after_s * NS)
        heapq.heappush(self._events, (due_ns, next(self._order), step))

    def _asks(self, shop: Shop) -> Callable[[], None]:
        def begin() -> None:
            shop.asked_at_ns = self.now_ns
            shop.came_at_ns = shop.came_at_ns or self.now_ns
            self._send(shop)

        return begin

    def _send(self, shop: Shop) -> None:
        records = LIVE_RECORDS if shop.is_live else min(shop.left, shop.batch_max)
        answer = self._admissions[shop.process].arrive(
            f"S{shop.number}",
            (shop.number, 1),
            records,
            now_ns=self.now_ns,
            spread=self._rng.random(),
        )
        if isinstance(answer, Wait):
            self.refusals += 1
            self._at(answer.retry_after_s, lambda: self._send(shop))
            return
        self._owner[answer] = shop
        # The body: a round trip, and a slow link for some.
        self._at(self._rng.uniform(0.02, 0.3), lambda: self._is_here(answer))

    def _is_here(self, ticket: Ticket) -> None:
        process = self._owner[ticket].process
        self._admissions[process].ready(ticket)
        self._start(process)

    def _start(self, process: int) -> None:
        begun = self._admissions[process].start(self.now_ns)
        self._working[process] += len(begun)
        for ticket in begun:
            # Those that are worked on share a process: together they are as fast as was measured.
            work_s = ticket.records * self._working[process] * self.processes / self.rate
            self._at(work_s, partial(self._is_done, ticket))

    def _is_done(self, ticket: Ticket) -> None:
        process = self._owner[ticket].process
        admission = self._admissions[process]
        admission.leave(ticket, now_ns=self.now_ns, taken=True)
        self._working[process] -= 1
        shop = self._owner.pop(ticket)
        advice = admission.advice(self.now_ns)
        if shop.is_live:
            self.live_s.append((self.now_ns - shop.asked_at_ns) / NS)
            self._at(LIVE_EVERY_S * self._rng.uniform(0.8, 1.2), self._asks(shop))
        else:
            self.served.append((self.now_ns, shop.number, ticket.records))
            shop.left -= ticket.records
            shop.sent += ticket.records
            shop.batch_max = advice.next_batch_records_max
            if shop.left > 0:
                self._at(advice.pause_ms / 1000 + 0.001, lambda: self._send(shop))
            else:
                shop.ended_at_ns = self.now_ns
                self._open -= 1
        self._start(process)


def jain(values: list[int]) -> float:
    """1 when all have the same, 1/n when one has everything."""
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


def fairness(storm: Storm, shops: list[Shop]) -> float:
    """Over the first half of the time after the last shop is back, of those that still had some."""
    from_ns = max(shop.came_at_ns for shop in shops)
    until_ns = (from_ns + storm.now_ns) // 2
    wanting = {shop.number for shop in shops if (shop.ended_at_ns or storm.now_ns) >= until_ns}
    taken: Counter[int] = Counter(dict.fromkeys(wanting, 0))
    for at_ns, number, records in storm.served:
        if from_ns <= at_ns <= until_ns and number in wanting:
            taken[number] += records
    return jain(list(taken.values()))


def simulate(rate: float, seed: int, processes: int = 1) -> dict[str, float]:
    """The storm on a virtual clock."""
    backlogs = [Shop(number=n, left=DAY_RECEIPTS, is_live=False) for n in range(SHOPS)]
    live = [Shop(number=SHOPS + n, left=0, is_live=True) for n in range(LIVE_SHOPS)]
    storm = Storm(rate, seed, processes)
    storm.run([*backlogs, *live])
    live_rate = LIVE_SHOPS * LIVE_RECORDS / LIVE_EVERY_S
    return {
        "rate_per_s": rate,
        "live_per_s": live_rate,
        "drain_s": storm.now_ns / NS,
        "arithmetic_s": SHOPS * DAY_RECEIPTS / (rate - live_rate),
        "jain": fairness(storm, backlogs),
        "live_p50_s": percentile(storm.live_s, 50),
        "live_p99_s": percentile(storm.live_s, 99),
        "live_batches": len(storm.live_s),
        "turned_away": storm.refusals,
        "batches": len(storm.served),
    }


async def over_sockets(clients: int, seconds: float, rate: float) -> dict[str, float]:
    """Real requests through the real gate; the work is a sleep of its share of the rate."""
    clock = SystemClock()
    bounds = Bounds()
    gate = Gate(Admission(bounds), clock, SystemChance())
    taken: Counter[str] = Counter()

    async def handle(request: web.Request) -> web.Response:
        number = request.match_info["shop"]
        records = int(request.query["records"])
        try:
            async with gate.place(number, (int(number), 1), records) as ticket:
                await read_body(request, clock, bytes_max=2**20)
                await gate.turn(ticket)
                await asyncio.sleep(records * bounds.turns / rate)
                taken[number] += records
        except BusyError as error:
            return web.json_response({"retry_s": error.retry_after_s}, status=429)
        advice = gate.advice()
        return web.json_response(
            {"next": advice.next_batch_records_max, "pause_ms": advice.pause_ms}
        )

    app = web.Application()
    app.router.add_put("/{shop}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=clients).start()
    url = "http://{}:{}".format(*runner.addresses[0][:2])
    began = time.monotonic()
    ends = began + seconds
    refused = 0

    async def client(http: aiohttp.ClientSession, number: int) -> None:
        nonlocal refused
        records = BATCH_RECORDS_FIRST
        await asyncio.sleep(random.uniform(0, seconds / 6))
        while time.monotonic() < ends:
            body = b"x" * (records * 120)
            async with http.put(f"{url}/{number}?records={records}", data=body) as answer:
                told = await answer.json()
            if answer.status == 429:
                refused += 1
                await asyncio.sleep(min(told["retry_s"], max(ends - time.monotonic(), 0)))
            else:
                records = told["next"]
                await asyncio.sleep(min(told["pause_ms"] / 1000, max(ends - time.monotonic(), 0)))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        await asyncio.gather(*(client(http, number) for number in range(clients)))
    spent_s = time.monotonic() - began
    await runner.cleanup()
    return {
        "clients": clients,
        "seconds": spent_s,
        "records_per_s": sum(taken.values()) / spent_s,
        "served_clients": len(taken),
        "turned_away": refused,
    }


def measured_rate() -> tuple[float, str]:
    """Receipts a second of this machine, and where the number is from."""
    path = FOLDER / "ingest.json"
    if path.exists():
        return float(json.loads(path.read_text("utf-8"))["receipts_per_s"]), "measured"
    return RATE_DEFAULT, "assumed; run ingest.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, help="receipts a second instead of the measured")
    parser.add_argument("--processes", type=int, default=1, help="of central, on the virtual clock")
    parser.add_argument("--clients", type=int, default=500, help="over real sockets")
    parser.add_argument("--seconds", type=float, default=20.0, help="over real sockets")
    options = parser.parse_args()
    rate, source = (options.rate, "given") if options.rate else measured_rate()
    found: dict[str, Any] = {"seed": options.seed, "processes": options.processes}
    found["virtual"] = simulate(rate, options.seed, options.processes)
    found["sockets"] = asyncio.run(over_sockets(options.clients, options.seconds, rate))
    virtual, sockets = found["virtual"], found["sockets"]
    even, late = virtual["jain"], virtual["live_p99_s"]
    sent = f"{sockets['records_per_s']:.0f}"
    spoken = f"{sockets['served_clients']} / {sockets['turned_away']}"
    report(
        "storm",
        f"{SHOPS} shops with a day each, {rate:.0f} receipts/s ({source}),"
        f" processes: {options.processes}",
        ("", "measured", "target"),
        [
            ("Jain", f"{even:.3f}", against(even, JAIN_TARGET, at_least=True)),
            ("live batch p99, s", f"{late:.2f}", against(late, LIVE_P99_TARGET_S)),
            ("drain, s", f"{virtual['drain_s']:.0f}", ""),
            ("backlog ÷ (rate − live), s", f"{virtual['arithmetic_s']:.0f}", ""),
            ("batches / turned away", f"{virtual['batches']} / {virtual['turned_away']}", ""),
            (f"{sockets['clients']} clients over sockets, records/s", sent, ""),
            ("of them served / turned away", spoken, ""),
        ],
        found,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What does the agent add to HTTP and to the disk? One till, sixteen, sixty-four; forty that ring.

Everything has its yardstick in the same run, in turn with it: of ``calculate`` an aiohttp handler
that reads the same JSON and does nothing; of ``commit`` single durable inserts of a record's size
into SQLite on the same disk. The agent is a process with the compiled engine, and no head office:
1,000 promotions, receipts of 20 lines, six of ten with a card. Neighbours on the machine disturb
processor time less than the clock, so both are told. Writes build/bench/till_load.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw
from support.agents import Running, agent, empty_handler
from support.measuring import FOLDER, against, percentile, prepare, report
from support.sales import CALCULATE, KINDS, LINES, price_many, receipt
from support.shop import Size, fill_folder
from support.spending import spent_cpu_s
from support.tills import Till, open_till, post

SIZE: Final = Size(promotions=1_000, products=5_000, members=2_000)
ROUNDS: Final = 4
RECORD_BYTES: Final = 4_096
RINGING: Final = 40
SCANS: Final = 10
"""Articles that each of the ringing tills scans, one after the other."""
SCAN_PAUSE_S: Final = 0.5
"""A quick cashier's; the forty begin spread over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Of some calls: how long each took, ms; how long all of them; what the program spent."""

    calls_ms: Sequence[float]
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return len(self.calls_ms) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Of the program, for one call."""
        return self.cpu_s / len(self.calls_ms) * 1e3


async def ask(program: Running, tills: Sequence[Till], requests: Sequence[bytes]) -> Took:
    """Let the tills make these calls, each the next one as soon as it is free."""
    left = iter(requests)
    calls_ms: list[float] = []

    async def one(till: Till) -> None:
        for request in left:
            began_ns = time.perf_counter_ns()
            await till.call(request)
            calls_ms.append((time.perf_counter_ns() - began_ns) / 1e6)

    cpu_s, began_s = spent_cpu_s(program.pid), time.perf_counter()
    await asyncio.gather(*map(one, tills))
    seconds = time.perf_counter() - began_s
    return Took(calls_ms=calls_ms, seconds=seconds, cpu_s=spent_cpu_s(program.pid) - cpu_s)


def together(parts: Sequence[Took]) -> Took:
    """Several rounds as one."""
    return Took(
        calls_ms=[each for part in parts for each in part.calls_ms],
        seconds=sum(part.seconds for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
    )


async def calculate(shop: Running, empty: Running, tills: int, calls: int) -> dict[str, Any]:
    """``calculate`` and the empty handler in turn."""
    bodies = [json.dumps(receipt(number, members=SIZE.members)).encode() for number in range(KINDS)]
    asked = [post(CALCULATE, bodies[n % KINDS]) for n in range(calls)]
    nothing = [post("/", bodies[n % KINDS]) for n in range(calls)]
    here = [await open_till(shop.address) for _ in range(tills)]
    there = [await open_till(empty.address) for _ in range(tills)]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(await ask(empty, there, nothing))
        ours.append(await ask(shop, here, asked))
    for till in (*here, *there):
        till.close()
    return compared(together(ours), together(theirs))


def compared(ours: Took, theirs: Took) -> dict[str, Any]:
    """Figures of both, and the shares: by the clock, and by processor time."""
    return {
        "per_s": round(ours.per_s),
        "p50_ms": round(percentile(ours.calls_ms, 50), 2),
        "p99_ms": round(percentile(ours.calls_ms, 99), 2),
        "cpu_ms": round(ours.cpu_ms, 3),
        "empty_per_s": round(theirs.per_s),
        "empty_p99_ms": round(percentile(theirs.calls_ms, 99), 2),
        "empty_cpu_ms": round(theirs.cpu_ms, 3),
        "share": round(ours.per_s / theirs.per_s, 3),
        "cpu_share": round(theirs.cpu_ms / ours.cpu_ms, 3),
    }


async def commit(shop: Running, database: Path, tills: int, calls: int) -> dict[str, Any]:
    """Sales at the price that the till was told, and bare inserts in turn."""
    here = [await open_till(shop.address) for _ in range(tills)]
    ours: list[Took] = []
    bare_s = 0.0
    for round_number in range(ROUNDS):
        sales = await price_many(here, f"{tills}-{round_number}", calls, members=SIZE.members)
        bare_s += await asyncio.to_thread(durable_commits, database, calls)
        ours.append(await ask(shop, here, sales))
    for till in here:
        till.close()
    took = together(ours)
    bare_per_s = ROUNDS * calls / bare_s
    return {
        "per_s": round(took.per_s),
        "p50_ms": round(percentile(took.calls_ms, 50), 2),
        "p99_ms": round(percentile(took.calls_ms, 99), 2),
        "cpu_ms": round(took.cpu_ms, 3),
        "bare_per_s": round(bare_per_s),
        "share": round(took.per_s / bare_per_s, 3),
    }


def durable_commits(database: Path, count: int) -> float:
    """Seconds for so many single inserts, each durable (WAL, synchronous=FULL)."""
    connection = apsw.Connection(str(database))
    for statement in (
        "pragma journal_mode=wal",
        "pragma synchronous=full",
        "create table if not exists record (id integer primary key, body blob) strict",
    ):
        connection.execute(statement)
    began_s = time.perf_counter()
    for _ in range(count):
        connection.execute("insert into record (body) values (?)", (os.urandom(RECORD_BYTES),))
    seconds = time.perf_counter() - began_s
    connection.close()
    return seconds


async def ring(shop: Running, scans: int) -> dict[str, Any]:
    """Forty cashiers scan at their pace; each scan asks for the price, with hints."""
    waited_ms: list[float] = []

    async def one(number: int) -> None:
        till = await open_till(shop.address)
        await asyncio.sleep(SCAN_PAUSE_S * number / RINGING)
        for scan in range(scans):
            told = receipt(number, members=SIZE.members)
            told["lines"] = told["lines"][: scan % LINES + 1]
            request = post(f"{CALCULATE}?hints=1", json.dumps(told).encode())
            began_ns = time.perf_counter_ns()
            await till.call(request)
            waited_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
            await asyncio.sleep(SCAN_PAUSE_S)
        till.close()

    await asyncio.gather(*map(one, range(RINGING)))
    return {
        "scans": len(waited_ms),
        "p50_ms": round(percentile(waited_ms, 50), 2),
        "p95_ms": round(percentile(waited_ms, 95), 2),
        "p99_ms": round(percentile(waited_ms, 99), 2),
    }


async def measure(folder: Path, calls: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    database = folder / "bare.sqlite"
    with agent(folder / "shop") as shop, empty_handler() as empty:
        warm = await open_till(shop.address)
        await price_many([warm], "warm", 200, members=SIZE.members)
        warm.close()
        for tills in (1, 16):
            figures[f"calculate_{tills}"] = await calculate(shop, empty, tills, calls)
        for tills in (1, 64):
            figures[f"commit_{tills}"] = await commit(shop, database, tills, calls)
        figures["ring_40"] = await ring(shop, 2 * SCANS)
    return figures


def rows_of(figures: dict[str, Any]) -> list[list[str]]:
    """The table."""
    rows: list[list[str]] = []

    def row(name: str, value: str, beside: str = "", target: str = "") -> None:
        rows.append([name, value, beside, target])

    for tills, p99_ms in ((1, 5.0), (16, 15.0)):
        it = figures[f"calculate_{tills}"]
        beside = f"empty handler {it['empty_per_s']:,}"
        row(f"calculate, {tills} tills, calls/s", f"{it['per_s']:,}", beside)
        row("  share by the clock", f"{it['share']}", "", against(it["share"], 0.5, at_least=True))
        beside = f"{it['cpu_ms']} ms, {it['empty_cpu_ms']} ms"
        row("  share by processor time", f"{it['cpu_share']}", beside)
        beside = f"empty handler {it['empty_p99_ms']}"
        row("  p50, ms", f"{it['p50_ms']}")
        row("  p99, ms", f"{it['p99_ms']}", beside, against(it["p99_ms"], p99_ms))
    for tills in (1, 64):
        it = figures[f"commit_{tills}"]
        row(f"commit, {tills} tills, sales/s", f"{it['per_s']:,}", f"bare {it['bare_per_s']:,}")
        if tills == 1:
            told = against(it["share"], 0.6, at_least=True)
            row("  share of bare commits", f"{it['share']}", "", told)
        else:
            rows[-1][-1] = against(it["per_s"], 1_500, at_least=True)
        row("  p50, p99, ms", f"{it['p50_ms']}, {it['p99_ms']}", f"{it['cpu_ms']} ms of a core")
    it = figures["ring_40"]
    row("40 tills, hint on scan, p95, ms", f"{it['p95_ms']}", "", against(it["p95_ms"], 50.0))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000, help="of each kind in a round")
    calls: int = parser.parse_args().calls
    prepare()
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="till_load-") as name:
        folder = Path(name)
        fill_folder(folder / "shop", SIZE)
        figures = asyncio.run(measure(folder, calls))
    title = f"Tills at one agent: {SIZE.promotions:,} promotions, {LINES} lines"
    report("till_load", title, ["", "", "beside it", "target"], rows_of(figures), figures)


if __name__ == "__main__":
    main()

"""How long does a till wait? calculate and commit at one till, online and with the uplink cut.

``online`` prices each receipt once, when all is known; ``scanned`` also after each article, and
asks for points at the end, as a till does whose card is read first.

Beside them, in the same run: an empty aiohttp handler (what HTTP costs here), bare durable SQLite
commits (what the disk costs here), and the agent's writer alone: without its guard, with the
witness, and with the second journal as well. Prints a table and writes
build/bench/http_checkout.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import apsw
from aiohttp import web
from rich import box
from rich.console import Console
from rich.table import Table
from support.spending import spent_cpu_s

from edge_agent.database.connection import open_writer
from edge_agent.database.writer import Writer
from edge_agent.outbox.store import Fact, append_fact, start_stream
from edge_agent.witness.start import Media, open_media
from installer.demo.dataset import Sale, load_week
from installer.demo.processes import Children, rss_bytes, stop_leftover_servers
from installer.demo.proof import percentile
from installer.demo.replay import Replay, Tally
from installer.demo.town import Town
from shared.errors import AppError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane

FOLDER: Final = Path("build") / "bench"
STORE: Final = "S1"
WARM_UP: Final = 50
VISITORS_SCAN_S: Final = 0.3
"""A cashier needs longer for an article; the others' are scanned without a pause, to save time."""
BASELINE_REQUESTS: Final = 1000
BASELINE_COMMITS: Final = 500
COMMIT_BYTES: Final = 4096


async def measure(children: Children, folder: Path) -> dict[str, Any]:
    week = await asyncio.to_thread(load_week, seed=1)
    sales = [sale for sale in week.sales if sale.store == STORE]
    town = Town(children=children, folder=folder, stores=(STORE,), say=print)
    tally = Tally()
    try:
        async with aiohttp.ClientSession() as http:
            central = await town.open_central(week)
            await town.open_shops(central)
            replay = Replay(http=http, tills=town.tills, tally=tally)
            await town.wait_for_bundle(replay)
            figures: dict[str, Any] = {"empty_handler_ms": await empty_handler(http)}
            figures["sqlite_commit_ms"] = await asyncio.to_thread(durable_commits, folder)
            for name in ("bare", "witness", "journal"):
                figures[f"record_{name}_ms"] = await record_commits(
                    folder / f"records-{name}", name
                )
            await sell(replay, town, sales[:WARM_UP], "warm-up")
            third = (len(sales) - WARM_UP) // 3
            first, second = WARM_UP + third, WARM_UP + 2 * third
            at_home = {each.customer_id for each in week.members if each.home_store == STORE}
            visitors = {
                sale.receipt_id for sale in sales if sale.spends and sale.customer_id not in at_home
            }
            watched = {"agent": children.pid(f"edge-{STORE}"), "central": children.pid("central")}
            with spending(figures, "online", watched, third):
                await sell(replay, town, sales[WARM_UP:first], "online", visitors)
            await sell(replay, town, sales[first:second], "scanned", visitors, scans=True)
            await town.proxies[STORE].cut()
            with spending(figures, "offline", watched, len(sales) - second):
                await sell(replay, town, sales[second:], "offline", visitors)
            figures["rss_mb"] = round(rss_bytes(children.pid(f"edge-{STORE}")) / 2**20, 1)
            figures["restart_to_first_answer_s"] = await restart(children, town, replay)
        for (phase, call), values in tally.latency_ms.items():
            if phase != "warm-up":
                figures[f"{call}_{phase}_ms"] = values
        for phase in ("online", "scanned", "offline"):
            for call in ("calculate", "commit"):
                figures[f"{call}_{phase}_ms"] += figures.get(f"{call}_{phase}_visitors_ms", [])
        return figures
    finally:
        await town.close()


async def sell(
    replay: Replay,
    town: Town,
    sales: list[Sale],
    phase: str,
    visitors: Collection[str] = (),
    *,
    scans: bool = False,
) -> None:
    """``visitors``: receipts that are paid with points of a member at home elsewhere."""
    for sale in sales:
        comes = sale.receipt_id in visitors
        pause_s = (VISITORS_SCAN_S if comes else 0.0) if scans else None
        name = f"{phase}_visitors" if comes else phase
        await replay.quiet([sale], phase=name, is_online=town.is_online, scan_pause_s=pause_s)


@contextlib.contextmanager
def spending(
    figures: dict[str, Any], phase: str, watched: dict[str, int], receipts: int
) -> Iterator[None]:
    """Note what programs took of the cores meanwhile, by receipt; central with its database."""
    before_s = {name: spent_cpu_s(pid) for name, pid in watched.items()}
    yield
    for name, pid in watched.items():
        spent_ms = (spent_cpu_s(pid) - before_s[name]) * 1e3 / receipts
        figures[f"{name}_cpu_{phase}_a_receipt"] = round(spent_ms, 2)


async def empty_handler(http: aiohttp.ClientSession) -> list[float]:
    """Round trips to a handler that does nothing but read a body of a receipt's size."""

    async def nothing(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"{}", content_type="application/json")

    app = web.Application()
    app.router.add_post("/", nothing)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = "http://{}:{}/".format(*runner.addresses[0][:2])
    values = []
    for _ in range(BASELINE_REQUESTS):
        started_ns = time.monotonic_ns()
        async with http.post(address, data=b"x" * COMMIT_BYTES) as response:
            await response.read()
        values.append((time.monotonic_ns() - started_ns) / 1e6)
    await runner.cleanup()
    return values


def durable_commits(folder: Path) -> list[float]:
    """Single inserts of a receipt's size, each durable (WAL, synchronous=FULL)."""
    connection = apsw.Connection(str(folder / "baseline.sqlite"))
    for statement in (
        "pragma journal_mode=wal",
        "pragma synchronous=full",
        "create table record (id integer primary key, body blob) strict",
    ):
        connection.execute(statement)
    values = []
    for _ in range(BASELINE_COMMITS):
        started_ns = time.monotonic_ns()
        connection.execute("insert into record (body) values (?)", (os.urandom(COMMIT_BYTES),))
        values.append((time.monotonic_ns() - started_ns) / 1e6)
    connection.close()
    return values


async def record_commits(folder: Path, media: str) -> list[float]:
    """Records chained one by one by the agent's writer, each on all its media when it is told."""
    await asyncio.to_thread(folder.mkdir)
    database = folder / "edge.sqlite"
    connection = open_writer(database)
    for lane in Lane:
        start_stream(connection, 1, LaneStart(lane=lane, epoch=1, nonce=bytes(16)))
    connection.close()
    guard = None
    if media != "bare":
        journal = folder / "journal" if media == "journal" else None
        where = Media(database=database, witness=folder / "witness", journal=journal, edge_id=1)
        guard = open_media(where, {}, clock=SystemClock(), chance=SystemChance()).guard
    writer = Writer(database, guard)
    values = []
    for _ in range(BASELINE_COMMITS):
        body = os.urandom(COMMIT_BYTES)
        fact = Fact(uid=os.urandom(16), kind="benchmark", body=body, recorded_at_ms=1)
        started_ns = time.monotonic_ns()
        await writer.run(partial(append_fact, lane=int(Lane.RECEIPTS), fact=fact))
        values.append((time.monotonic_ns() - started_ns) / 1e6)
    writer.close()
    return values


async def restart(children: Children, town: Town, replay: Replay) -> float:
    """Seconds from starting the agent to its first answer, with its data and no uplink."""
    children.stop(f"edge-{STORE}")
    started = time.monotonic()
    await town.start_shop(STORE)
    assert await replay.status(STORE)
    return round(time.monotonic() - started, 2)


def report(figures: dict[str, Any]) -> None:
    table = Table(title="One till, milliseconds", box=box.ROUNDED)
    for heading in ("", "count", "p50", "p99"):
        table.add_column(heading, justify="right" if heading else "left")
    summary: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, list):
            p50, p99 = percentile(value, 50), percentile(value, 99)
            table.add_row(name.removesuffix("_ms"), str(len(value)), f"{p50:.2f}", f"{p99:.2f}")
            summary[name] = {"count": len(value), "p50": round(p50, 3), "p99": round(p99, 3)}
        else:
            summary[name] = value
    console = Console(highlight=False)
    console.print(table)
    console.print("visitors: receipts paid with points of members at home in another store")
    for phase in ("online", "offline"):
        agent, central = (figures[f"{who}_cpu_{phase}_a_receipt"] for who in ("agent", "central"))
        console.print(
            f"a receipt {phase}: {agent} ms of a core of the agent, "
            f"{central} ms of head office and its database"
        )
    console.print(
        f"agent RSS {figures['rss_mb']} MB, "
        f"start to first answer {figures['restart_to_first_answer_s']} s"
    )
    (FOLDER / "http_checkout.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")


async def until_signal(children: Children, folder: Path) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await measure(children, folder)


def main() -> int:
    folder = FOLDER.resolve() / f"http_checkout-{os.getpid()}"
    (folder / "logs").mkdir(parents=True)
    children = Children(folder / "logs")
    try:
        report(asyncio.run(until_signal(children, folder)))
    except asyncio.CancelledError:
        return 130
    except AppError as error:
        print(error.message, error.hint or "", file=sys.stderr)
        return 1
    finally:
        children.stop_all()
        stop_leftover_servers(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a shop of a size costs: memory, and the time from power-on to the first priced receipt.

10,000 promotions, 100,000 products, 100,000 members with their points. A fresh process for each
start: from its command to the answer to its first ``calculate``, once with the files in the
system's memory as after a restart, and (where this user may) once after they were dropped from it
as after a power cut. Memory is told at that moment and after some thousand receipts, priced and
sold. Beside it: Python that imports aiohttp and does nothing. Writes build/bench/shop_size.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from programmes import till_receipt
from support.agents import Running, agent
from support.measuring import FOLDER, against, environment, prepare, report
from support.sales import CALCULATE, sell
from support.shop import Size, card_of, fill_folder
from support.spending import rss_bytes
from support.tills import open_till, post

SIZE: Final = Size(promotions=10_000, products=100_000, members=100_000)
STARTS: Final = 5
RECEIPTS: Final = 3_000
RSS_MB_MAX: Final = 150.0
START_S_MAX: Final = 2.0
_NOTHING: Final = (
    "import asyncio, aiohttp.web; print(int(open('/proc/self/statm').read().split()[1]))"
)


async def first_answer(shop: Running) -> None:
    """One receipt of a member is priced."""
    till = await open_till(shop.address)
    body = json.dumps(till_receipt(1, 20, card=card_of(1))).encode()
    await till.call(post(CALCULATE, body))
    till.close()


def start(folder: Path, *, cold: bool) -> float:
    """Seconds from the command to the first priced receipt."""
    if cold:
        drop_from_memory(folder)
    began_s = time.perf_counter()
    with agent(folder) as shop:
        asyncio.run(first_answer(shop))
        return time.perf_counter() - began_s


def drop_from_memory(folder: Path) -> None:
    """Ask the system to forget what it has of these files; programs and libraries stay."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def nothing_mb() -> float:
    """Memory of Python with aiohttp."""
    told = subprocess.run(
        [sys.executable, "-c", _NOTHING],
        env=environment(compiled=False),
        capture_output=True,
        check=True,
    )
    return int(told.stdout) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(folder: Path, receipts: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"nothing_mb": round(nothing_mb(), 1)}
    start(folder, cold=False)  # what is made once, is made
    figures["start_s"] = sorted(round(start(folder, cold=False), 2) for _ in range(STARTS))
    figures["start_cold_s"] = sorted(round(start(folder, cold=True), 2) for _ in range(STARTS))
    with agent(folder) as shop:
        asyncio.run(first_answer(shop))
        figures["rss_first_mb"] = round(rss_bytes(shop.pid) / 2**20, 1)
        asyncio.run(sell(shop, "size", receipts, tills=8, members=SIZE.members))
        figures["rss_mb"] = round(rss_bytes(shop.pid) / 2**20, 1)
    figures["database_mb"] = round((folder / "edge.sqlite").stat().st_size / 2**20, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=RECEIPTS)
    receipts: int = parser.parse_args().receipts
    prepare()
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="shop_size-") as name:
        folder = Path(name) / "shop"
        fill_folder(folder, SIZE)
        figures = measure(folder, receipts)
    middle = STARTS // 2
    rows = [
        [f"{name}, s: middle, most", f"{told[middle]}, {told[-1]}", "", against(told[middle], 2.0)]
        for name, told in (
            ("start to first price", figures["start_s"]),
            ("the same, files not in memory", figures["start_cold_s"]),
        )
    ]
    rows += [
        ["memory at the first price, MB", f"{figures['rss_first_mb']}", "", ""],
        [
            f"memory after {receipts:,} receipts, MB",
            f"{figures['rss_mb']}",
            f"Python with aiohttp {figures['nothing_mb']}",
            against(figures["rss_mb"], RSS_MB_MAX),
        ],
        ["database, MB", f"{figures['database_mb']}", "", ""],
    ]
    title = f"{SIZE.promotions:,} promotions, {SIZE.products:,} products, {SIZE.members:,} members"
    report("shop_size", title, ["", "", "beside it", "target"], rows, figures)


if __name__ == "__main__":
    main()
